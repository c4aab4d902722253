"""The meta commands' flags as data: which a verb may carry, what they ask for, and what comes back for them.

From memcached's protocol.txt ("Meta Commands"), held to what 1.6.18 and 1.6.45 were both measured to do: a flag that
one of them ignores, or that only one knows, never goes upstream.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import BAD_FORMAT

Check = Callable[[bytes], "re.Match[bytes] | None"]

OPAQUE_TOO_LONG: Final = b"CLIENT_ERROR opaque token too long\r\n"
_INVALID_OR_DUPLICATE: Final = b"CLIENT_ERROR invalid or duplicate flag\r\n"

# An opaque is at most 32 bytes with its letter.
_OPAQUE: Final = re.compile(rb"[\x21-\x7e\x80-\xff]{0,31}").fullmatch
# A flag without an argument is one byte; memcached takes "vfoo" for v.
_NOTHING: Final = re.compile(rb"").fullmatch
_ARITHMETIC_MODE: Final = re.compile(rb"[ID+-]").fullmatch
_STORE_MODE: Final = re.compile(rb"[EAPRS]").fullmatch
_QUIET: Final = ord("q")
_TIME_FLAGS: Final = b"TNR"
_NUMBER_FLAGS: Final = b"CFDJ"


def _flags(bare: str, **checks: Check) -> dict[int, Check]:
    return {ord(letter): _NOTHING for letter in bare} | {ord(letter): check for letter, check in checks.items()}


@dataclass(frozen=True, slots=True)
class Words:
    """What 1.6.18 says of mistakes in the flags of a verb; `arguments` where a letter has words of its own.

    `mode_length` is about a mode that isn't one letter.
    """

    duplicate: bytes = _INVALID_OR_DUPLICATE
    invalid: bytes = _INVALID_OR_DUPLICATE
    argument: bytes = _INVALID_OR_DUPLICATE
    base64: bytes = _INVALID_OR_DUPLICATE
    arguments: dict[int, bytes] = field(default_factory=dict)
    mode_length: bytes = _INVALID_OR_DUPLICATE


_WORDS: Final = Words(
    b"CLIENT_ERROR duplicate flag\r\n",
    b"CLIENT_ERROR invalid flag\r\n",
    b"CLIENT_ERROR bad token in command line format\r\n",
    b"CLIENT_ERROR error decoding key\r\n",
    {ord("F"): BAD_FORMAT, ord("M"): b"CLIENT_ERROR invalid mode for ms M token\r\n"},
    b"CLIENT_ERROR incorrect length for M token\r\n",
)
_FEW_WORDS: Final = Words(arguments={ord("M"): b"CLIENT_ERROR invalid mode for ma M token\r\n"})


@dataclass(frozen=True, slots=True)
class MetaVerb:
    """`flags`: a check of each letter's argument. `needs`: the classes that some letters need beside `classes`.

    `hit` are the statuses of a success, `others` the rest; `hit_echoes` and `other_echoes` the flags that come back
    with them. `hidden` are those that the client does not want to see with q.
    `only_with`: without the other letter memcached ignores the first, so it is left out.
    """

    classes: tuple[str, ...]
    flags: dict[int, Check]
    hit: tuple[bytes, ...]
    others: tuple[bytes, ...]
    hit_echoes: bytes
    other_echoes: bytes
    hidden: tuple[bytes, ...]
    needs: dict[int, tuple[str, ...]] = field(default_factory=dict)
    words: Words = _FEW_WORDS
    only_with: tuple[int, int] = (0, 0)

    @property
    def count(self) -> str:
        """The command class that it is counted under."""
        return self.classes[-1]


VERBS: Final = {
    b"mg": MetaVerb(
        ("read",),
        _flags(
            "bkctsfhluvq",
            O=_OPAQUE,
            T=grammar.is_exptime,
            N=grammar.is_exptime,
            R=grammar.is_exptime,
            C=grammar.is_uint64,
        ),
        (b"HD", b"VA"),
        (b"EN",),
        b"kctsfhlO",
        b"kO",
        (b"EN",),
        # N creates an item, R hands somebody the right to refill it: neither is a mere read.
        {ord("T"): ("touch",), ord("N"): ("write",), ord("R"): ("write",)},
        words=_WORDS,
    ),
    b"ms": MetaVerb(
        ("write",),
        _flags(
            "bkcsIq",
            O=_OPAQUE,
            T=grammar.is_exptime,
            N=grammar.is_exptime,
            C=grammar.is_uint64,
            F=grammar.is_uint32,
            M=_STORE_MODE,
        ),
        (b"HD",),
        (b"NS", b"EX", b"NF"),
        b"kcsO",
        b"kcsO",
        (b"HD",),
        words=_WORDS,
        only_with=(ord("I"), ord("C")),
    ),
    b"md": MetaVerb(
        ("delete",),
        _flags("bkIq", O=_OPAQUE, T=grammar.is_exptime, C=grammar.is_uint64),
        (b"HD",),
        (b"NF", b"EX"),
        b"kO",
        b"kO",
        (b"HD",),
        {ord("T"): ("touch",)},
        only_with=(ord("T"), ord("I")),
    ),
    b"ma": MetaVerb(
        ("counter",),
        _flags(
            "bkctvq",
            O=_OPAQUE,
            T=grammar.is_exptime,
            N=grammar.is_exptime,
            C=grammar.is_uint64,
            D=grammar.is_uint64,
            J=grammar.is_uint64,
            M=_ARITHMETIC_MODE,
        ),
        (b"HD", b"VA"),
        (b"NF", b"EX"),
        b"kctO",
        b"kO",
        (b"HD", b"VA"),
        {ord("T"): ("touch",), ord("N"): ("write",)},
    ),
}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one command, vetted. `error` is memcached's own line for what is wrong with them, if anything is.

    `sent` goes upstream, with a space before each, and without q; `letters` are theirs. `echoes` are the tokens that
    come back, in this order. `classes` is all that the command needs on its key.
    """

    sent: bytes = b""
    letters: bytes = b""
    quiet: bool = False
    echoes: tuple[bytes, ...] = ()
    classes: tuple[str, ...] = ()
    error: bytes = b""


