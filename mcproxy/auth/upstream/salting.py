"""The salted password of SCRAM, kept for the next login as RFC 5802 section 5.1 suggests.

Servers seldom change a salt, and how long hashing takes is theirs to say. Whoever can read this memory finds the
password beside it.
"""

import hashlib


class SaltedPassword:
    """The last one that was asked for. Threads may share it: at worst each hashes for itself."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[str, bytes, bytes, int], bytes] | None = None

    def of(self, algorithm: str, password: bytes, salt: bytes, iterations: int) -> bytes:
        """RFC 5802 section 2.2, `Hi`. `algorithm` by its name in hashlib; the password as SASLprep makes it."""
        asked = (algorithm, password, salt, iterations)
        kept = self._kept
        if kept is not None and kept[0] == asked:
            return kept[1]
        salted = hashlib.pbkdf2_hmac(algorithm, password, salt, iterations)
        self._kept = (asked, salted)
        return salted
