"""A second reading of a client's text stream: what goes up of it, what is refused, and how it leaves the connection.

It uses none of the program's code. Whatever is spelled anew here is held to the independent judge of tests/support
before it counts as passed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fuzz.differential.names import names, under_own_names
from fuzz.differential.outcomes import (
    DENIED,
    End,
    Passed,
    Reading,
    Refused,
    error_line,
    exactly,
    hidden,
    nothing,
    whole,
)
from fuzz.differential.rules import (
    KEYS_LIMIT,
    LINE_LIMIT,
    RETRIEVAL_LIMIT,
    SWALLOWED,
    TOKENS_LIMIT,
    VALUE_LIMIT,
    Rules,
)
from tests.support.canonical import READINGS, NotCanonical

STORAGE = {b"set", b"add", b"replace", b"append", b"prepend", b"cas"}
RETRIEVAL = {b"get": ("read",), b"gets": ("read",), b"gat": ("read", "touch"), b"gats": ("read", "touch")}
KEYED = {b"incr": "counter", b"decr": "counter", b"touch": "touch", b"delete": "delete"}
FREE = {b"version", b"mn"}
TOO_LARGE = exactly(b"SERVER_ERROR object too large for cache\r\n")


@dataclass(slots=True)
class Verdict:
    """What becomes of one line, before its block was looked at.

    `outcome` is None where nothing is answered and nothing goes up (quit). `block` is the length of the data block that
    follows. `closes`: with this line the connection ends.
    """

    outcome: Passed | Refused | None
    block: int | None = None
    closes: bool = False


Judge = Callable[[list[bytes], Rules], Verdict]


def read_text(stream: bytes, rules: Rules, verbs: "dict[bytes, Judge]") -> Reading:
    """Read a whole stream, to its end or to where the connection closes."""
    outcomes: list[Passed | Refused] = []
    position, size = 0, len(stream)
    while position < size:
        bound = (
            RETRIEVAL_LIMIT[rules.digest] if stream[position : position + 5].split(b" ")[0] in RETRIEVAL else LINE_LIMIT
        )
        feed = stream.find(b"\n", position)
        if feed < 0:
            if size - position <= bound:
                return Reading(outcomes, End.INCOMPLETE)
            return _closed(outcomes, error_line)
        if feed - position >= bound or feed == position or stream[feed - 1] != 0x0D:
            return _closed(outcomes, error_line)
        tokens = [token for token in stream[position : feed - 1].split(b" ") if token]
        position = feed + 1
        if not tokens:
            outcomes.append(Refused(error_line))
            continue
        if len(tokens) > TOKENS_LIMIT and tokens[0] not in RETRIEVAL and tokens[0] not in FREE:
            verdict = refused(closes=tokens[0] in STORAGE or tokens[0] == b"ms")
        else:
            verdict = verbs.get(tokens[0], unknown)(tokens, rules)
        outcome = verdict.outcome
        if verdict.block is None:
            if outcome is not None:
                outcomes.append(outcome)
            if tokens[0] == b"watch" and isinstance(outcome, Passed):
                return Reading(outcomes, End.WATCHING)
            if verdict.closes:
                return Reading(outcomes, End.CLOSED)
            continue
        end = position + verdict.block + 2
        if isinstance(outcome, Refused):
            outcomes.append(outcome)
            if size >= end and stream[end - 2 : end] != b"\r\n":
                return Reading(outcomes, End.CLOSED)
            if size < end:
                return Reading(outcomes, End.INCOMPLETE)
        else:
            assert outcome is not None
            if size < end:
                return Reading(outcomes, End.INCOMPLETE)
            if stream[end - 2 : end] != b"\r\n":
                # noreply hides this, as it does at memcached; q doesn't.
                return _closed(outcomes, nothing if outcome.shown is hidden else error_line)
            outcome.upstream += stream[position:end]
            outcomes.append(outcome)
        position = end
    return Reading(outcomes, End.OPEN)


def _closed(outcomes: list[Passed | Refused], reply: Callable[[bytes, int], int]) -> Reading:
    outcomes.append(Refused(reply))
    return Reading(outcomes, End.CLOSED)


def refused(silent: bool = False, *, block: int | None = None, closes: bool = False) -> Verdict:
    """One error line, or none for those who asked for none."""
    return Verdict(Refused(nothing if silent else error_line), block, closes)


def denied(silent: bool = False, block: int | None = None) -> Verdict:
    """Not granted."""
    return Verdict(Refused(nothing if silent else DENIED), block)


def passed(
    tokens: list[bytes], silent: bool = False, block: int | None = None, keys: list[bytes] | None = None
) -> Verdict:
    """Goes up, in the one spelling."""
    return Verdict(Passed(b" ".join(tokens) + b"\r\n", hidden if silent else whole, keys or []), block)


def is_canonical(tokens: list[bytes]) -> bool:
    """What the judge says of a line with these words."""
    try:
        READINGS[tokens[0]](tokens)
    except NotCanonical:
        return False
    return True


def number(token: bytes, largest: int) -> int | None:
    """Its value, if it is spelled as a number should be and not above `largest`."""
    if not token.isdigit() or (token[0] == 0x30 and len(token) > 1) or len(token) > 20 or int(token) > largest:
        return None
    return int(token)


def one_number(token: bytes) -> bytes:
    """Without leading zeros; what is no number as it is."""
    return (token.lstrip(b"0") or b"0") if token.isdigit() else token


def one_expiry(token: bytes) -> bytes:
    """Every time in the past is -1."""
    if token[:1] != b"-" or not token[1:].isdigit():
        return one_number(token)
    return b"-1" if token.strip(b"-0") else b"0"


def unknown(tokens: list[bytes], rules: Rules) -> Verdict:
    """No command; somebody's browser is not even answered."""
    if tokens[-1].startswith(b"HTTP/"):
        return Verdict(None, closes=True)
    return refused()


