"""Sets of keys: exact keys and prefixes, their union, their intersection, and the pattern that matches just them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

# The key of memcached's protocol.txt: up to 250 bytes, no control characters or white space.
KEY_BYTE = rb"[\x21-\x7e\x80-\xff]"
KEY_LENGTH = 250


_is_part = re.compile(KEY_BYTE + rb"{0,%d}" % KEY_LENGTH).fullmatch


@dataclass(frozen=True)
class KeySet:
    """Keys given one by one and by prefix. The empty prefix stands for all keys."""

    exact: frozenset[bytes] = frozenset()
    prefixes: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> "KeySet":
        """From a role's `keys`: a trailing * makes a prefix. Raises ValueError for what is neither."""
        exact: set[bytes] = set()
        prefixes: set[bytes] = set()
        for entry in entries:
            raw = entry.encode("utf-8", "surrogateescape")
            part = raw.removesuffix(b"*")
            if not raw or b"*" in part or _is_part(part) is None:
                raise ValueError(f"not a key or a prefix ending in *: {entry!r}")
            (prefixes if raw != part else exact).add(part)
        return cls(frozenset(exact), frozenset(prefixes))

    def __or__(self, other: "KeySet") -> "KeySet":
        return KeySet(self.exact | other.exact, self.prefixes | other.prefixes)

    def __and__(self, other: "KeySet") -> "KeySet":
        exact = {key for key in self.exact if key in other} | {key for key in other.exact if key in self}
        # Of two prefixes that meet, the longer one is what they share.
        prefixes = {prefix for prefix in self.prefixes if other.covers(prefix)}
        prefixes |= {prefix for prefix in other.prefixes if self.covers(prefix)}
        return KeySet(frozenset(exact), frozenset(prefixes))

    def __contains__(self, key: bytes) -> bool:
        return key in self.exact or self.covers(key)

    def __bool__(self) -> bool:
        return bool(self.exact or self.prefixes)

    def covers(self, text: bytes) -> bool:
        """Whether every key that begins with `text` is in one of the prefixes."""
        return any(text[:length] in self.prefixes for length in range(len(text) + 1))

    def pattern(self) -> bytes | None:
        """A regular expression of just these keys, without groups; None for the empty set.

        It is a trie, so its cost doesn't grow with the number of prefixes.
        """
        if not self:
            return None
        root = _Node()
        for prefix in self.prefixes:
            root.insert(prefix).is_prefix = True
        for key in self.exact:
            root.insert(key).is_key = True
        return b"(?:" + root.pattern(0) + b")"


@dataclass
class _Node:
    children: "dict[int, _Node]" = field(default_factory=dict)
    is_prefix: bool = False
    is_key: bool = False

    def insert(self, text: bytes) -> "_Node":
        node = self
        for byte in text:
            node = node.children.setdefault(byte, _Node())
        return node

    def pattern(self, depth: int) -> bytes:
        """What may follow here. `depth` bytes of the key came before."""
        if self.is_prefix:
            # At least one byte in all: the empty prefix does not make the empty key a key.
            return KEY_BYTE + b"{%d,%d}+" % (0 if depth else 1, KEY_LENGTH - depth)
        # One child after another without a branch is plain text: no recursion for it, prefixes may be 250 bytes long.
        text = b""
        node = self
        while len(node.children) == 1 and not node.is_key and not node.is_prefix:
            byte, node = next(iter(node.children.items()))
            text += re.escape(bytes([byte]))
            depth += 1
        if text:
            return text + node.pattern(depth)
        branches = [
            re.escape(bytes([byte])) + child.pattern(depth + 1) for byte, child in sorted(self.children.items())
        ]
        if self.is_key:
            branches.append(b"")
        return branches[0] if len(branches) == 1 else b"(?:" + b"|".join(branches) + b")"
