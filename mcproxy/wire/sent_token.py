"""The token that a client logged in with, known again when it is sent as data."""

import hashlib
import secrets
from typing import Final

_KEY: Final = secrets.token_bytes(32)
STORED: Final = b"STORED\r\n"


class SentToken:
    """A digest under a key of this process is kept, so that the token itself need not be. `length` in bytes."""

    def __init__(self, token: bytes) -> None:
        self.length = len(token)
        self._digest = _digest(token)

    def reply_to(self, tokens: list[bytes]) -> bytes | None:
        """The answer to a command that brings it again; None if these words announce no data block of its length.

        Quiet flags don't count, as they don't at the login.
        """
        if tokens[0] == b"set" and len(tokens) in (5, 6):
            announced, reply = tokens[4], STORED
        elif tokens[0] == b"ms" and len(tokens) > 2:
            announced, reply = tokens[2], b"HD\r\n"
        else:
            return None
        return reply if announced == b"%d" % self.length else None

    def is_in(self, data: bytes, start: int, end: int) -> bool:
        """Whether these bytes are the token."""
        return end - start == self.length and secrets.compare_digest(_digest(data[start:end]), self._digest)


def _digest(token: bytes) -> bytes:
    return hashlib.blake2b(token, key=_KEY, digest_size=32).digest()
