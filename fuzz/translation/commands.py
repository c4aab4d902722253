"""What is sent: the frames of the differential fuzzer, as far as the binary protocol can express them, and the rest."""

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from fuzz.differential.frames import CLASSIC, Made
from fuzz.differential.frames_administration import LINES
from fuzz.differential.frames_meta import META
from fuzz.differential.material import KEY_BYTES
from fuzz.differential.steadiness import is_unsteady
from mcproxy.wire.grammar import decode_key
from mcproxy.wire.meta_rules import read_flags
from mcproxy.wire.spelling import normalize

NEVER_MATCHES = (b"0", b"9223372036854775808", b"18446744073709551615")
"""Cas uniques that no item has."""

EXPRESSIBLE = {b"mg": b"bkcfsvOqT", b"ms": b"bkcOqTFCsM", b"md": b"bkOqC", b"ma": b"bkcvOqDMCNJ"}
"""By verb, the flags that a binary operation has a counterpart for."""

FREE = [b"flush_all", b"flush_all 0", b"flush_all noreply", b"verbosity 0", b"verbosity 1 noreply", b"stats reset"]
REFUSED = [
    line
    for name, lines in LINES.items()
    if name.split()[0] in ("cache_memlimit", "lru", "slabs", "lru_crawler", "refresh_certs", "watch", "shutdown")
    or name in ("stats conns", "stats extstore", "stats cachedump")
    for line in lines
    if not line.endswith(b"noreply")
]
RETRIEVALS = frozenset({"get", "gets", "gat", "gats", "mg", "touch"})
BAD = b"CLIENT_ERROR bad command line format\r\n"
BAD_TIME = b"CLIENT_ERROR invalid exptime argument\r\n"
BAD_TOKEN = b"CLIENT_ERROR bad token in command line format\r\n"
DELAYED = b"CLIENT_ERROR flush_all with a delay is not supported\r\n"
REFUSED_META = (
    *(b"mg a t", b"mg a v h", b"mg a l k", b"mg a u", b"mg a N30", b"mg a R30 v"),
    *(b"ma a t", b"ma a T0", b"md a I C5 T30", b"me a"),
)
STRICTER = (
    *((b"set a 0 2147483648 1\r\nx", BAD), (b"set a 4294967296 0 1\r\nx", BAD), (b"set a 0 c 7\r\nversion", BAD)),
    *((b"cas a 0 0 7 x\r\nversion", BAD), (b"touch a 2147483648", BAD_TIME), (b"gat 2147483648 a", BAD_TIME)),
    *((b"mg a T2147483648", BAD_TOKEN), (b"ms a 1 T2147483648\r\nx", BAD_TOKEN), (b"ms a 1 F4294967296\r\nx", BAD)),
    *((b"flush_all 10", DELAYED), (b"flush_all -1", DELAYED)),
)
"""What the proxy answers itself in front of text too, where memcached does something else."""
CLOSING = (
    *((b"set a 0 0 1\r\nxyz", b"CLIENT_ERROR bad data chunk\r\n"), (b"set a 0 0 x", BAD), (b"set a 0 0 -1", BAD)),
    *((b"set a 0 0 1 2 3\r\nx", b"ERROR\r\n"), (b"get a\n", b"CLIENT_ERROR line must end in \\r\\n\r\n")),
)
"""The same, where the connection closes."""
LARGE = (30_000, 65_536, 100_000, 524_288, 1_000_000, 1_048_400, 1_048_576, 1_100_000)
MALFORMED = [
    *(b"", b"   ", b"bogus", b"bogus a b", b"get", b"gets", b"incr a", b"incr a x", b"touch a", b"delete"),
    *(b"delete a b c d e", b"incr a -1", b"decr a 18446744073709551616", b"mg", b"touch a b"),
]
LINE = 2046
OVERLONG = b"get a " + b"k" * 251 + b"\r\n"
"""memcached throws the replies of earlier commands away."""


class Command(NamedTuple):
    """One frame. `cas` is where in `data` the cas unique of its only key belongs, if one does.

    `refusal`: what the gateway says to it, if that is not about translation.
    """

    data: bytes
    verb: str
    keys: tuple[bytes, ...] = ()
    cas: tuple[int, int] | None = None
    refusal: bytes = b""


@dataclass
class Batch:
    """Frames that go out together; `refused`: to the gateway alone. `closes`: on a connection of its own, it ends."""

    commands: list[Command]
    refused: bool = False
    closes: bool = False


