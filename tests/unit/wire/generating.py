"""Frames drawn at random from the canonical grammar, and damage done to them. Everything follows from the seed."""

import random
from dataclasses import dataclass

from tests.support import packets
from tests.unit.wire.answering import binary_reply, frames_of, text_reply

KEYS = [b"a", b"b", b"app:1", b"app:2", b"noreply", b"0", b"-1", b"get", b"END", b"HTTP/1.1", b"\x80\xff", b"k" * 250]
VALUES = [
    b"",
    b"x",
    b"END\r\n",
    b"get a\r\nflush_all\r\n",
    b"\r\n",
    b"\0" * 24,
    b"\x80\x08" + b"\0" * 22,
    b"value" * 20,
]
TIMES = [b"0", b"1", b"-1", b"2147483647"]
U32 = [b"0", b"1", b"4294967295"]
U64 = [b"0", b"7", b"18446744073709551615"]
DAMAGE = [
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"\t",
    b"0",
    b"-",
    b"+",
    b"noreply",
    b" noreply",
    b"\x7f",
    b"\x80",
    b"\x81",
    b"9" * 12,
]
DAMAGE += [b"k" * 251, b"version\r\n", b"flush_all\r\n", b"\xff\xff\xff\xff", b"\0\0\0\0", b"x"]
STORAGE = [b"set", b"add", b"replace", b"append", b"prepend", b"cas"]
STATISTICS = [b"", b" items", b" slabs", b" reset", b" detail on", b" detail dump", b" cachedump 1 10"]


@dataclass
class Generated:
    """A canonical frame as a client sends it, and what comes back for it."""

    data: bytes
    reply: bytes


def text_frame(chosen: random.Random) -> Generated:
    """One command, perhaps with noreply."""
    pick = chosen.choice
    kind = pick(["retrieval", "retrieval", "storage", "storage", "keyed", "other"])
    may_be_silent = False
    if kind == "retrieval":
        verb = pick([b"get", b"get", b"gets", b"gat " + pick(TIMES), b"gats " + pick(TIMES)])
        line = verb + b" " + b" ".join(chosen.choices(KEYS[:-1], k=pick([1, 1, 2, 3, 9, 20])))
    elif kind == "storage":
        verb, value = pick(STORAGE), pick(VALUES)
        unique = b" " + pick(U64) if verb == b"cas" else b""
        line = b"%s %s %s %s %d%s" % (verb, pick(KEYS), pick(U32), pick(TIMES), len(value), unique)
        may_be_silent = True
    elif kind == "keyed":
        key = pick(KEYS)
        line = pick(
            [
                b"incr %s %s" % (key, pick(U64)),
                b"decr %s %s" % (key, pick(U64)),
                b"touch %s %s" % (key, pick(TIMES)),
                b"delete %s" % (key if key != b"noreply" else b"d"),
            ]
        )
        may_be_silent = True
    else:
        line = pick([b"version", b"mn", b"flush_all", b"verbosity 1", b"stats" + pick(STATISTICS)])
        may_be_silent = line.startswith((b"flush", b"verb"))
    block = value + b"\r\n" if kind == "storage" else b""
    reply = b"".join(text_reply(frame) for frame in frames_of(line + b"\r\n" + block))
    if may_be_silent and chosen.random() < 0.3:
        line, reply = line + b" noreply", b""
    return Generated(line + b"\r\n" + block, reply)


LOUD = [0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0A, 0x0B, 0x0C, 0x0E, 0x0F, 0x10, 0x1C, 0x1D, 0x23]
QUIET = {0x09: 0, 0x0D: 0x0C, 0x1E: 0x1D, 0x24: 0x23, 0x11: 1, 0x12: 2, 0x13: 3, 0x14: 4, 0x15: 5, 0x16: 6}
QUIET |= {0x18: 8, 0x19: 0x0E, 0x1A: 0x0F}
LOOKUPS = (0x00, 0x0C, 0x1D, 0x23)


def binary_frame(chosen: random.Random) -> Generated:
    """One packet, loud or quiet."""
    opcode = chosen.choice([*LOUD, *QUIET])
    loud = QUIET.get(opcode, opcode)
    opaque = chosen.getrandbits(32)
    cas = chosen.choice([0, 0, 5]) if loud in (1, 2, 3, 4, 5, 6, 0x0E, 0x0F) else 0

    def made(code: int) -> bytes:
        if loud == packets.STAT:
            return packets.packet(code, key, opaque=opaque)
        if loud in (packets.FLUSH, packets.NOOP, packets.VERSION):
            return packets.packet(code, opaque=opaque)
        if loud in (1, 2, 3, 0x0E, 0x0F):
            return packets.store(code, key, value, expiry=expiry, opaque=opaque, cas=cas)
        return packets.with_key(code, key, opaque=opaque, cas=cas)

    key = chosen.choice([b"", b"items", b"reset", b"detail on"] if loud == packets.STAT else KEYS)
    value, expiry = chosen.choice(VALUES), chosen.choice([0, 1, 0xFFFFFFFF])
    (frame,) = frames_of(made(loud))
    reply = binary_reply(frame, opcode, opaque)
    if opcode in QUIET and reply[6:8] == (b"\0\1" if loud in LOOKUPS else b"\0\0"):
        reply = b""
    return Generated(made(opcode), reply)


def damaged(chosen: random.Random, data: bytes) -> bytes:
    """The same with a few bytes lost, doubled, changed, moved or slipped in."""
    for _ in range(chosen.choice([1, 1, 2, 4])):
        at, size = chosen.randrange(len(data) + 1), chosen.choice([1, 1, 2, 8])
        match chosen.randrange(6):
            case 0:
                data = data[:at] + data[at + size :]
            case 1:
                data = data[:at] + data[at : at + size] * 2 + data[at + size :]
            case 2:
                data = data[:at] + chosen.randbytes(size) + data[at + size :]
            case 3 | 4:
                data = data[:at] + chosen.choice(DAMAGE) + data[at:]
            case _:
                # Of binary packets, the numbers in the header; of text, the verb.
                at = min(chosen.choice([0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 23]), len(data))
                data = data[:at] + bytes([chosen.choice([0, 1, 4, 8, 0x20, 0x80, 0xFF])]) + data[at + 1 :]
    return data


def splits(chosen: random.Random, size: int) -> list[int]:
    """A few places to cut at."""
    return sorted({chosen.randrange(1, size) for _ in range(chosen.choice([1, 2, 5, 20]))}) if size > 1 else []
