"""A second reading of the commands that name no key; see reading.py."""

from fuzz.differential.reading import (
    Judge,
    Verdict,
    denied,
    is_canonical,
    one_expiry,
    one_number,
    passed,
    refused,
    unknown,
)
from fuzz.differential.rules import Rules

STATISTICS = {b"items", b"slabs", b"sizes", b"settings", b"conns", b"extstore", b"cachedump"}
TAKE_NOREPLY = {b"flush_all", b"verbosity", b"cache_memlimit"}
READ_NOREPLY = {*TAKE_NOREPLY, b"lru"}
"""Verbs that read the word as the flag, even where they go on to find a mistake."""

NUMBERS = {
    (b"lru_crawler", b"tocrawl"): (2,),
    (b"lru_crawler", b"sleep"): (2,),
    (b"slabs", b"automove"): (2,),
    (b"slabs", b"reassign"): (2, 3),
    (b"stats", b"cachedump"): (2, 3),
}


def administration(tokens: list[bytes], rules: Rules) -> Verdict:
    """Any command without a key."""
    verb = tokens[0]
    needed = _class(tokens)
    if needed is None:
        return unknown(tokens, rules)
    has_noreply = tokens[-1] == b"noreply" and len(tokens) > 1
    silent = has_noreply and (verb in READ_NOREPLY or tokens[:2] == [b"slabs", b"automove"])
    if not rules.allows(needed):
        return denied(silent)
    line = _spelled(tokens[:-1] if has_noreply and verb in TAKE_NOREPLY else list(tokens))
    return passed(line, silent) if is_canonical(line) else refused(silent)


def _spelled(line: list[bytes]) -> list[bytes]:
    verb = line[0]
    if verb == b"flush_all" and len(line) == 2 and one_number(line[1]) == b"0":
        return line[:1]
    if verb in (b"verbosity", b"cache_memlimit"):
        line[1:2] = map(one_number, line[1:2])
        if verb == b"verbosity" and line[1:2] and is_canonical([b"cache_memlimit", line[1]]) and int(line[1]) > 2:
            line[1] = b"2"
    if line[:2] == [b"lru", b"temp_ttl"]:
        line[2:3] = map(one_expiry, line[2:3])
    for place in NUMBERS.get((verb, line[1] if len(line) > 1 else b""), ()):
        if place < len(line):
            line[place] = one_number(line[place])
    return line


def _class(tokens: list[bytes]) -> str | None:
    """What it takes to use the command; None if there is none of that name."""
    verb, word = tokens[0], tokens[1] if len(tokens) > 1 else b""
    if verb == b"flush_all":
        return "flush"
    if verb == b"watch" or (verb == b"lru_crawler" and word == b"metadump"):
        return "inspect"
    if verb == b"lru_crawler" and word == b"mgdump":
        return None
    if verb != b"stats":
        return "admin"
    if not word:
        return "stats"
    if word == b"detail":
        return "inspect" if tokens[2:3] == [b"dump"] else "admin"
    return "inspect" if word in STATISTICS else "admin" if word == b"reset" else None


ADMINISTRATION: dict[bytes, Judge] = dict.fromkeys(
    [
        *(b"flush_all", b"verbosity", b"cache_memlimit", b"lru", b"slabs", b"lru_crawler"),
        *(b"refresh_certs", b"watch", b"shutdown", b"stats"),
    ],
    administration,
)
