"""The frames whose replies are fuzzed: every kind of request that there is."""

from functools import partial
from typing import NamedTuple

from tests.support import packets
from tests.unit.wire.driving import MakeParser
from tests.unit.wire.granting import binary, text


class Frame(NamedTuple):
    """What a client sends, and how his parser is made."""

    make_parser: MakeParser
    data: bytes
    text: bool = True


# Overlong keys go up under another name.
TEXT = text(digest_overlong_keys=True)
BINARY = binary()
LONG = b"k" * 300
MANY = b" ".join(b"key%d" % number for number in range(150))

LINES = {
    "get": b"get a",
    "get several": b"get a b a c",
    "gets": b"gets a b",
    "gat": b"gat 10 a b",
    "gats": b"gats -1 a",
    "run of gets": b"get a\r\nget b c\r\nget a",
    "cut get": b"get " + MANY,
    "cut gats": b"gats 0 " + MANY,
    "set": b"set a 0 0 1\r\nx",
    "add": b"add a 0 0 1\r\nx",
    "cas": b"cas a 0 0 1 7\r\nx",
    "set noreply": b"set a 0 0 1 noreply\r\nx",
    "incr": b"incr a 1",
    "delete": b"delete a",
    "touch": b"touch a 0",
    "flush_all": b"flush_all",
    "verbosity": b"verbosity 1",
    "version": b"version",
    "mn": b"mn",
    "stats": b"stats",
    "stats reset": b"stats reset",
    "stats cachedump": b"stats cachedump 1 10",
    "mg": b"mg a",
    "mg with everything": b"mg a v k Oabc c t s f h l q",
    "mg of base64": b"mg YQ== b k v N30 T60",
    "ms": b"ms a 1 k Oabc c\r\nx",
    "ms q": b"ms a 1 q\r\nx",
    "md": b"md a k Oabc",
    "md q": b"md a q",
    "ma": b"ma a",
    "ma with a value": b"ma a v t c k Oabc N0 J13 D2",
    "ma q": b"ma a q",
    "me": b"me a",
    "run of mg": b"mg a v\r\nmg b v k\r\nmn",
    "overlong get": b"get a " + LONG + b" b",
    "overlong mg": b"mg " + LONG + b" v k",
    "overlong ms": b"ms " + LONG + b" 1 k\r\nx",
    "stats detail dump": b"stats detail dump",
    "metadump": b"lru_crawler metadump all",
    "lru_crawler crawl": b"lru_crawler crawl 1,2",
    "watch": b"watch mutations",
    "shutdown": b"shutdown",
    "cache_memlimit": b"cache_memlimit 64",
    "lru": b"lru mode segmented",
    "slabs": b"slabs automove 1",
    "refresh_certs": b"refresh_certs",
}

KEYLESS = (packets.FLUSH, packets.NOOP, packets.VERSION)
OPCODES = [0x00, 0x09, 0x0C, 0x0D, 0x01, 0x11, 0x02, 0x04, 0x14, 0x05, 0x15, 0x08, 0x0A, 0x0B, 0x0E, 0x19, 0x1C]
OPCODES += [0x1D, 0x1E, 0x23, 0x24]


def _packet(opcode: int) -> bytes:
    made = packets.packet if opcode in KEYLESS else partial(packets.with_key, key=b"a")
    return made(opcode, opaque=opcode)


FRAMES = {name: Frame(TEXT, line + b"\r\n") for name, line in LINES.items()}
FRAMES |= {f"packet {opcode:#04x}": Frame(BINARY, _packet(opcode), text=False) for opcode in OPCODES}
FRAMES["packet STAT"] = Frame(BINARY, packets.packet(packets.STAT, b"items", opaque=1), text=False)
