"""Generated streams of binary packets, and what two servers answer to the same one.

Both get the same packets but for cas uniques: each server numbers its items itself, so a packet that is to carry the
cas of an item carries the one that its own server gave.
"""

import itertools
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.support import packets
from tests.support.conversation import Connection
from tests.support.packets import Response

LOOKUPS = (packets.GET, packets.GETQ, packets.GETK, packets.GETKQ)
TOUCHES = (packets.TOUCH, packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ)
STORES = (packets.SET, packets.SETQ, packets.ADD, packets.ADDQ, packets.REPLACE, packets.REPLACEQ)
APPENDS = (packets.APPEND, packets.APPENDQ, packets.PREPEND, packets.PREPENDQ)
COUNTS = (packets.INCR, packets.INCRQ, packets.DECR, packets.DECRQ)
DELETES = (packets.DELETE, packets.DELETEQ)
KEYLESS = (packets.NOOP, packets.VERSION)
FLUSHES = (packets.FLUSH, packets.FLUSHQ)
WITH_CAS = {*STORES, *APPENDS, *COUNTS, *DELETES}

KEYS = (b"stream:a", b"stream:b", b"stream:c", b"stream:\xff\x80", b"stream:" + b"k" * 243, b"noreply")
# For ever, in some minutes, long ago (2592001 is a date), and as late as a time can be in text.
EXPIRIES = (0, 0, 0, 0, 600, 2592000, 2592001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (0, 1, 9, 10, 99, 10**6, 2**32, 2**62)
DELTAS = (0, 1, 9, 10, 99, 10**6, 2**40)
"""Nothing gets to 2^63, so no number is appended to another: from there on 1.6.18 calls a number none if there is a
minus anywhere behind it in its memory."""

TOO_LARGE = 1024 * 1024
"""Bytes of a value that fits the proxy's limit, and no item of memcached with its key."""

UNDISTURBED = ("-o", "no_lru_maintainer,no_lru_crawler")
"""Options of a memcached whose answers to a stream are always the same; without them two of them differ."""

NO_CAS, RIGHT_CAS, WRONG_CAS = range(3)


@dataclass(frozen=True)
class Asked:
    """A packet; `cas` says which one it carries."""

    packet: bytes
    opcode: int
    opaque: int
    key: bytes
    cas: int

    def __str__(self) -> str:
        return f"{self.packet[:80].hex(' ')}... cas {self.cas}"


def stream(seed: int, count: int) -> Iterator[list[Asked]]:
    """`count` packets in pipelines of 1 to 40.

    INCR and DECR begin a pipeline: memcached counts in place and leaves blanks behind a shorter number, unless somebody
    holds the item: a reply on its way, or its LRU maintainer (so these streams are for memcacheds with UNDISTURBED).
    """
    chance = random.Random(seed)
    opaques = itertools.count(chance.getrandbits(31))
    made = 0
    pipeline: list[Asked] = []
    while made < count:
        asked = _packet(chance, next(opaques) & 0xFFFFFFFF)
        made += 1
        if asked.opcode in COUNTS or len(pipeline) >= chance.randint(1, 40):
            yield pipeline
            pipeline = []
        pipeline.append(asked)
    yield pipeline


def _packet(chance: random.Random, opaque: int) -> Asked:
    kinds = (LOOKUPS, TOUCHES, STORES, APPENDS, COUNTS, DELETES, KEYLESS, FLUSHES)
    (kind,) = chance.choices(kinds, (30, 12, 25, 8, 15, 6, 3, 1))
    opcode = chance.choice(kind)
    if kind in (KEYLESS, FLUSHES):
        extras = bytes(4) if kind is FLUSHES and chance.random() < 0.5 else b""
        return Asked(packets.packet(opcode, extras=extras, opaque=opaque), opcode, opaque, b"", NO_CAS)
    key = chance.choice(KEYS)
    expiry = chance.choice(EXPIRIES)
    if kind is TOUCHES:
        data = packets.touching(opcode, key, expiry, opaque=opaque)
    elif kind is COUNTS:
        data = packets.arithmetic(opcode, key, chance.choice(DELTAS), chance.choice(NUMBERS), expiry, opaque=opaque)
    elif kind in (STORES, APPENDS):
        value = _value(chance, opcode)
        data = packets.store(opcode, key, value, flags=chance.choice((0, 7, 2**32 - 1)), expiry=expiry, opaque=opaque)
    else:
        data = packets.packet(opcode, key, opaque=opaque)
    cas = chance.choice((NO_CAS, NO_CAS, RIGHT_CAS, WRONG_CAS)) if opcode in WITH_CAS else NO_CAS
    return Asked(data, opcode, opaque, key, cas)


def _value(chance: random.Random, opcode: int) -> bytes:
    """Numbers, what looks like replies, bytes of all kinds; now and then a large one."""
    (kind,) = chance.choices(("number", "reply", "bytes", "large", "too large"), (40, 20, 35, 4, 0.3))
    if kind == "number" and opcode not in APPENDS:
        return b"%d" % chance.choice(NUMBERS)
    if kind == "reply":
        return chance.choice((b"END\r\n", b"x\r\nEND\r\nVALUE stream:a 0 1\r\n", b"HD kstream:a O1 c1\r\n", b"MN\r\n"))
    if kind == "too large" and opcode in (packets.SET, packets.SETQ):
        # Of the other stores `ms` takes the item away as well; docs/protocol.md says so.
        return bytes(TOO_LARGE)
    data = chance.randbytes(chance.randint(0, 60) if kind != "large" else chance.randint(16_000, 80_000))
    # Of white space alone 1.6.18 reads on behind the value, and may find a number there.
    return b"\xfe"[: len(data)] + data[1:]


class Server:
    """One of the two, and the cas uniques that it gave."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._uniques: dict[bytes, int] = {}

    def answers(self, pipeline: list[Asked]) -> list[Response]:
        """What it answers to this pipeline."""
        for asked in pipeline:
            unique = {NO_CAS: 0, RIGHT_CAS: self._uniques.get(asked.key, 1), WRONG_CAS: 2**63}[asked.cas]
            header = bytearray(asked.packet)
            struct.pack_into(">Q", header, 16, unique)
            self.connection.send_while_reading(bytes(header))
        self.connection.send_while_reading(packets.packet(packets.NOOP, opaque=packets.IN_STEP))
        keys = {asked.opaque: asked.key for asked in pipeline}
        found = []
        while (response := self.connection.response()).opaque != packets.IN_STEP:
            if response.cas:
                self._uniques[keys[response.opaque]] = response.cas
            found.append(response)
        return found


def compare(first: Server, second: Server, seed: int, count: int) -> int:
    """Hold both servers to one stream; how many answers came. Raises AssertionError at the first difference.

    Answers are the same if they differ in nothing but the cas, and both servers have given their cas for the same item.
    """
    pairs: dict[int, int] = {}
    seconds: set[int] = set()
    total = 0
    for pipeline in stream(seed, count):
        answers, others = first.answers(pipeline), second.answers(pipeline)
        asked = {asked.opaque: asked for asked in pipeline}
        for answer, other in itertools.zip_longest(answers, others):
            place = asked[(answer or other).opaque]
            assert answer is not None and other is not None, f"{place}: {answer} and {other}"
            assert replace(answer, cas=0) == replace(other, cas=0), f"{place}: {answer} and {other}"
            if answer.cas not in pairs:
                assert other.cas not in seconds, f"{place}: {answer} and {other}"
                pairs[answer.cas] = other.cas
                seconds.add(other.cas)
            assert pairs[answer.cas] == other.cas, f"{place}: {answer} and {other}"
        total += len(answers)
    return total
