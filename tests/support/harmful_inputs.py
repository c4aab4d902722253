"""Inputs that harm memcached 1.6.18, as data: what it answers, what the program answers, and what reaches memcached.

Each was measured. `setup` goes to the memcached in question beforehand, directly and in text. A text conversation ends
with `mn`, a binary one with a NOOP, which shows what is still in step.
"""

import base64
from dataclasses import dataclass

from tests.support import packets
from tests.support.binary_cases import lying
from tests.support.packets import packet, store, with_key


@dataclass(frozen=True)
class Harm:
    """One row. `harm` says what is wrong with `direct`, the answer of memcached itself.

    Of binary answers `direct` and `through` have the lines that `reading.py` makes of them. `direct_end` and `end` say
    what comes after the answer: "in step", "closed" or "silence".
    """

    name: str
    sent: bytes
    direct: bytes
    harm: str
    through: bytes
    upstream: tuple[bytes, ...] = ()
    setup: bytes = b""
    direct_end: str = "in step"
    end: str = "in step"
    shown: str = ""
    pieces: tuple[int, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether it is a binary conversation."""
        return self.sent[:1] == b"\x80"


K251 = b"k" * 251
LINE = b"version\r\n"
RAN = b"VERSION 1.6.18\r\n"
FORMAT = b"CLIENT_ERROR bad command line format\r\n"
CHUNK = b"CLIENT_ERROR bad data chunk\r\n"
STORED = b"STORED\r\n"
AS_COMMAND = "the data runs as a command"
SILENTLY = "the data runs as a command, and no error tells"
HD = b"HD\r\n"
SECRET = b"set Zm9v 0 0 6\r\nsecret\r\nset foo 0 0 2\r\nmy\r\n"

STORAGE = [
    Harm("A key of 251 bytes", b"set " + K251 + b" 0 0 7\r\n" + LINE, FORMAT + RAN, AS_COMMAND, FORMAT),
    Harm("The same with `noreply`", b"set " + K251 + b" 0 0 7 noreply\r\n" + LINE, RAN, SILENTLY, b""),
    Harm("Flags that are no number", b"set k x 0 7\r\n" + LINE, FORMAT + RAN, AS_COMMAND, FORMAT),
    Harm("A negative length", b"set k 0 0 -1\r\n" + LINE, FORMAT + RAN, AS_COMMAND, FORMAT, end="closed"),
    Harm("No length", b"set k 0 0\r\n" + LINE, b"ERROR\r\n" + RAN, AS_COMMAND, b"ERROR\r\n", end="closed"),
    Harm("Words too many", b"set k 0 0 7 1 2 3\r\n" + LINE, b"ERROR\r\n" + RAN, AS_COMMAND, b"ERROR\r\n", end="closed"),
    Harm("Data longer than it says", b"set k 0 0 3\r\nabcXX" + LINE, CHUNK + RAN, AS_COMMAND, CHUNK, end="closed"),
    Harm("Longer data with `noreply`", b"set k 0 0 3 noreply\r\nabcXX" + LINE, RAN, SILENTLY, b"", end="closed"),
    Harm(
        "A length beyond 32 bits", b"set k 0 0 4294967303\r\n" + LINE, STORED,
        "truncated to 7 bytes and stored, while a filter still waits for the rest of the data",
        FORMAT, end="closed",
    ),
    Harm(
        "A value too large for memcached", b"set k 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\nget k\r\n",
        b"SERVER_ERROR object too large for cache\r\nEND\r\n", "refused, and the old value is gone",
        b"SERVER_ERROR object too large for cache\r\nVALUE k 0 3\r\nold\r\nEND\r\n", (b"get k\r\n",),
        setup=b"set k 0 0 3\r\nold\r\n",
    ),
    Harm("`ms` with a length that is none", b"ms k x\r\n" + LINE, FORMAT + RAN, AS_COMMAND, FORMAT, end="closed"),
    Harm("`ms` with a key of 251 bytes", b"ms " + K251 + b" 7\r\n" + LINE, FORMAT + RAN, AS_COMMAND, FORMAT),
    Harm(
        "`ms` with flags too many", b"ms k 7" + b" v" * 18 + b"\r\n" + LINE,
        b"CLIENT_ERROR options flags too long\r\n" + RAN, AS_COMMAND, b"CLIENT_ERROR invalid flag\r\n",
    ),
    Harm(
        "`ms` with a length beyond 32 bits", b"ms k 4294967303\r\n" + LINE, HD, "truncated to 7 bytes and stored",
        FORMAT, end="closed",
    ),
    Harm(
        "`ms` with data longer than it says", b"ms k 3 q\r\nabcXX" + LINE, CHUNK + RAN, AS_COMMAND,
        CHUNK, end="closed",
    ),
]  # fmt: skip

LINES = [
    Harm(
        "NUL in a key", b"get a\0b\r\n", b"VALUE a 0 1\r\nx\r\nEND\r\n", "the line ends at NUL, so another key is read",
        FORMAT, setup=b"set a 0 0 1\r\nx\r\n",
    ),
    Harm(
        "A bare line feed", b"get a\n" + LINE[:-2] + b"\n", b"END\r\n" + RAN,
        "two commands, and one for a filter that looks for CR LF",
        b"CLIENT_ERROR line must end in \\r\\n\r\n", end="closed",
    ),
    Harm(
        "Flags beyond 32 bits", b"set k 4294967296 0 1\r\nx\r\nget k\r\n", b"STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n",
        "stored as 0", FORMAT + b"END\r\n", (b"get k\r\n",),
    ),
    Harm(
        "An expiry beyond 32 bits", b"touch k 4294967297\r\nmg k t\r\n", b"TOUCHED\r\nHD t1\r\n",
        "it expires in a second",
        b"CLIENT_ERROR invalid exptime argument\r\nHD t-1\r\n", (b"mg k t\r\n",), setup=b"set k 0 0 1\r\nx\r\n",
    ),
    Harm(
        "A negative delta", b"incr n -18446744073709551615\r\n", b"6\r\n", "taken as 1",
        b"CLIENT_ERROR invalid numeric delta argument\r\n", setup=b"set n 0 0 1\r\n5\r\n",
    ),
    Harm(
        "A key called `noreply`", b"delete noreply\r\n", b"DELETED\r\n",
        "1.6.18 deletes that key, newer ones take it for the flag and are silent",
        b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n",
        setup=b"set noreply 0 0 1\r\nx\r\n",
    ),
    Harm(
        "A flush later, after a flush", b"flush_all\r\nflush_all 1000\r\nget a\r\n",
        b"OK\r\nOK\r\nVALUE a 0 1\r\nx\r\nEND\r\n", "what was flushed comes back",
        b"OK\r\nCLIENT_ERROR flush_all with a delay is not supported\r\nEND\r\n", (b"flush_all\r\n", b"get a\r\n"),
        setup=b"set a 0 0 1\r\nx\r\n",
    ),
    Harm(
        "Statistics without an end", b"stats sizes_enable\r\n", b"STAT sizes_status enabled\r\n",
        "whoever waits for END takes the next reply for statistics", b"ERROR\r\n",
    ),
    Harm(
        "A command behind `lru_crawler metadump`", b"lru_crawler metadump all\r\nget a\r\n", b"END\r\n",
        "and what stands behind it is never answered", b"END\r\nEND\r\n",
        (b"lru_crawler metadump all\r\n", b"get a\r\n"), direct_end="silence",
    ),
    Harm(
        "A listing of keys, one of which is no text", b"stats cachedump 1 10\r\n",
        b"ITEM a\r\nEND\r\nx [0 b; 0 s]\r\nEND\r\n",
        "the key `a\\r\\nEND\\r\\nx` forges the end of the list, and what follows answers the next command",
        b"ITEM a\r\nEND\r\n", (b"stats cachedump 1 10\r\n",),
        # In flat mode an item is on the list at once.
        setup=b"lru mode flat\r\nmg " + base64.b64encode(b"a\r\nEND\r\nx") + b" b N0\r\n",
    ),
]  # fmt: skip


def encoded(key: bytes) -> bytes:
    return base64.b64encode(key)


META = [
    Harm(
        "Base64 that is not canonical", b"mg Zm!9v b v\r\n", b"VA 2\r\nmy\r\n",
        "decoded loosely, while a strict filter sees another key or none",
        b"CLIENT_ERROR error decoding key\r\n", setup=SECRET,
    ),
    Harm(
        "Base64 with other bits at its end", b"mg Zh== b v\r\n", b"VA 2\r\nmy\r\n",
        "`Zg==` is the name of that key, and this is another one",
        b"CLIENT_ERROR error decoding key\r\n", setup=b"set f 0 0 2\r\nmy\r\n",
    ),
    Harm(
        "`b` with something behind it", b"mg Zm9v bX v\r\n", b"VA 2\r\nmy\r\n",
        "taken for `b`, while a filter that knows no such flag judges the key as it stands",
        b"CLIENT_ERROR invalid flag\r\n", setup=SECRET,
    ),
    Harm(
        "`me` with `b` further behind", b"me Zm9v v b\r\n", b"ME Zm9v exp=-1 la=n cas=n fetch=no cls=1 size=69\r\n",
        "not decoded, while a filter that decodes judges the key `foo`", FORMAT, setup=SECRET,
    ),
    Harm(
        "A key in base64 with a line in it", b"mg " + encoded(b"z\r\nHD") + b" b N0 k\r\n", b"HD kz\r\nHD W\r\n",
        "the key comes back raw and forges a reply", b"CLIENT_ERROR error decoding key\r\n",
    ),
]  # fmt: skip

VERSION = packet(packets.VERSION, opaque=0xBAD)
RAN_BINARY = b"VERSION 0x00 1.6.18\r\n"


def smuggled(code: int, name: str, answer: bytes) -> Harm:
    """A packet whose body has another one behind the key."""
    good = with_key(code, b"k")
    data = lying(good + VERSION, body=len(good) - 24 + len(VERSION))
    refusal = name.encode() + b" 0x04 Invalid arguments\r\n"
    return Harm(
        f"{name} with a packet in its body", data, answer + RAN_BINARY, "the inner packet runs", refusal,
        setup=b"set k 0 0 1\r\nx\r\n", end="closed", shown=f"{name} of `k`, with VERSION in its body",
    )  # fmt: skip


BINARY = [
    smuggled(packets.TOUCH, "TOUCH", b"TOUCH 0x00\r\n"),
    smuggled(packets.GAT, "GAT", b"GAT 0x00 x\r\n"),
    smuggled(packets.GATKQ, "GATKQ", b"GATKQ 0x00 k x\r\n"),
    smuggled(packets.STAT, "STAT", b"STAT 0x01 Not found\r\n"),
    Harm(
        "An unknown opcode with a key", packet(packets.VERBOSITY, b"k"), b"VERBOSITY 0x81 Unknown command\r\n",
        "it swallows what comes next", b"VERBOSITY 0x81 Unknown command\r\n", direct_end="silence",
        shown="opcode 0x1b, with the key `k`",
    ),
    Harm(
        "A body of 2 GiB", lying(store(packets.SET, b"k", b""), body=0x7FFFFFFF), b"",
        "it waits for good", b"SET 0x04 Invalid arguments\r\n", direct_end="silence", end="closed",
        shown="SET, body length 0x7fffffff",
    ),
    Harm(
        "A key that text can't name", store(packets.SET, b"a b\r\nget x", b"v"), b"SET 0x00\r\n",
        "stored, and it breaks the commands that list keys", b"SET 0x04 Invalid arguments\r\n",
        shown="SET of `a b\\r\\nget x`",
    ),
    Harm(
        "A key of STAT that is almost one", packet(packets.STAT, b"resetxyz"), b"STAT 0x00\r\n",
        "the statistics are reset", b"STAT 0x01 Not found\r\n", shown="STAT `resetxyz`",
    ),
]  # fmt: skip

CUT = [
    Harm(
        "A line that doesn't end", b"set " + b"k" * 3000, b"", "without a word",
        b"CLIENT_ERROR line too long\r\n", direct_end="closed", end="closed", pieces=(2500,),
    ),
]  # fmt: skip
HARMS = [*STORAGE, *LINES, *CUT, *META, *BINARY]
LEAK = b"set a 0 0 20\r\n12345678901234567890\r\ndelete a\r\nset a 0 0 2\r\n  \r\n"
REMAINS = [
    Harm(
        "Counting what is no number, where a longer one was deleted", b"incr a 1\r\n", b"5678901234567891\r\n",
        "digits of a deleted value come back", b"5678901234567891\r\n", (b"incr a 1\r\n",), setup=LEAK,
    ),
    Harm(
        "Reading what `md` with `I` made stale", b"mg k v\r\nmg k v\r\n", b"VA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\n",
        "the first reader, whoever it is, is told to fetch it anew; the others wait for him",
        b"VA 1 X W\r\nx\r\nVA 1 Z X\r\nx\r\n", (b"mg k v\r\n", b"mg k v\r\n"),
        setup=b"set k 0 0 1\r\nx\r\nmd k I T30\r\n",
    ),
]  # fmt: skip
