"""The wire's cases in their binary form: what is sent, what must come back, and what may reach memcached.

One table for two tests: the parser's, which cuts each of them at every byte, and the program's, in front of a real
memcached. A key that is read here is a miss in both.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from tests.support import packets
from tests.support.packets import packet, store, with_key

LONG = b"k" * 251
MIB = 1 << 20


class Answer(NamedTuple):
    """What a case looks at in a response."""

    opcode: int
    status: int
    opaque: int = 1


@dataclass(frozen=True)
class BinaryCase:
    """`number` is the case's; `upstream` names the requests that memcached gets."""

    number: int
    name: str
    sent: bytes
    answers: tuple[Answer, ...] = ()
    upstream: tuple[str, ...] = ()
    closes: bool = False
    user: str = "root"

    def __str__(self) -> str:
        return f"{self.number}: {self.name}"


def refused(
    number: int, name: str, sent: bytes, status: int, *, closes: bool = False, user: str = "root"
) -> BinaryCase:
    """One packet that gets this one answer, and never reaches memcached."""
    opaque = struct.unpack_from(">I", sent, 12)[0]
    return BinaryCase(number, name, sent, (Answer(sent[1], status, opaque),), closes=closes, user=user)


def lying(
    request: bytes, *, key_length: int | None = None, extras: int | None = None, body: int | None = None
) -> bytes:
    """The same packet with other lengths in its header."""
    header = bytearray(request[:24])
    if key_length is not None:
        header[2:4] = struct.pack(">H", key_length)
    if extras is not None:
        header[4] = extras
    if body is not None:
        header[8:12] = struct.pack(">I", body)
    return bytes(header) + request[24:]


def misses(count: int) -> list[bytes]:
    """Different keys of 249 or 250 bytes, whose bytes add up to an odd number: what the answering double misses."""
    names = [b"%05d" % number for number in range(count)]
    return [name.ljust(249 if (sum(name) + 244 * ord("k")) % 2 else 250, b"k") for name in names]


def named(*names: str) -> dict[str, int]:
    """Opcodes by their names."""
    return {name: int(getattr(packets, name)) for name in names}


LOOKUPS = named("GET", "GETQ", "GETK", "GETKQ")
TOUCHES = named("TOUCH", "GAT", "GATQ", "GATK", "GATKQ")
STORES = named("SET", "SETQ", "ADD", "ADDQ", "REPLACE", "REPLACEQ", "APPEND", "APPENDQ", "PREPEND", "PREPENDQ")
CHANGES = named("DELETE", "DELETEQ", "INCR", "INCRQ", "DECR", "DECRQ")
KEYED = LOOKUPS | TOUCHES | STORES | CHANGES
BEHIND = packet(packets.VERSION, opaque=0xBAD)
"""Must not be run where it stands inside of another packet."""


def of_each_opcode(name: str, code: int) -> list[BinaryCase]:
    """The cases that hold for every operation with a key."""
    invalid, unknown = packets.INVALID, packets.UNKNOWN

    def request(key: bytes = b"a", behind: bytes = b"") -> bytes:
        return with_key(code, key, opaque=1) + behind

    good = request()
    body = len(good) - 24
    longer = lying(request(behind=b"x"), extras=good[4] + 1, body=body + 1)
    cases = [
        refused(2, f"{name} of a key of 251", request(LONG, BEHIND), invalid, closes=True),
        refused(7, f"{name} of a key with NUL", request(b"a\0b"), invalid),
        refused(8, f"{name} of a key with CR", request(b"a\rb"), invalid),
        refused(8, f"{name} of a key with a tab", request(b"a\tb"), invalid),
        refused(8, f"{name} of a key with DEL", request(b"a\x7f"), invalid),
        refused(20, f"{name} with a body of 4 GiB", lying(good, body=0xFFFFFFFF), invalid, closes=True),
        refused(20, f"{name} with a body of 2 GiB", lying(good, body=0x80000001), invalid, closes=True),
        refused(21, f"{name} with too long a key", lying(good, key_length=body + 1), unknown, closes=True),
        refused(21, f"{name} with a byte of extras too many", longer, invalid, closes=True),
        refused(21, f"{name} without a key", request(b""), invalid, closes=True),
        BinaryCase(23, f"{name} with the magic of a response", b"\x81" + good[1:], closes=True),
        refused(25, f"{name} of a key with a line in it", request(b"a b\r\nget x"), invalid),
        refused(43, f"{name} outside of the prefix", request(b"ap"), packets.DENIED, user="sammy"),
    ]
    if code not in STORES.values():
        behind = lying(request(behind=BEHIND), body=body + len(BEHIND))
        cases.append(refused(21, f"{name} with a packet in its body", behind, invalid, closes=True))
    if code not in LOOKUPS.values():
        cases.append(refused(42, f"{name} by a reader", request(b"app:n"), packets.DENIED, user="reader"))
    return cases


