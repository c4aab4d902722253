"""What is done to valid packets; see damage.py."""

import random
from collections.abc import Callable

from fuzz.differential.damage import Damage, anywhere, cut, flip
from fuzz.differential.rules import VALUE_LIMIT

STORES = (0x01, 0x02, 0x03, 0x0E, 0x0F, 0x11, 0x12, 0x13, 0x19, 0x1A)


def _field(at: int, size: int, values: "Callable[[random.Random, int], int]") -> Damage:
    """Change a number in a packet's header."""

    def damage(choose: random.Random, data: bytes) -> bytes:
        if len(data) < 24:
            return data
        number = values(choose, int.from_bytes(data[at : at + size], "big")) % (1 << 8 * size)
        return data[:at] + number.to_bytes(size, "big") + data[at + size :]

    return damage


def _near(choose: random.Random, number: int) -> int:
    return max(0, number + choose.choice((-1, 1, 2, 4, -4, 8)))


def _huge(choose: random.Random, number: int) -> int:
    return choose.choice((0xFFFFFFFF, 0x80000001, 0x7FFFFFFF, 0x40000000, 0x40000001, 40_000))


def _large(choose: random.Random, data: bytes) -> bytes:
    """A value that is more than the program takes, and as long as its packet says."""
    if len(data) < 24 or data[1] not in STORES:
        return data
    end = 24 + data[4] + int.from_bytes(data[2:4], "big")
    value = choose.choice((b"x" * 24, data)) * 1000
    value = value[: VALUE_LIMIT + choose.choice((1, 2, 1000))]
    return data[:8] + (end - 24 + len(value)).to_bytes(4, "big") + data[12:end] + value


def _packet_key(choose: random.Random, data: bytes) -> bytes:
    start = 24 + (data[4] if len(data) > 4 else 0)
    if len(data) <= start:
        return data
    at = start + choose.randrange(min(len(data) - start, 8))
    return data[:at] + bytes([choose.choice((0, 9, 10, 13, 32, 127))]) + data[at + 1 :]


BINARY: dict[str, Damage] = {
    "magic": _field(0, 1, lambda choose, _: choose.choice((0x81, 0x00, 0x67, 0xFF))),
    "unknown opcode": _field(1, 1, lambda choose, _: choose.choice((0x1B, 0x1F, 0x20, 0x21, 0x22, 0x25, 0x40, 0xFF))),
    "another opcode": _field(1, 1, lambda choose, _: choose.randrange(0x25)),
    "key length": _field(2, 2, _near),
    "overlong key": _field(2, 2, lambda choose, _: choose.choice((0, 251, 252, 65535))),
    "extras length": _field(4, 1, _near),
    "datatype, vbucket, cas": _field(5, 1, lambda choose, _: choose.randrange(256)),
    "body length": _field(8, 4, _near),
    "body length too large": _field(8, 4, _huge),
    "value above the limit": _large,
    "cas": _field(16, 8, lambda choose, _: choose.getrandbits(64)),
    "control bytes and spaces in the key": _packet_key,
    "bytes flipped": flip,
    "bytes inserted or lost": anywhere,
    "cut short": cut,
    "text between": lambda choose, data: choose.choice((b"get a\r\n", b"\r\n", b"mn\r\n")) + data,
    "quit": lambda choose, data: data[:1] + choose.choice((b"\x07", b"\x17")) + data[2:],
}
