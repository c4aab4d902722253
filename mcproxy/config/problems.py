"""What can be wrong with a configuration, as data: where it is and what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_ENDLESS_WORD = re.compile(r"[^\s/]{256,}")  # a part of a path has at most 255 bytes (NAME_MAX)

Place = tuple[str | int, ...]
"""Where something stands in the document: the keys and list positions that lead to it."""


class Finding(NamedTuple):
    """A problem before its file and line are known: rules and validators speak of places alone.

    `about` are other parts of the document that the finding rests on: if one is wrong itself, this may be too. For an
    unknown key it is the known one that was perhaps meant.
    """

    place: Place
    message: str
    about: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, told so that a person can act on it. `str()` is one line: `file:line: key: message`."""

    file: Path
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        where = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        message = shortened(self.message)
        parts = [where, shortened(self.key), message] if self.key else [where, message]
        return printable(": ".join(parts))


class ConfigurationError(Exception):
    """The configuration can't be used. `problems` holds everything that is wrong; `str()` has a line for each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def shortened(text: str) -> str:
    """The text with endless words cut, such as a number of 5000 digits. File names are shorter than those."""
    return _ENDLESS_WORD.sub(lambda word: f"{word[0][:40]}... ({len(word[0])} characters)", text)


def printable(text: str) -> str:
    """The text with everything that could break or colour a terminal line escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def dotted(place: Place) -> str:
    """`("grants", 0, "roles")` -> `grants[0].roles`."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was perhaps meant by a mistyped word; None if nothing known is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word.lower(), [name.lower() for name in known], n=1)
    return next(name for name in known if name.lower() == near[0]) if near else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean "bind"?` when something known is near, else all that is known."""
    known = sorted(known)
    near = nearest(word, known)
    if near is not None:
        return f'did you mean "{near}"?'
    return f"known are: {', '.join(known)}" if known else "there are none"