# Clients send the same few flags again and again, unless they number their requests.
@lru_cache(maxsize=1024)
def read_flags(name: bytes, text: bytes) -> Flags:
    """What the flags of a meta command come to. `text` is what follows its key or length: b" v k O1", or nothing."""
    verb = VERBS[name]
    tokens: dict[int, bytes] = {}
    for token in text.split(b" ")[1:]:
        letter = token[0]
        if letter in tokens:
            return Flags(error=verb.words.duplicate)
        check = verb.flags.get(letter)
        if check is None:
            return Flags(error=verb.words.invalid)
        argument = token[1:]
        if letter in _TIME_FLAGS:
            argument = grammar.plain_exptime(argument)
        elif letter in _NUMBER_FLAGS:
            argument = grammar.plain_number(argument)
        if check(argument) is None:
            return Flags(error=_error(verb, letter, argument))
        tokens[letter] = token[:1] + argument
    quiet = tokens.pop(_QUIET, None) is not None
    ignored, other = verb.only_with
    if ignored in tokens and other not in tokens:
        del tokens[ignored]
    needed = {wanted for letter in tokens for wanted in verb.needs.get(letter, ())}
    return Flags(
        sent=b"".join([b" " + token for token in tokens.values()]),
        letters=bytes(tokens),
        quiet=quiet,
        echoes=tuple(token for letter, token in tokens.items() if letter in verb.hit_echoes),
        classes=(*verb.classes, *sorted(needed)),
    )


def _error(verb: MetaVerb, letter: int, argument: bytes) -> bytes:
    if letter == ord("O"):
        return OPAQUE_TOO_LONG
    if letter == ord("M") and len(argument) != 1:
        return verb.words.mode_length
    if verb.flags[letter] is _NOTHING:
        return verb.words.invalid
    return verb.words.arguments.get(letter, verb.words.argument)