def quit_(tokens: list[bytes], rules: Rules) -> Verdict:
    """The client leaves."""
    return Verdict(None, closes=True)


def storage(tokens: list[bytes], rules: Rules) -> Verdict:
    """set and its like."""
    words = 6 if tokens[0] == b"cas" else 5
    silent = len(tokens) == words + 1 and tokens[-1] == b"noreply"
    if len(tokens) != words and not silent:
        return refused(closes=True)
    length = number(tokens[4], SWALLOWED)
    if length is None:
        return refused(closes=True)
    line = tokens[:words]
    line[1:2] = names(line[1:2], rules)
    line[2] = one_number(line[2])
    line[3] = one_expiry(line[3])
    line[5:] = map(one_number, line[5:])
    if not is_canonical(line):
        return refused(silent, block=length)
    if not rules.grants(line[1], "write"):
        return denied(silent, length)
    if length > VALUE_LIMIT:
        return Verdict(Refused(nothing if silent else TOO_LARGE), length)
    return passed(line, silent, length)


def retrieval(tokens: list[bytes], rules: Rules) -> Verdict:
    """get and its like."""
    first = 1 if tokens[0].startswith(b"get") else 2
    line = list(tokens)
    asked = line[first:]
    line[first:] = keys = names(asked, rules)
    if not keys:
        return refused()
    if first == 2:
        line[1] = one_expiry(line[1])
        if line[1] != b"-1" and number(line[1], (1 << 31) - 1) is None:
            return refused()
    if len(keys) > KEYS_LIMIT:
        return refused(closes=True)
    if not all(is_canonical([b"get", key]) for key in keys):
        return refused()
    if not all(rules.grants(key, *RETRIEVAL[tokens[0]]) for key in keys):
        return denied()
    verdict = passed(line, keys=keys)
    if keys != asked:
        assert isinstance(verdict.outcome, Passed)
        verdict.outcome.shown = under_own_names(dict(zip(keys, asked, strict=True)))
    return verdict


def keyed(tokens: list[bytes], rules: Rules) -> Verdict:
    """incr, decr, touch, delete."""
    line = list(tokens)
    if line[0] == b"delete" and len(line) in (3, 4) and line[2] == b"0":
        del line[2]
    words = 2 if line[0] == b"delete" else 3
    silent = len(line) == words + 1 and line[-1] == b"noreply"
    line = line[:words] if silent else line
    line[1:2] = names(line[1:2], rules)
    if len(line) == 3:
        line[2] = one_expiry(line[2]) if line[0] == b"touch" else one_number(line[2])
    if len(line) != words or not is_canonical(line):
        return refused()
    if not rules.grants(line[1], KEYED[line[0]]):
        return denied(silent)
    return passed(line, silent)


def free(tokens: list[bytes], rules: Rules) -> Verdict:
    """version and mn: everybody may, and every memcached ignores what follows."""
    return passed(tokens[:1])


CLASSIC: dict[bytes, Judge] = {
    **dict.fromkeys(STORAGE, storage),
    **dict.fromkeys(RETRIEVAL, retrieval),
    **dict.fromkeys(KEYED, keyed),
    **dict.fromkeys(FREE, free),
    b"quit": quit_,
}
