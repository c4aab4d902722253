"""The users file: `name:SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, a line per mechanism.

Salt and keys are base64 (RFC 4648 section 4, canonical and padded). Empty lines and lines that start with `#` are
skipped. No message ever repeats a line's secret part.
"""

import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from mcproxy.auth.preparation import name_problem
from mcproxy.auth.verifiers import DEFAULT_ITERATIONS, HASHES, Verifier

_SHAPE: Final = re.compile(r"([A-Za-z0-9-]+)\$([0-9]{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_EXPECTED: Final = "name:SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"


@dataclass(frozen=True, slots=True)
class UsersFileProblem:
    """One thing that is wrong with one line; lines are counted from 1."""

    line: int
    message: str


class UsersFileError(ValueError):
    """Everything that is wrong with a users file, in the order of its lines. `str()` has one line for each."""

    def __init__(self, problems: list[UsersFileProblem]) -> None:
        super().__init__("\n".join(f"line {problem.line}: {problem.message}" for problem in problems))
        self.problems = problems


class Users:
    """Who may log in with a password. Never changes; a reload makes a new one."""

    def __init__(self, verifiers: Mapping[tuple[str, str], Verifier]) -> None:
        self._verifiers = dict(verifiers)
        counts = Counter(verifier.iterations for verifier in self._verifiers.values())
        self.usual_iterations = counts.most_common(1)[0][0] if counts else DEFAULT_ITERATIONS
        """The iteration count that most users have: what a stand-in for an unknown user should show and cost."""

    def verifier(self, name: str, mechanism: str) -> Verifier | None:
        return self._verifiers.get((name, mechanism))

    def password_verifier(self, name: str) -> Verifier | None:
        """What a password that came in the clear (PLAIN, token) is checked against: the user's preferred verifier."""
        for mechanism in HASHES:
            verifier = self._verifiers.get((name, mechanism))
            if verifier is not None:
                return verifier
        return None

    def names(self) -> list[str]:
        """Every user once, in the order of the file."""
        return list(dict.fromkeys(name for name, _ in self._verifiers))

    def lines(self) -> Iterator[tuple[str, Verifier]]:
        """Name and verifier of each line, in the order of the file."""
        for (name, _), verifier in self._verifiers.items():
            yield name, verifier

    def __contains__(self, name: object) -> bool:
        return any((name, mechanism) in self._verifiers for mechanism in HASHES)

    def __len__(self) -> int:
        return len(self.names())


def parse_users(text: str) -> Users:
    """Raises UsersFileError with every problem of the file. A file without users is fine: nobody may log in."""
    verifiers: dict[tuple[str, str], Verifier] = {}
    first_seen: dict[tuple[str, str], int] = {}
    problems: list[UsersFileProblem] = []
    # Not splitlines(): it also splits at characters that a name may hold as far as lines are concerned.
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = line.removesuffix("\r").rstrip(" \t")
        if not line or line.startswith("#"):
            continue
        try:
            name, verifier = parse_line(line)
        except ValueError as refused:
            problems.append(UsersFileProblem(number, str(refused)))
            continue
        key = (name, verifier.mechanism)
        if key in first_seen:
            message = f"{name!r} already has a {verifier.mechanism} line, line {first_seen[key]}; keep one of them"
            problems.append(UsersFileProblem(number, message))
            continue
        first_seen[key] = number
        verifiers[key] = verifier
    if problems:
        raise UsersFileError(problems)
    return Users(verifiers)


def parse_line(line: str) -> tuple[str, Verifier]:
    """Name and verifier of one line. Raises ValueError, whose message never holds what follows the name."""
    name, colon, rest = line.partition(":")
    if not colon:
        # The whole line may be a password that somebody put here by mistake: nothing of it is repeated.
        raise ValueError(f"no ':' after the name; a line is {_EXPECTED}")
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    shape = _SHAPE.fullmatch(rest)
    if not shape:
        raise ValueError(
            f"what follows the name {name!r} is not a verifier ({_EXPECTED}); "
            "passwords are never kept in the clear: make the line with 'mcproxy user add'"
        )
    mechanism, iterations, *encoded = shape.groups()
    if mechanism not in HASHES:
        raise ValueError(f"{name!r} has an unknown mechanism; known are {', '.join(HASHES)}")
    salt, stored_key, server_key = (_decode(name, part) for part in encoded)
    try:
        return name, Verifier(mechanism, int(iterations), salt, stored_key, server_key)
    except ValueError as refused:
        raise ValueError(f"{name!r}: {refused}") from None


def format_line(name: str, verifier: Verifier) -> str:
    """The line of the users file, without its line end. Raises ValueError for a name that cannot stand there."""
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    salt, stored_key, server_key = (
        b64encode(part).decode() for part in (verifier.salt, verifier.stored_key, verifier.server_key)
    )
    return f"{name}:{verifier.mechanism}${verifier.iterations}:{salt}${stored_key}:{server_key}"


def _decode(name: str, encoded: str) -> bytes:
    """Canonical base64 only: `b64decode` alone ignores stray trailing bits."""
    decoded = b""
    try:
        decoded = b64decode(encoded, validate=True)
    except ValueError:
        decoded = b""
    if not decoded or b64encode(decoded).decode() != encoded:
        raise ValueError(f"salt or keys of {name!r} are not canonical base64")
    return decoded
