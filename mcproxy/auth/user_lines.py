"""One line of the users file: `name:SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.

What follows the name has the shape of PostgreSQL's SCRAM secrets. Salt and keys are base64 (RFC 4648 section 4,
canonical and padded). No message ever repeats a line's secret part.
"""

import re
from base64 import b64decode, b64encode
from typing import Final

from mcproxy.auth.preparation import name_problem
from mcproxy.auth.verifiers import HASHES, Verifier

_SHAPE: Final = re.compile(r"([A-Za-z0-9-]+)\$([0-9]{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")
_EXPECTED: Final = "name:SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"


def parse_line(line: str) -> tuple[str, Verifier]:
    """Name and verifier of one line. Raises ValueError, whose message never holds what follows the name."""
    name, colon, secret = line.partition(":")
    if not colon:
        # The whole line may be a password that somebody put here by mistake: nothing of it is repeated.
        raise ValueError(f"no ':' after the name; a line is {_EXPECTED}")
    problem = name_problem(name)
    if problem:
        raise ValueError(problem)
    if not _SHAPE.fullmatch(secret):
        raise ValueError(
            f"what follows the name {name!r} is not a verifier ({_EXPECTED}); "
            "passwords are never kept in the clear: make the line with 'mcproxy user add'"
        )
    return name, parse_secret(name, secret)


def parse_secret(name: str, secret: str) -> Verifier:
    """The verifier that follows a name; the name is for messages. Raises ValueError as parse_line does."""
    shape = _SHAPE.fullmatch(secret)
    if not shape:
        raise ValueError(f"{name!r}: not a verifier, {_EXPECTED.partition(':')[2]}")
    mechanism, iterations, *encoded = shape.groups()
    if mechanism not in HASHES:
        raise ValueError(f"{name!r} has an unknown mechanism; known are {', '.join(HASHES)}")
    salt, stored_key, server_key = (_decode(name, part) for part in encoded)
    try:
        return Verifier(mechanism, int(iterations), salt, stored_key, server_key)
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
