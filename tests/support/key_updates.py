"""A client of TLS 1.3 that changes its keys again and again (RFC 8446 section 4.6.3), for which ssl has no word."""

import _ssl
import ctypes
import ssl
from typing import Any, Final

_REQUESTED: Final = 1  # SSL_KEY_UPDATE_REQUESTED of <openssl/ssl.h>
LENGTH: Final = 27
"""Bytes of one on the wire, with a suite of RFC 8446: a header of 5, a message of 5, a type of 1 and a tag of 16."""


class KeyUpdates:
    """Over memory buffers, after the handshake: `take` gives the bytes of so many of them."""

    def __init__(self, client: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> None:
        self._outgoing = outgoing
        self._library: Any = ctypes.CDLL(_ssl.__file__)
        self._library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
        self._library.SSL_do_handshake.argtypes = [ctypes.c_void_p]
        self._library.SSL_version.argtypes = [ctypes.c_void_p]
        # PySSLSocket of CPython: PyObject_HEAD, PyObject *Socket, SSL *ssl.
        inner = client._sslobj  # type: ignore[attr-defined]
        address = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
        self._connection = ctypes.c_void_p.from_address(address).value
        assert self._library.SSL_version(self._connection) == 0x0304

    def take(self, count: int) -> bytes:
        for _ in range(count):
            assert self._library.SSL_key_update(self._connection, _REQUESTED) == 1
            self._library.SSL_do_handshake(self._connection)
        return self._outgoing.read()
