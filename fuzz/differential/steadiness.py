"""Which canonical frames memcached itself need not answer the same way twice, so that no two can be compared.

- A time that runs out while a run is under way: each memcached counts seconds on its own.
- Arithmetic on a value of 2**63 and more: 1.6.18 then looks for a minus sign in whatever memory follows.
- A number sought in a value of nothing but white space, or of nothing at all, which `mg` with N makes: 1.6.18 reads on
  in whatever memory follows. So such values have keys of their own, and no arithmetic is done on those.
"""

from fuzz.differential.material import BLANK_KEYS
from tests.support.canonical import READINGS

SHORT = 600
"""Seconds; a stage does not live that long."""

TEXT_TIMES = {
    **dict.fromkeys([b"set", b"add", b"replace", b"append", b"prepend", b"cas"], 3),
    b"touch": 2,
    b"gat": 1,
    b"gats": 1,
}
"""By verb, which word is its exptime."""

BINARY_TIMES = {**dict.fromkeys([0x01, 0x02, 0x03], 28), **dict.fromkeys([0x05, 0x06], 40)}
BINARY_TIMES |= dict.fromkeys([0x1C, 0x1D, 0x23], 24)
"""By opcode, where in the packet its expiration is."""

LARGEST = 1 << 62
LARGEST_DELTA = 1 << 40
"""Values and increments so small that no counter gets to 2**63 while a stage lives."""

META = (b"mg", b"ms", b"md", b"ma")


def is_unsteady(upstream: bytes) -> bool:
    """Whether the frame, or a later one because of it, may be answered in two ways."""
    return _is_unsteady_packet(upstream) if upstream[0] == 0x80 else _is_unsteady_line(upstream)


def _is_unsteady_packet(packet: bytes) -> bool:
    opcode, key_length, extras = packet[1], int.from_bytes(packet[2:4], "big"), packet[4]
    start = BINARY_TIMES.get(opcode, len(packet))
    if 0 < int.from_bytes(packet[start : start + 4], "big") < SHORT:
        return True
    key = packet[24 + extras : 24 + extras + key_length]
    if opcode in (0x05, 0x06):
        delta, initial = packet[24:32], packet[32:40]
        return key in BLANK_KEYS or (opcode == 0x05 and _is_large(delta, LARGEST_DELTA)) or _is_large(initial, LARGEST)
    return opcode in (0x01, 0x02, 0x03, 0x0E, 0x0F) and _is_odd(key, packet[24 + extras + key_length :])


def _is_large(number: bytes, largest: int) -> bool:
    return int.from_bytes(number, "big") > largest


def _is_unsteady_line(frame: bytes) -> bool:
    line, _, block = frame.partition(b"\r\n")
    words = line.split(b" ")
    verb = words[0]
    place = TEXT_TIMES.get(verb)
    if place is not None and _is_short(words[place]):
        return True
    if verb in META and any(word[:1] in (b"T", b"N") and _is_short(word[1:]) for word in words[2:]):
        return True
    if verb in (b"incr", b"decr", b"ma", b"mg"):
        key = READINGS[verb](words)[0][0]
        if verb == b"mg":
            return key not in BLANK_KEYS and any(word[:1] == b"N" for word in words[2:])
        numbers = words[2:3] if verb == b"incr" else [word[1:] for word in words[2:] if word[:1] in (b"D", b"J")]
        large = any(int(number) > LARGEST_DELTA for number in numbers) and not {b"MD", b"M-"} & set(words)
        return key in BLANK_KEYS or large
    return bool(block) and _is_odd(READINGS[verb](words)[0][0], block[:-2])


def _is_odd(key: bytes, value: bytes) -> bool:
    digits = value.strip()
    if not digits:
        return key not in BLANK_KEYS
    return digits.isdigit() and LARGEST < int(digits) < 1 << 64


def _is_short(word: bytes) -> bool:
    return word.isdigit() and 0 < int(word) < SHORT
