"""Keys that are too long for memcached, given a name that isn't: `overlong_keys: digest`.

The name begins with as much of the key as there is room for, so that it is held to the same prefixes as the key, and
ends with the SHA-256 of all of it (FIPS 180-4), so that no two keys have the same name.
"""

import hashlib
import re
from typing import Final

from mcproxy.wire.grammar import KEY_BYTE, KEY_LENGTH

READABLE: Final = KEY_LENGTH - 65
_is_key: Final = re.compile(KEY_BYTE + rb"++").fullmatch


def shorten(key: bytes, longest: int) -> bytes:
    """The name of a key of 251 to `longest` bytes; any other key, and what is no key, as it is."""
    if not KEY_LENGTH < len(key) <= longest or _is_key(key) is None:
        return key
    return key[:READABLE] + b":" + hashlib.sha256(key).hexdigest().encode()
