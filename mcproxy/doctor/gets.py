"""The one command that is tried without a login: a get of a key that nobody has. It changes nothing."""

from __future__ import annotations

from mcproxy.wire import binary_operations as operations

_KEY = b"mcproxy-doctor"

TEXT_GET = b"get " + _KEY + b"\r\n"
BINARY_GET = (
    operations.HEADER.pack(operations.REQUEST_MAGIC, operations.GET, len(_KEY), 0, 0, 0, len(_KEY), 0, 0) + _KEY
)
