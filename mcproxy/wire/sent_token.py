"""The token that a client logged in with, known again when it is sent as data."""

import hashlib
import secrets
from typing import Final

_KEY: Final = secrets.token_bytes(32)


class SentToken:
    """A digest under a key of this process is kept, so that the token itself need not be. `length` in bytes."""

    def __init__(self, token: bytes) -> None:
        self.length = len(token)
        self._digest = _digest(token)

    def is_in(self, data: bytes, start: int, end: int) -> bool:
        """Whether these bytes are the token."""
        return end - start == self.length and secrets.compare_digest(_digest(data[start:end]), self._digest)


def _digest(token: bytes) -> bytes:
    return hashlib.blake2b(token, key=_KEY, digest_size=32).digest()
