"""What means one thing to every memcached, spelled as the canonical grammar spells it."""

from typing import Final

from mcproxy.wire import administration, grammar
from mcproxy.wire.meta_rules import VERBS
from mcproxy.wire.text_rules import KEYED, STORAGE

# Verbs whose first argument is their only key; that of the latter may be base64.
_KEYED: Final = frozenset(STORAGE) | frozenset(KEYED)
_META: Final = frozenset(VERBS) | {b"me"}
# Where numbers stand: flags and cas unique, deltas; and times. Never a data block's length, on which framing rests.
_NUMBERS: Final = {b"incr": (2,), b"decr": (2,), b"cas": (2, 5)} | {verb: (2,) for verb in STORAGE if verb != b"cas"}
_TIMES: Final = {b"touch": 2, b"gat": 1, b"gats": 1} | dict.fromkeys(STORAGE, 3)


def normalize(tokens: list[bytes]) -> None:
    """Spell the words of a command line anew, in place."""
    verb = tokens[0]
    if verb == b"delete" and len(tokens) in (3, 4) and tokens[2] == b"0":
        # The old "time" argument of delete: 1.6.18 takes only 0, newer ones ignore any word there.
        del tokens[2]
    elif verb in administration.VERBS:
        administration.normalize(tokens)
    count = len(tokens)
    for index in _NUMBERS.get(verb, ()):
        if index < count:
            tokens[index] = grammar.plain_number(tokens[index])
    time = _TIMES.get(verb, count)
    if time < count:
        tokens[time] = grammar.plain_exptime(tokens[time])


def has_plain_key(tokens: list[bytes]) -> bool:
    """Whether the second word is the line's one key, as it is: of a retrieval all words are, and some are base64."""
    verb = tokens[0]
    return len(tokens) > 1 and (verb in _KEYED or (verb in _META and b"b" not in tokens[2:]))
