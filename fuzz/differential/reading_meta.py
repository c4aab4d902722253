"""A second reading of the meta commands; see reading.py."""

from collections.abc import Callable

from fuzz.differential.names import names, with_own_name
from fuzz.differential.outcomes import Passed, Refused, whole
from fuzz.differential.reading import (
    TOO_LARGE,
    Judge,
    Verdict,
    denied,
    is_canonical,
    number,
    one_expiry,
    one_number,
    passed,
    refused,
)
from fuzz.differential.rules import SWALLOWED, VALUE_LIMIT, Rules
from tests.support.canonical import READINGS

CLASS = {b"mg": "read", b"ms": "write", b"md": "delete", b"ma": "counter"}
NEEDED = {(b"mg", "T"): "touch", (b"mg", "N"): "write", (b"mg", "R"): "write", (b"md", "T"): "touch"}
NEEDED |= {(b"ma", "T"): "touch", (b"ma", "N"): "write"}
HIDDEN_BY_Q = {b"mg": (b"EN",), b"ms": (b"HD",), b"md": (b"HD",), b"ma": (b"HD", b"VA")}
WITHOUT = {b"ms": ("I", "C"), b"md": ("T", "I")}
"""The first means nothing without the second, and is left out."""


def meta(tokens: list[bytes], rules: Rules) -> Verdict:
    """mg, ms, md, ma."""
    verb = tokens[0]
    block = None
    if verb == b"ms":
        block = number(tokens[2], SWALLOWED) if len(tokens) > 2 else None
        if block is None:
            return refused(closes=True)
    first = 2 if block is None else 3
    flags = [_spelled(token) for token in tokens[first:]]
    letters = [chr(flag[0]) for flag in flags]
    # Twice is a mistake, whether or not the flag then goes up.
    if len(set(letters)) < len(letters) or any(flag[:1] == b"q" and flag != b"q" for flag in flags):
        return refused(block=block)
    quiet = "q" in letters
    ignored, other = WITHOUT.get(verb, ("", ""))
    is_ignored = ignored in letters and other not in letters
    kept = [
        flag
        for flag, letter in zip(flags, letters, strict=True)
        if letter != "q" and not (is_ignored and letter == ignored)
    ]
    line = tokens[:first] + kept
    line[1:2] = names(line[1:2], rules)
    # What is left out must be right all the same: with the other flag beside it, it would be canonical.
    if not is_canonical(line) or (is_ignored and not _is_right(line[:first], flags, other)):
        return refused(block=block)
    (key,), _ = READINGS[verb](line)
    classes = [CLASS[verb], *(NEEDED[verb, chr(flag[0])] for flag in kept if (verb, chr(flag[0])) in NEEDED)]
    if not rules.grants(key, *classes):
        return denied(block=block)
    if block is not None and block > VALUE_LIMIT:
        return Verdict(Refused(TOO_LARGE), block)
    shown = _unless(HIDDEN_BY_Q[verb]) if quiet else whole
    if line[1] != tokens[1]:
        shown = with_own_name(b"k" + line[1], b"k" + tokens[1], shown)
    return Verdict(Passed(b" ".join(line) + b"\r\n", shown), block)


def _spelled(flag: bytes) -> bytes:
    letter, argument = flag[:1], flag[1:]
    if letter in b"TNR":
        return letter + one_expiry(argument)
    return letter + one_number(argument) if letter in b"CFDJ" else flag


def _is_right(head: list[bytes], flags: list[bytes], other: str) -> bool:
    present = {b"I": b"I", b"C": b"C0"}[other.encode()]
    return is_canonical([*head, *(flag for flag in flags if flag != b"q"), present])


def _unless(beginnings: tuple[bytes, ...]) -> Callable[[bytes], bytes]:
    """What q leaves of a reply."""

    def shown(reply: bytes) -> bytes:
        return b"" if reply[:2] in beginnings else reply

    return shown


def debug(tokens: list[bytes], rules: Rules) -> Verdict:
    """me, whose key goes up decoded."""
    (name,) = names(tokens[1:2], rules) or [b""]
    if len(tokens) == 3 and tokens[2] == b"b":
        if not is_canonical([b"mg", name, b"b"]):
            return refused()
        (key,), _ = READINGS[b"mg"]([b"mg", name, b"b"])
    elif len(tokens) == 2 and is_canonical([b"me", name]):
        key = name
    else:
        return refused()
    if not rules.grants(key, "inspect"):
        return denied()
    verdict = passed([b"me", key])
    if name != tokens[1]:
        assert isinstance(verdict.outcome, Passed)
        verdict.outcome.shown = with_own_name(name, tokens[1], whole)
    return verdict


META: dict[bytes, Judge] = {**dict.fromkeys(CLASS, meta), b"me": debug}
