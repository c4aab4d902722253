"""Overlong keys: what they are called upstream, and how the client gets its own name back."""

import hashlib
from collections.abc import Callable

from fuzz.differential.rules import OVERLONG_LIMIT, Rules

KEY_LIMIT = 250


def names(keys: list[bytes], rules: Rules) -> list[bytes]:
    """What the keys are called upstream."""
    return [shortened(key) if len(key) > KEY_LIMIT else key for key in keys] if rules.digest else keys


def shortened(key: bytes) -> bytes:
    """The name of an overlong key: its beginning, and the SHA-256 of all of it. Anything else as it is."""
    if len(key) > OVERLONG_LIMIT or any(byte <= 0x20 or byte == 0x7F for byte in key):
        return key
    return key[: KEY_LIMIT - 65] + b":" + hashlib.sha256(key).hexdigest().encode()


def under_own_names(own: dict[bytes, bytes]) -> Callable[[bytes], bytes]:
    """A retrieval's reply with the client's own keys in it."""

    def shown(reply: bytes) -> bytes:
        parts, position = [], 0
        while reply.startswith(b"VALUE ", position):
            end = reply.index(b"\r\n", position)
            words = reply[position:end].split(b" ")
            after = end + 2 + int(words[3]) + 2
            parts.append(b" ".join([words[0], own.get(words[1], words[1]), *words[2:]]) + reply[end:after])
            position = after
        return b"".join(parts) + reply[position:]

    return shown


def with_own_name(name: bytes, own: bytes, shown: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """The reply with the client's own key where its line names it."""

    def renamed(reply: bytes) -> bytes:
        line, end, rest = shown(reply).partition(b"\r\n")
        return b" ".join(own if word == name else word for word in line.split(b" ")) + end + rest

    return renamed