STATISTICS = [b"", b"items", b"slabs", b"sizes", b"settings", b"reset", b"detail on", b"detail off", b"detail dump"]


def administration() -> list[BinaryCase]:
    """Case 17: what an ordinary user may not."""
    flushes = [
        refused(17, f"FLUSH {code:#04x}", packet(code, opaque=1), packets.DENIED, user="sammy") for code in (8, 0x18)
    ]
    statistics = [
        refused(17, f"STAT {key.decode()}", packet(packets.STAT, key, opaque=1), packets.DENIED, user="sammy")
        for key in STATISTICS
    ]
    verbosity = packet(packets.VERBOSITY, extras=bytes(4), opaque=1)
    return [*flushes, *statistics, refused(17, "VERBOSITY", verbosity, packets.UNKNOWN, user="sammy")]


def lengths() -> list[BinaryCase]:
    """Cases 3, 13, 18 to 21: of keys, values and bodies."""
    stored = (Answer(packets.SET, packets.OK),)
    set_large = store(packets.SET, b"a", b"v" * (MIB + 1), opaque=1)
    setq_large = b"\x80\x11" + set_large[2:]
    set_huge = lying(store(packets.SET, b"a", b"", opaque=1), body=(1 << 30) + 1)
    create = packets.arithmetic(packets.INCR, b"app:n", 1, 0, 0, opaque=1)
    anything = bytes(range(256)) + b"END\r\n" + BEHIND
    invalid = packets.INVALID
    return [
        BinaryCase(3, "a key of 250", store(packets.SET, b"k" * 250, b"v", opaque=1), stored, ("SET",)),
        refused(13, "a quiet store of a key of 251", with_key(packets.SETQ, LONG, opaque=1), invalid, closes=True),
        BinaryCase(18, "a value of anything", store(packets.SET, b"b", anything, opaque=1), stored, ("SET",)),
        refused(19, "a value over the cap", set_large, packets.TOO_LARGE),
        refused(19, "a quiet value over the cap", setq_large, packets.TOO_LARGE),
        refused(20, "SET of 1 GiB and a byte", set_huge, invalid, closes=True),
        refused(20, "NOOP with a body", packet(packets.NOOP, value=b"x"), invalid, closes=True),
        refused(21, "GET with extras", packet(packets.GET, b"a", extras=bytes(4)), invalid, closes=True),
        refused(21, "SET without extras", packet(packets.SET, b"a", b"v"), invalid, closes=True),
        refused(42, "an INCR that would create, by a reader", create, packets.DENIED, user="reader"),
    ]


def pipelines() -> list[BinaryCase]:
    """Cases 1, 3, 16, 23 and 44: several packets at once."""
    get, miss = with_key(packets.GET, b"app:n", opaque=1), Answer(packets.GET, packets.NOT_FOUND)
    many = b"".join(with_key(packets.GETQ, key) for key in misses(100))
    foreign, denied = with_key(packets.GET, b"x", opaque=2), Answer(packets.GET, packets.DENIED, 2)
    flush, flush_denied = packet(packets.FLUSH, opaque=2), Answer(packets.FLUSH, packets.DENIED, 2)
    long, long_refused = with_key(packets.GETQ, LONG, opaque=2), Answer(packets.GETQ, packets.INVALID, 2)
    touches = with_key(packets.GATQ, b"app:n") + with_key(packets.GATQ, b"x", opaque=2)
    touch_denied = Answer(packets.GATQ, packets.DENIED, 2)
    return [
        BinaryCase(1, "a flush behind a read", get + flush, (miss, flush_denied), ("GET",), user="sammy"),
        BinaryCase(3, "a key of 251 among others", get + long + get, (miss, long_refused), ("GET",), closes=True),
        BinaryCase(16, "a hundred quiet reads of long keys", many, upstream=("GET",) * 100),
        BinaryCase(23, "text behind a packet", get + b"get app:n\r\nversion\r\n", (miss,), ("GET",), closes=True),
        BinaryCase(44, "granted and foreign", get + foreign + get, (miss, denied, miss), ("GET",) * 2, user="sammy"),
        BinaryCase(44, "the same, quiet", touches, (touch_denied,), ("GAT",), user="sammy"),
    ]


KEYED_CASES = [case for name, code in KEYED.items() for case in of_each_opcode(name, code)]
CASES = [*KEYED_CASES, *administration(), *lengths(), *pipelines()]
