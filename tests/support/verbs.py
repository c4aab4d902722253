"""What every command needs, in every spelling of either protocol: all spellings in a row must get the same verdict."""

import base64
from dataclasses import dataclass

from tests.support import packets
from tests.support.packets import arithmetic, packet, with_key


@dataclass(frozen=True)
class Verb:
    """`classes` are needed on the key, or altogether if the command names none; `lines` are text, `codes` binary.

    In a line `%s` is the key, `%b` the key in base64. `stat` is the key of STAT.
    """

    name: str
    classes: frozenset[str]
    lines: tuple[bytes, ...]
    codes: tuple[int, ...] = ()
    creates: bool = False
    stat: bytes | None = None

    @property
    def keyed(self) -> bool:
        """Whether it names a key."""
        return any(b"%s" in line for line in self.lines)

    def text(self, key: bytes) -> list[bytes]:
        """Its text spellings, each with its line end, and its data block where it has one."""
        encoded = base64.b64encode(key)
        # The encoded key is a token, too: a key of over 186 bytes has no base64 form.
        lines = [line for line in self.lines if b"%b" not in line or len(encoded) <= 250]
        return [line.replace(b"%s", key).replace(b"%b", encoded) + b"\r\n" for line in lines]

    def binary(self, key: bytes) -> list[bytes]:
        """Its binary spellings."""
        if self.stat is not None:
            return [packet(packets.STAT, self.stat)]
        if self.creates:
            return [arithmetic(code, key, 1, 0, 0) for code in self.codes]
        return [with_key(code, key) if self.keyed else packet(code) for code in self.codes]


def _verb(name: str, classes: str, lines: list[bytes], codes: tuple[int, ...] = (), creates: bool = False) -> Verb:
    return Verb(name, frozenset(classes.split()), tuple(lines), codes, creates)


def _keyless(classes: str, line: bytes, codes: tuple[int, ...] = ()) -> Verb:
    stat = line.removeprefix(b"stats").strip() if packets.STAT in codes else None
    return Verb(line.decode(), frozenset(classes.split()), (line,), codes, stat=stat)


_STORES = [b"set %s 0 0 1", b"add %s 0 0 1", b"replace %s 0 0 1", b"append %s 0 0 1", b"prepend %s 0 0 1"]
_STORES += [
    b"cas %s 0 0 1 1",
    b"ms %s 1",
    b"ms %b 1 b",
    b"ms %s 1 q",
    *(b"ms %%s 1 T0 M%c" % mode for mode in b"EAPRS"),
]
_ARITHMETIC = [b"incr %s 1", b"decr %s 1", b"ma %s", b"ma %b b v", b"ma %s MD D2", b"ma %s q"]

KEYED = [
    _verb("read", "read", [b"get %s", b"gets %s", b"mg %s", b"mg %s v k q", b"mg %b b v"],
          (packets.GET, packets.GETQ, packets.GETK, packets.GETKQ)),
    _verb("read and touch", "read touch", [b"gat 0 %s", b"gats 0 %s", b"mg %s T0", b"mg %b b v T0"],
          (packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ)),
    _verb("read and create", "read write", [b"mg %s N30", b"mg %s v R30", b"mg %b b v N30"]),
    _verb("touch", "touch", [b"touch %s 0"], (packets.TOUCH,)),
    _verb("write", "write", [line + b"\r\nx" for line in _STORES],
          (packets.SET, packets.SETQ, packets.ADD, packets.ADDQ, packets.REPLACE, packets.REPLACEQ,
           packets.APPEND, packets.APPENDQ, packets.PREPEND, packets.PREPENDQ)),
    _verb("count", "counter", _ARITHMETIC, (packets.INCR, packets.INCRQ, packets.DECR, packets.DECRQ)),
    _verb("count or create", "counter write", [b"ma %s N0", b"ma %b b N0"],
          (packets.INCR, packets.INCRQ, packets.DECR, packets.DECRQ), creates=True),
    _verb("count and touch", "counter touch", [b"ma %s T0"]),
    _verb("delete", "delete", [b"delete %s", b"md %s", b"md %b b", b"md %s I", b"md %s q"],
          (packets.DELETE, packets.DELETEQ)),
    _verb("mark and touch", "delete touch", [b"md %s I T30"]),
    _verb("inspect a key", "inspect", [b"me %s", b"me %b b"]),
]  # fmt: skip
KEYLESS = [
    _keyless("", b"version", (packets.VERSION,)),
    _keyless("", b"mn", (packets.NOOP,)),
    _keyless("flush", b"flush_all", (packets.FLUSH, packets.FLUSHQ)),
    _keyless("stats", b"stats", (packets.STAT,)),
    *(_keyless("inspect", b"stats " + word, (packets.STAT,)) for word in (b"items", b"slabs", b"sizes", b"settings")),
    _keyless("inspect", b"stats detail dump", (packets.STAT,)),
    _keyless("inspect", b"stats conns"),
    _keyless("inspect", b"stats cachedump 1 10"),
    *(_keyless("admin", b"stats " + word, (packets.STAT,)) for word in (b"reset", b"detail on", b"detail off")),
    *(_keyless("admin", line) for line in (b"verbosity 0", b"cache_memlimit 64", b"lru mode segmented")),
    *(_keyless("admin", line) for line in (b"slabs automove 0", b"lru_crawler enable", b"lru_crawler crawl all")),
]
VERBS = [*KEYED, *KEYLESS]
