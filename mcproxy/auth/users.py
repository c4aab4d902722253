"""The users of a users file, which has a line per secret and mechanism (user_lines.py), and stand-ins for all others.

Empty lines and lines that start with `#` are skipped. A user may have two lines of the same mechanism while a password
is changed everywhere; the first in the file is the newer. Both have the same salt and iteration count: SCRAM shows one
of each before it knows the password, and one hash serves both, so nobody outside can tell who is changing a password.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from mcproxy.auth.user_lines import format_line, parse_line
from mcproxy.auth.verifiers import (
    DEFAULT_ITERATIONS,
    DEFAULT_MECHANISM,
    DEFAULT_SALT,
    HASHES,
    Verifier,
    mock_verifier,
)

__all__ = ["Users", "UsersFileError", "UsersFileProblem", "format_line", "parse_line", "parse_users"]

MOST_SECRETS: Final = 2
"""Of one user and mechanism."""

MOST_PROBLEMS: Final = 100
"""Of one file. Whatever else is no users file has a problem in each of its millions of lines."""

STAND_IN_KEY_LENGTH: Final = 32
"""Bytes."""

_NO_LINES: Final[dict[str, tuple[Verifier, ...]]] = dict.fromkeys(HASHES, ())
"""What somebody has whom the file doesn't have, as long to look into as what others have."""

_Shape = tuple[str, int, int]
"""What a verifier shows or costs whatever its password: mechanism, iterations, length of the salt."""


@dataclass(frozen=True, slots=True)
class UsersFileProblem:
    """One thing that is wrong with one line; lines are counted from 1."""

    line: int
    message: str


class UsersFileError(ValueError):
    """What is wrong with a users file, in the order of its lines, MOST_PROBLEMS at most. `str()` has a line each."""

    def __init__(self, problems: list[UsersFileProblem]) -> None:
        super().__init__("\n".join(f"line {problem.line}: {problem.message}" for problem in problems))
        self.problems = problems


class Users:
    """Who may log in with a password. Never changes; a reload makes a new one.

    `lines` are names and verifiers in the order of the file; raises ValueError for more than a user may have. The
    stand-ins of two Users are the same if their `stand_in_key` is and their users have alike verifiers; it is random
    by default.
    """

    def __init__(self, lines: Iterable[tuple[str, Verifier]], stand_in_key: bytes | None = None) -> None:
        self._lines = tuple(lines)
        self._users: dict[str, dict[str, tuple[Verifier, ...]]] = {}
        for name, verifier in self._lines:
            mechanisms = self._users.setdefault(name, {})
            known = mechanisms.get(verifier.mechanism, ())
            problem = second_secret_problem(name, verifier, known)
            if problem:
                raise ValueError(problem)
            mechanisms[verifier.mechanism] = (*known, verifier)
        self._rotating = tuple(
            name for name, mechanisms in self._users.items() if max(map(len, mechanisms.values())) > 1
        )
        self._stand_in_key = secrets.token_bytes(STAND_IN_KEY_LENGTH) if stand_in_key is None else stand_in_key
        self._last_stand_in: tuple[Verifier, ...] = ()
        self._usual = {mechanism: self._usual_shape(mechanism) for mechanism in HASHES}
        self._usual_password = _most_common((DEFAULT_MECHANISM, DEFAULT_ITERATIONS, DEFAULT_SALT), self._preferred())

    def verifiers(self, name: str, mechanism: str) -> tuple[Verifier, ...]:
        """A user's one or two verifiers of a mechanism, the newer first; none if there is no such user or line."""
        return self._users.get(name, _NO_LINES).get(mechanism, ())

    def password_verifiers(self, name: str) -> tuple[Verifier, ...]:
        """What a password that came in the clear (PLAIN, token) is checked against: those of the user's preferred
        mechanism, the newer first."""
        mechanisms = self._users.get(name, _NO_LINES)
        return next((mechanisms[mechanism] for mechanism in HASHES if mechanism in mechanisms), ())

    def verifiers_or_stand_in(self, name: str, mechanism: str) -> tuple[Verifier, ...]:
        """As verifiers; where there is none, one that no password matches and that shows what most users' do."""
        return self._or_stand_in(name, self._usual[mechanism], self.verifiers(name, mechanism))

    def password_verifiers_or_stand_in(self, name: str) -> tuple[Verifier, ...]:
        """As password_verifiers; where there is none, one that no password matches and that costs what most do."""
        return self._or_stand_in(name, self._usual_password, self.password_verifiers(name))

    def secrets(self, name: str) -> frozenset[bytes]:
        """Identities of all verifiers of a user: who logged in by another one is to log in again."""
        mechanisms = self._users.get(name, {})
        return frozenset(verifier.identity for verifiers in mechanisms.values() for verifier in verifiers)

    def mechanisms(self, name: str) -> dict[str, tuple[Verifier, ...]]:
        """A user's verifiers by mechanism, the preferred one first; each the newer first."""
        mechanisms = self._users.get(name, {})
        return {mechanism: mechanisms[mechanism] for mechanism in HASHES if mechanism in mechanisms}

    def unlike_most(self) -> list[str]:
        """Users who can be told from a stand-in: by iterations or length of salt, which SCRAM shows, or by what a
        password in the clear is checked against, which takes the time that it takes."""
        shown = set(self._usual.values())
        unlike = {name for name, verifier in self._lines if _shape(verifier) not in shown}
        unlike |= {name for name in self._users if _shape(self.password_verifiers(name)[0]) != self._usual_password}
        return [name for name in self._users if name in unlike]

    def rotating(self) -> tuple[str, ...]:
        """Users who have two secrets now, in the order of the file."""
        return self._rotating

    def names(self) -> list[str]:
        """Every user once, in the order of the file."""
        return list(self._users)

    def lines(self) -> Iterator[tuple[str, Verifier]]:
        """Name and verifier of each line, in the order of the file."""
        return iter(self._lines)

    def __contains__(self, name: object) -> bool:
        return name in self._users

    def __len__(self) -> int:
        return len(self._users)

    def _or_stand_in(self, name: str, shape: _Shape, known: tuple[Verifier, ...]) -> tuple[Verifier, ...]:
        # Made for known users as well: the same steps for everybody, so that time doesn't tell. It is kept until the
        # next one is made: otherwise known users alone would wait until it is freed.
        self._last_stand_in = (mock_verifier(name, self._stand_in_key, *shape),)
        return known or self._last_stand_in

    def _usual_shape(self, mechanism: str) -> _Shape:
        of_mechanism = (self.verifiers(name, mechanism) for name in self._users)
        default = (mechanism, DEFAULT_ITERATIONS, DEFAULT_SALT)
        return _most_common(default, (verifiers[0] for verifiers in of_mechanism if verifiers))

    def _preferred(self) -> Iterator[Verifier]:
        return (self.password_verifiers(name)[0] for name in self._users)


