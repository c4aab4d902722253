"""Commands that name no key: every line of theirs that may go upstream, who may send it, and what may answer it.

The lines are exact, word by word. Newer memcacheds match prefixes ("stats r" resets, "lru m s" changes the mode), older
ones ignore surplus words ("stats reset junk" resets), so a line that is merely like one of these means two things.
Never at all, whoever asks: extstore, bget, mgdump, debugtime, misbehave, and `stats sizes_enable` and `sizes_disable`,
whose reply has no end on 1.6.18.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.administration_requests import Certificates, LinesRequest, Metadump, Shutdown, Watch
from mcproxy.wire.requests import Request, Sink, one_of

# Slab classes end at 63; memcached itself says so of larger numbers.
_SLAB_CLASS: Final = rb"[1-9]?[0-9]"
_PERCENT: Final = rb"[1-9]?[0-9]"
_FACTOR: Final = rb"(?:0|[1-9][0-9]{0,3})(?:\.[0-9]{1,6})?"
_CLASSES: Final = _SLAB_CLASS + rb"(?:,%s){0,63}" % _SLAB_CLASS
# What 1.6.18 takes, and the one more that protocol.txt of newer ones has; no argument means fetchers.
WATCHED: Final = (
    *(b"fetchers", b"mutations", b"evictions", b"connevents", b"deletions"),
    *(b"proxyreqs", b"proxyevents", b"proxyuser", b"sysevents", b"rawcmds"),
)
_MESSAGE: Final = rb"(?: [\x20-\x7e]{0,256})?"
_OK: Final = one_of(b"OK")
_LRU: Final = one_of(b"OK", rb"ERROR" + _MESSAGE)
_SLABS: Final = one_of(
    rb"OK|ERROR|CLIENT_ERROR slab reassignment disabled", rb"(?:BUSY|BADCLASS|NOSPARE|NOTFULL|UNSAFE|SAME)" + _MESSAGE
)
_CRAWLER: Final = one_of(b"OK", b"(?:ERROR|BUSY|BADCLASS|NOTSTARTED|" + grammar.CLIENT_ERROR + b")" + _MESSAGE)
_MEMORY_LIMIT: Final = one_of(rb"OK|MEMLIMIT_[A-Z_]{1,32}" + _MESSAGE)
_NEVER: Final = re.compile(rb"(?!)")


@dataclass(frozen=True, slots=True)
class Command:
    """The lines that begin with `words` and go on with `arguments`, a pattern.

    `command_class` is "" for what everybody may. `replies` matches the one line that answers it on a shared link;
    `private` makes its request instead where that needs a link of its own. `noreply`: a client may append that word.
    """

    words: bytes
    command_class: str
    arguments: bytes = b""
    replies: "re.Pattern[bytes]" = _NEVER
    noreply: bool = False
    private: Callable[[Sink, bytes, str], Request] | None = None

    @property
    def line(self) -> bytes:
        """A pattern of the lines, without noreply and their end."""
        return self.words + self.arguments


COMMANDS: Final = (
    Command(b"version", "", replies=one_of(rb"VERSION [\x21-\x7e]{1,64}", deniable=False)),
    Command(b"mn", "", replies=one_of(b"MN", deniable=False)),
    Command(b"flush_all", "flush", replies=one_of(b"OK", b"CLIENT_ERROR flush_all not allowed"), noreply=True),
    Command(b"verbosity", "admin", b" [012]", _OK, noreply=True),
    Command(b"cache_memlimit", "admin", b" " + grammar.UINT32, _MEMORY_LIMIT, noreply=True),
    Command(b"lru mode", "admin", b" (?:flat|segmented)", _LRU),
    Command(b"lru temp_ttl", "admin", b" " + grammar.EXPTIME, _LRU),
    Command(b"lru tune", "admin", b" %s %s %s %s" % (_PERCENT, _PERCENT, _FACTOR, _FACTOR), _LRU),
    Command(b"slabs automove", "admin", b" (?:[012]|ratio %s)" % _FACTOR, _SLABS),
    Command(b"slabs reassign", "admin", b" (?:-1|%s) %s" % (_SLAB_CLASS, _SLAB_CLASS), _SLABS),
    Command(b"lru_crawler enable", "admin", replies=_CRAWLER),
    Command(b"lru_crawler disable", "admin", replies=_CRAWLER),
    Command(b"lru_crawler tocrawl", "admin", b" " + grammar.UINT32, _CRAWLER),
    Command(b"lru_crawler sleep", "admin", b" " + grammar.UINT32, _CRAWLER),
    Command(b"lru_crawler crawl", "admin", b" (?:all|%s)" % _CLASSES, _CRAWLER),
    Command(b"lru_crawler metadump", "inspect", b" (?:all|hash|%s)" % _CLASSES, private=Metadump),
    Command(b"watch", "inspect", b"(?: (?:%s)){0,%d}" % (b"|".join(WATCHED), len(WATCHED)), private=Watch),
    Command(b"shutdown", "admin", b"(?: graceful)?", private=Shutdown),
    Command(b"refresh_certs", "admin", private=Certificates),
    Command(b"stats", "stats", private=LinesRequest),
    *(
        Command(b"stats " + words, "inspect", private=LinesRequest)
        for words in (b"items", b"slabs", b"sizes", b"settings", b"conns", b"extstore", b"detail dump")
    ),
    Command(b"stats cachedump", "inspect", rb" (?:[1-9]|[1-5][0-9]|6[0-3]) " + grammar.UINT32, private=LinesRequest),
    *(Command(b"stats " + words, "admin", private=LinesRequest) for words in (b"reset", b"detail on", b"detail off")),
)
VERBS: Final = frozenset(command.words.split(b" ")[0] for command in COMMANDS)


def normalize(tokens: list[bytes]) -> None:
    """Spell, in place, what means one thing to every memcached as COMMANDS spells it."""
    verb = tokens[0]
    if verb in (b"version", b"mn"):
        # Both ignore what follows.
        del tokens[1:]
    elif verb == b"flush_all":
        if tokens[1:2] and grammar.plain_number(tokens[1]) == b"0":
            del tokens[1]
    elif verb in (b"verbosity", b"cache_memlimit"):
        tokens[1:2] = map(grammar.plain_number, tokens[1:2])
        if verb == b"verbosity" and tokens[1:2] and grammar.is_uint32(tokens[1]) and tokens[1] not in (b"0", b"1"):
            # There is no level above 2: memcached takes a larger number for it.
            tokens[1] = b"2"
    elif tokens[:2] == [b"lru", b"temp_ttl"]:
        tokens[2:3] = map(grammar.plain_exptime, tokens[2:3])
    elif tokens[:2] in ([b"lru_crawler", b"tocrawl"], [b"lru_crawler", b"sleep"], [b"slabs", b"automove"]):
        tokens[2:3] = map(grammar.plain_number, tokens[2:3])
    elif tokens[:2] in ([b"slabs", b"reassign"], [b"stats", b"cachedump"]):
        tokens[2:4] = map(grammar.plain_number, tokens[2:4])
