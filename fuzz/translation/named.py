"""The differences that docs/protocol.md names and explains."""

import re

from fuzz.translation.comparison import Reply
from mcproxy.wire.grammar import decode_key

_KEY = re.compile(rb" k(\S+)( b(?=[ \r]|$))?")


def name_of(expected: Reply, got: Reply) -> str | None:
    """The name of a difference between two replies; None if it has none, which is a fault."""
    if _with_plain_key(expected.shown) == _with_plain_key(got.shown):
        return "k as the client spelled it"
    return None


def _with_plain_key(shown: bytes) -> bytes:
    line, end, value = shown.partition(b"\r\n")
    found = _KEY.search(line)
    if found is None or line.startswith(b"VALUE"):
        return shown
    key = decode_key(found[1]) if found[2] else found[1]
    return line[: found.start()] + b" k" + (key or b"") + line[found.end() :] + end + value
