"""SCRAM verifiers: what is kept of a password (RFC 5802 section 3, RFC 7677).

A verifier lets a password be checked without holding it: PLAIN and the token login compute the stored key again,
SCRAM needs both keys. Everything here is pure computation; `matching` takes milliseconds by design and belongs into a
thread (`hashlib.pbkdf2_hmac` lets go of the interpreter lock while it works).
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mcproxy.auth.preparation import PASSWORD_LIMIT, PreparationError, prepare

HASHES: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512", "SCRAM-SHA-1": "sha1"}
"""Mechanisms that a verifier may be made for, and their hashes. The order is the order of preference."""

DEFAULT_MECHANISM: Final = "SCRAM-SHA-256"
DEFAULT_ITERATIONS: Final = 32_768
"""Cyrus clients refuse more than 65,536 (measured); RFC 7677 asks for at least 4,096."""
MINIMUM_ITERATIONS: Final = 4096
MAXIMUM_ITERATIONS: Final = 1_000_000
MINIMUM_SALT: Final = 8
MAXIMUM_SALT: Final = 64
DEFAULT_SALT: Final = 16


class PasswordError(ValueError):
    """A password that no verifier can be made of. The message says why and never holds the password."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Raises ValueError for an unknown mechanism or values out of bounds; its message never holds the values."""

    mechanism: str
    iterations: int
    salt: bytes
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.mechanism not in HASHES:
            raise ValueError(f"unknown mechanism; known are {', '.join(HASHES)}")
        if not MINIMUM_ITERATIONS <= self.iterations <= MAXIMUM_ITERATIONS:
            raise ValueError(f"the iteration count must be from {MINIMUM_ITERATIONS} to {MAXIMUM_ITERATIONS}")
        if not MINIMUM_SALT <= len(self.salt) <= MAXIMUM_SALT:
            raise ValueError(f"the salt must be from {MINIMUM_SALT} to {MAXIMUM_SALT} bytes long")
        length = hashlib.new(HASHES[self.mechanism]).digest_size
        if len(self.stored_key) != length or len(self.server_key) != length:
            raise ValueError(f"the stored key and the server key of {self.mechanism} must be {length} bytes long each")

    def matches(self, password: str) -> bool:
        """Whether this is the password; what SASLprep refuses is not. Slow on purpose; compares in constant time."""
        return matching((self,), password) is not None

    @property
    def identity(self) -> bytes:
        """Changes whenever the verifier does: what was remembered under another identity no longer counts."""
        header = f"{self.mechanism}${self.iterations}${self.salt.hex()}$".encode()
        return hashlib.sha256(header + self.stored_key + self.server_key).digest()

    @property
    def cost(self) -> tuple[str, int, bytes]:
        """Mechanism, iterations and salt: verifiers that agree in these are tried with one hash."""
        return self.mechanism, self.iterations, self.salt


def matching(verifiers: Sequence[Verifier], password: str) -> Verifier | None:
    """The first of these whose password this is; what SASLprep refuses is nobody's. Slow on purpose.

    They must agree in mechanism, salt and iterations, as a user's two secrets do, so that one hash serves all; else
    ValueError, and so for none at all. All are compared, each in constant time: the time doesn't tell which it was.
    The stored key decides, as it does for SCRAM: whoever knows only the server key gets nowhere.
    """
    first = verifiers[0] if verifiers else None
    if first is None or any(verifier.cost != first.cost for verifier in verifiers):
        raise ValueError("one hash serves only verifiers of the same mechanism, salt and iterations")
    try:
        prepared = prepare(password)
    except PreparationError:
        return None
    stored_key, _ = _keys(first.mechanism, prepared, first.salt, first.iterations)
    matched = [verifier for verifier in verifiers if hmac.compare_digest(stored_key, verifier.stored_key)]
    return matched[0] if matched else None


def make_verifier(
    password: str,
    iterations: int = DEFAULT_ITERATIONS,
    salt: bytes | None = None,
    mechanism: str = DEFAULT_MECHANISM,
) -> Verifier:
    """A verifier for a password, with 16 random bytes of salt unless given.

    Raises PasswordError for a password that is empty, too long or refused by SASLprep (RFC 4013), ValueError for
    bounds as in Verifier.
    """
    if not password:
        raise PasswordError("the password is empty")
    if len(password.encode(errors="surrogatepass")) > PASSWORD_LIMIT:
        raise PasswordError(f"the password is longer than {PASSWORD_LIMIT} bytes")
    problem = ""
    try:
        prepared = prepare(password)
    except PreparationError as refused:
        problem = str(refused)
    if problem:
        raise PasswordError(f"SASLprep (RFC 4013) refuses the password: {problem}")
    if mechanism not in HASHES:
        raise ValueError(f"unknown mechanism; known are {', '.join(HASHES)}")
    if not 0 < iterations <= MAXIMUM_ITERATIONS:
        raise ValueError(f"the iteration count must be from {MINIMUM_ITERATIONS} to {MAXIMUM_ITERATIONS}")
    salt = secrets.token_bytes(DEFAULT_SALT) if salt is None else salt
    return Verifier(mechanism, iterations, salt, *_keys(mechanism, prepared, salt, iterations))


def mock_verifier(
    name: str,
    key: bytes,
    mechanism: str = DEFAULT_MECHANISM,
    iterations: int = DEFAULT_ITERATIONS,
    salt_length: int = DEFAULT_SALT,
) -> Verifier:
    """A stand-in for a user that does not exist: the same for the same name and key, and no password matches it.

    It costs what a real one costs and, for SCRAM, shows a salt that stays the same, so that neither time nor salt
    tells who exists (RFC 5802 section 9 leaves that to the server). Who knows the key can tell.
    """

    def derive(purpose: str, hash_name: str) -> bytes:
        header = f"{mechanism} {purpose}\0".encode()
        return hmac.digest(key, header + name.encode(errors="surrogatepass"), hash_name)

    salt = derive("salt", "sha512")[:salt_length]  # 64 bytes: as long as a salt may be
    stored_key, server_key = (derive(purpose, HASHES[mechanism]) for purpose in ("stored key", "server key"))
    return Verifier(mechanism, iterations, salt, stored_key, server_key)


def _keys(mechanism: str, password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """StoredKey and ServerKey of RFC 5802 section 3."""
    hash_name = HASHES[mechanism]
    salted = hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return hashlib.new(hash_name, client_key).digest(), hmac.digest(salted, b"Server Key", hash_name)
