"""What the listeners of the fuzzed program allow, as its configuration says it and as the readings ask for it."""

from dataclasses import dataclass
from typing import Any

VALUE_LIMIT = 20_000
"""Bytes. Above the 16 KiB from which the program passes values on in pieces, and small enough to go beyond at speed."""

KEYS_LIMIT = 150
"""Keys of one retrieval: more than go into one line upstream, so that retrievals are cut."""

LINE_LIMIT = 2048
"""Bytes of a line that is no retrieval, without its line feed."""

TOKENS_LIMIT = 24
"""Words of a line that is no retrieval."""

RETRIEVAL_LIMIT = {False: KEYS_LIMIT * 251 + 64, True: KEYS_LIMIT * 1025 + 64}
"""The same of a retrieval, by whether overlong keys are shortened."""

OVERLONG_LIMIT = 1024
"""Bytes of an overlong key that is shortened."""

SWALLOWED = 1 << 30
"""The longest data block that a refusal swallows; beyond, nobody knows where the frame ends."""

ROLES: dict[str, dict[str, Any]] = {
    "everything": {"commands": ["*"], "keys": ["*"]},
    "reads": {"commands": ["read"], "keys": ["app:*", "n:*", "noreply", "a"]},
    "writes": {"commands": ["write", "delete"], "keys": ["app:*", "k*"]},
    "counts": {"commands": ["counter", "touch"], "keys": ["n:*", "app:1"]},
    "looks": {"commands": ["stats"], "keys": ["*"]},
}
LIMITED = ("reads", "writes", "counts", "looks")


@dataclass(frozen=True)
class Rules:
    """One listener's: `pairs` are a role's command classes and its keys, exact ones or prefixes with a `*`.

    `digest`: overlong keys go up under a name that isn't.
    """

    name: str
    digest: bool
    pairs: tuple[tuple[frozenset[str], tuple[bytes, ...]], ...]

    def grants(self, key: bytes, *classes: str) -> bool:
        """Whether every one of `classes` is granted on this key by some role."""
        return all(any(wanted in has and covers(keys, key) for has, keys in self.pairs) for wanted in classes)

    def allows(self, wanted: str) -> bool:
        """Whether a command of this class that names no key is granted."""
        return any(wanted in has and b"*" in keys for has, keys in self.pairs)


def covers(keys: tuple[bytes, ...], key: bytes) -> bool:
    """Whether one of `keys` is `key` or a prefix of it."""
    return any(key.startswith(each[:-1]) if each.endswith(b"*") else key == each for each in keys)


def _rules(name: str, *roles: str, digest: bool = False) -> Rules:
    classes = frozenset(["read", "touch", "write", "counter", "delete", "flush", "stats", "inspect", "admin"])
    return Rules(
        name,
        digest,
        tuple(
            (
                classes if ROLES[role]["commands"] == ["*"] else frozenset(ROLES[role]["commands"]),
                tuple(key.encode() for key in ROLES[role]["keys"]),
            )
            for role in roles
        ),
    )


EVERYTHING = _rules("everything", "everything")
FEW = _rules("limited", *LIMITED)
DIGEST = _rules("digest", "everything", digest=True)
LISTENERS = (EVERYTHING, FEW, DIGEST)
