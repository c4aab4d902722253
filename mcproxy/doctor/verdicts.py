"""What an examination says: a verdict on something, what was seen, why it matters and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """In the order of their weight, the heaviest first."""

    FINDING = "finding"
    """Somebody can do what they should not, or soon nobody can do what they should."""
    COULD_NOT_TELL = "could not tell"
    """It could not be looked at. That is never taken for good."""
    NOTE = "note"
    """Worth knowing; it may well be meant."""
    OK = "ok"


FAILING = frozenset({Verdict.FINDING, Verdict.COULD_NOT_TELL})
"""Any of these makes the exit status 1."""


@dataclass(frozen=True, slots=True)
class Result:
    """`subject` is what was looked at, such as `listener private`. `seen`, `why` and `remedy` are for people, and never
    hold a secret; without a `why` of its own the examination's reason stands for it. `remedy` is empty where nothing
    is to be done."""

    verdict: Verdict
    subject: str
    seen: str
    remedy: str = ""
    why: str = ""


MOST_SHOWN = 1000
"""Characters of what was seen: some of it is what others say of themselves."""


def shown(seen: str) -> str:
    return seen if len(seen) <= MOST_SHOWN else f"{seen[:MOST_SHOWN]}... ({len(seen)} characters)"


def ok(subject: str, seen: str) -> Result:
    return Result(Verdict.OK, subject, shown(seen))


def note(subject: str, seen: str, remedy: str = "", why: str = "") -> Result:
    return Result(Verdict.NOTE, subject, shown(seen), remedy, why)


def finding(subject: str, seen: str, remedy: str, why: str = "") -> Result:
    return Result(Verdict.FINDING, subject, shown(seen), remedy, why)


def could_not_tell(subject: str, seen: str, remedy: str = "", why: str = "") -> Result:
    return Result(Verdict.COULD_NOT_TELL, subject, shown(seen), remedy, why)
