"""Roles and grants: what a principal may do. Everything that is not granted is refused.

A role grants each of its command classes on each of its keys. A principal with several roles has the union of these
pairs, never a cross product: reading "a:*" and writing "b:*" does not add up to writing "a:*".
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mcproxy.policy.keys import KeySet

KEYED_CLASSES = frozenset({"read", "touch", "write", "counter", "delete", "inspect"})
# These commands name no key, so only a role that covers all keys can grant them.
KEYLESS_CLASSES = frozenset({"flush", "stats", "inspect", "admin"})
CLASSES = KEYED_CLASSES | KEYLESS_CLASSES
ALL_KEYS = KeySet(prefixes=frozenset({b""}))


@dataclass(frozen=True)
class Role:
    """Command classes, and the keys on which they are granted."""

    classes: frozenset[str]
    keys: KeySet


class Ruleset:
    """The union of some roles, as the wire layer asks for it."""

    def __init__(self, roles: Iterable[Role]) -> None:
        self._keys: dict[str, KeySet] = {}
        for role in roles:
            for command_class in role.classes:
                self._keys[command_class] = self._keys.get(command_class, KeySet()) | role.keys

    def keys(self, *classes: str) -> KeySet:
        """The keys on which all of `classes` are granted."""
        keys = ALL_KEYS
        for command_class in classes:
            keys = keys & self._keys.get(command_class, KeySet())
        return keys

    def key_pattern(self, *classes: str) -> bytes | None:
        """A regular expression of these keys; None if there are none."""
        return self.keys(*classes).pattern()

    def allows(self, command_class: str) -> bool:
        """Whether a command of this class that names no key is granted: only where the class is granted on all keys."""
        return b"" in self._keys.get(command_class, KeySet()).prefixes