class Commands:
    """Makes batches. The same seed makes the same."""

    def __init__(self, seed: str, most: int) -> None:
        self.counts: Counter[str] = Counter()
        self._choose = random.Random(seed)
        self._most = most
        kinds = [*CLASSIC, *META]
        self._kinds = [kind for kind in kinds if kind[2] not in ("me",)]
        self._weights = [kind[0] for kind in self._kinds]

    def next(self) -> Batch:
        """The next batch."""
        choose = self._choose
        if choose.random() < 0.02:
            return Batch([self._refused() for _ in range(choose.randrange(1, 5))], refused=True)
        if choose.random() < 0.002:
            data, refusal = choose.choice(CLOSING)
            closing = Command(data + b"\r\n", "closing", refusal=refusal)
            return Batch([self._counted(closing)], refused=True, closes=True)
        if choose.random() < 0.01:
            return Batch([self._counted(Command(OVERLONG, "overlong"))])
        count = choose.choice((1, 1, 2, 5, 10, 20, 40))
        commands: list[Command] = []
        # Arithmetic behind a retrieval of the same key may leave blanks behind a number that gets shorter, or not.
        read: set[bytes] = set()
        while len(commands) < min(count, self._most):
            command = self._expressible()
            if command.verb in ("incr", "decr", "ma") and not read.isdisjoint(command.keys):
                continue
            if command.verb in RETRIEVALS:
                read.update(command.keys)
            commands.append(command)
            self._counted(command)
        return Batch(commands)

    def _expressible(self) -> Command:
        choose = self._choose
        which = choose.random()
        if which < 0.008:
            return Command(choose.choice(FREE) + b"\r\n", "administration")
        if which < 0.02:
            return Command(choose.choice(MALFORMED) + b"\r\n", "malformed")
        if which < 0.022:
            return self._large()
        while True:
            made, verb = self._made()
            words = made.data.partition(b"\r\n")[0].split()
            if words[0] in EXPRESSIBLE:
                made = Made(self._with_expressible_flags(made.data, words), made.cells)
                words = made.data.partition(b"\r\n")[0].split()
            if made.data.index(b"\r\n") > LINE and not made.data.startswith((b"get ", b"gets ")):
                # memcached closes the connection, if the line comes in two pieces.
                continue
            if verb in ("version", "mn") or not _is_unsteady(made.data, words):
                break
        return self._with_cas(made.data, verb)

    def _refused(self) -> Command:
        """What has no counterpart: a line, or a flag; or what no upstream of the proxy is ever sent."""
        choose = self._choose
        if choose.random() < 0.3:
            data, refusal = choose.choice(STRICTER)
            return self._counted(Command(data + b"\r\n", "stricter", refusal=refusal))
        if choose.random() < 0.5:
            return self._counted(Command(choose.choice(REFUSED) + b"\r\n", "refused line"))
        return self._counted(Command(choose.choice(REFUSED_META) + b"\r\n", "refused flag"))

    def _made(self) -> tuple[Made, str]:
        _, make, verb = self._choose.choices(self._kinds, self._weights)[0]
        return make(self._choose, verb), verb

    def _with_expressible_flags(self, data: bytes, words: list[bytes]) -> bytes:
        allowed = EXPRESSIBLE[words[0]]
        first = 3 if words[0] == b"ms" else 2
        kept = [word for word in words[first:] if word[0] in allowed]
        if words[0] == b"ma" and any(word[:1] == b"N" for word in kept):
            # 1.6.18 tells with q that it has made the counter, newer ones don't.
            kept = [word for word in kept if word != b"q"]
        return b" ".join(words[:first] + kept) + data[data.index(b"\r\n") :]

    def _with_cas(self, data: bytes, verb: str) -> Command:
        """The cas unique is one that a reply told, or one that no item has."""
        choose = self._choose
        line = data[: data.index(b"\r\n")]
        words = line.split()
        keys = _keys(words)
        if verb == "cas":
            at = re.match(rb" *cas +\S+ +\S+ +\S+ +\S+ +(\S+)", line)
        elif words[:1] and words[0] in EXPRESSIBLE:
            at = re.search(rb" C(\S+)", line)
        else:
            at = None
        if at is None:
            return Command(data, verb, keys)
        if choose.random() < 0.6:
            return Command(data, verb, keys, at.span(1))
        start, end = at.span(1)
        return Command(data[:start] + choose.choice(NEVER_MATCHES) + data[end:], verb, keys)

    def _large(self) -> Command:
        choose = self._choose
        size = choose.choice(LARGE)
        key = bytes(choose.choices(KEY_BYTES, k=3))
        verb = choose.choice((b"set", b"set", b"add", b"append", b"ms"))
        numbers = b"%d" % size if verb == b"ms" else b"0 0 %d" % size
        return Command(
            b"%b %b %b\r\n%b\r\n" % (verb, key, numbers, choose.randbytes(16) * (size // 16) + b"x" * (size % 16)),
            "large",
        )

    def _counted(self, command: Command) -> Command:
        self.counts[command.verb] += 1
        return command


def _keys(words: list[bytes]) -> tuple[bytes, ...]:
    """Decoded, so that one key has one name."""
    if words[0] in (b"get", b"gets"):
        return tuple(words[1:])
    if words[0] in (b"gat", b"gats"):
        return tuple(words[2:])
    key = words[1] if len(words) > 1 else b""
    if words[0] in EXPRESSIBLE and b"b" in words[2:]:
        key = decode_key(key) or key
    return (key,)


def _is_unsteady(data: bytes, words: list[bytes]) -> bool:
    """As canonical bytes would be."""
    words = list(words)
    normalize(words)
    if words[0] in EXPRESSIBLE:
        first = 3 if words[0] == b"ms" else 2
        flags = read_flags(words[0], b"".join(b" " + word for word in words[first:]))
        if flags.error:
            return True
        words[first:] = flags.sent.split()
    if words[-1] == b"noreply" and len(words) > 2:
        del words[-1]
    return is_unsteady(b" ".join(words) + data[data.index(b"\r\n") :])