def _shape(verifier: Verifier) -> _Shape:
    return verifier.mechanism, verifier.iterations, len(verifier.salt)


def _most_common(default: _Shape, verifiers: Iterable[Verifier]) -> _Shape:
    """The shape that most of these have. Of equally common ones always the same, whatever the order of the file."""
    counts = Counter(_shape(verifier) for verifier in verifiers)
    return max(counts, key=lambda shape: (counts[shape], shape), default=default)


def second_secret_problem(name: str, verifier: Verifier, known: tuple[Verifier, ...]) -> str | None:
    """Why a user's line can't stand behind those of the same mechanism that are `known`; None if it can."""
    if not known:
        return None
    mechanism = verifier.mechanism
    if len(known) >= MOST_SECRETS:
        return f"{name!r} already has two {mechanism} lines, the newer and the older secret; take out what isn't used"
    if verifier.cost != known[0].cost:
        return (
            f"{name!r} already has a {mechanism} line, with another salt or iteration count; "
            "two secrets of a user must agree in these: make the newer one with 'mcproxy user passwd --keep-old'"
        )
    if verifier == known[0]:
        return f"{name!r} has the same {mechanism} line twice; keep one of them"
    return None


def _lines_of(text: str) -> Iterator[str]:
    """One after the other: all at once take many times the memory of the text.

    Not splitlines(): it also splits at characters that a name may hold as far as lines are concerned.
    """
    start = 1 if text.startswith("\ufeff") else 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def parse_users(text: str, stand_in_key: bytes | None = None) -> Users:
    """Raises UsersFileError with the first MOST_PROBLEMS of the file. A file without users is fine: nobody may log in.

    `stand_in_key` as for Users.
    """
    lines: list[tuple[str, Verifier]] = []
    seen: dict[tuple[str, str], list[tuple[int, Verifier]]] = {}
    problems: list[UsersFileProblem] = []
    for number, line in enumerate(_lines_of(text), start=1):
        if len(problems) >= MOST_PROBLEMS:
            problems.append(UsersFileProblem(number, "and perhaps more from here on; it was not read to its end"))
            break
        line = line.removesuffix("\r").rstrip(" \t")
        if not line or line.startswith("#"):
            continue
        try:
            name, verifier = parse_line(line)
        except ValueError as refused:
            problems.append(UsersFileProblem(number, str(refused)))
            continue
        before = seen.setdefault((name, verifier.mechanism), [])
        problem = second_secret_problem(name, verifier, tuple(known for _, known in before))
        if problem:
            where = f"line {' and '.join(str(line_number) for line_number, _ in before)}"
            problems.append(UsersFileProblem(number, f"{problem} (see {where})"))
            continue
        before.append((number, verifier))
        lines.append((name, verifier))
    if problems:
        raise UsersFileError(problems)
    return Users(lines, stand_in_key)
