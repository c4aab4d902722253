"""What a TLS listener needs of OpenSSL and Python's ssl can't ask for.

The key exchange groups. OpenSSL's default has more than Mozilla recommends (X448, P-521, groups of finite fields); they
cost the server much and nobody needs them. Python's ssl can't name several before 3.15: `set_ecdh_curve` takes one.
With P-256 alone nearly all clients have to try twice, since they offer X25519 first. That is a round trip for them, and
for the server a third of its handshakes: 4,200 in place of 6,100 a second, measured on CPython 3.11 with OpenSSL 3.0.

The cache of sessions. Without tickets TLS 1.3 resumes nothing, but in TLS 1.2 a client may name a session of before by
its number, and would be let in on the certificate that it showed then.

So for the versions of CPython whose objects are known, OpenSSL is asked directly: its SSL_CTX is the first member of
CPython's context object. Whether it really is, is seen before anything is changed: what OpenSSL says of it must be what
Python says of the context. The functions come out of the library that Python's own _ssl is linked with, so there is
no second OpenSSL. Where any of that doesn't hold, there is one group, P-256; and handshakes that resume a session are
refused (tls.py) in any case.
"""

import _ssl
import ssl
import sys
from typing import Any, Final

GROUPS: Final = "X25519:P-256:P-384"
ONLY_GROUP: Final = "prime256v1"

_KNOWN: Final = ((3, 11), (3, 12), (3, 13), (3, 14))
"""Versions of CPython whose Modules/_ssl.c was read: PySSLContext is PyObject_HEAD, then SSL_CTX *ctx."""

# Of <openssl/ssl.h>: what macros such as SSL_CTX_set1_groups_list pass on to SSL_CTX_ctrl.
_SET_SESS_CACHE_MODE: Final = 44
_GET_SESS_CACHE_MODE: Final = 45
_SET_GROUPS_LIST: Final = 92
_SESS_CACHE_OFF: Final = 0


def restrict_groups(context: ssl.SSLContext) -> str:
    """Leave the context those groups alone; returns the ones that it has now. Raises ssl.SSLError."""
    set_groups = getattr(context, "set_groups", None)
    if set_groups is not None:
        set_groups(GROUPS)
        return GROUPS
    if _control(context, _SET_GROUPS_LIST, 0, GROUPS.encode()) == 1:
        return GROUPS
    context.set_ecdh_curve(ONLY_GROUP)
    return ONLY_GROUP


def keep_no_sessions(context: ssl.SSLContext) -> bool:
    """Have the context remember no session of TLS 1.2; returns whether that could be done."""
    _control(context, _SET_SESS_CACHE_MODE, _SESS_CACHE_OFF, None)
    return _control(context, _GET_SESS_CACHE_MODE, 0, None) == _SESS_CACHE_OFF


def _control(context: ssl.SSLContext, command: int, number: int, argument: bytes | None) -> int | None:
    """SSL_CTX_ctrl on the context; None if it can't be reached without doubt."""
    if sys.implementation.name != "cpython" or sys.version_info[:2] not in _KNOWN:
        return None
    library = _openssl()
    if library is None:
        return None
    import ctypes

    pointer = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not pointer or pointer % ctypes.sizeof(ctypes.c_void_p):
        return None
    if library.SSL_CTX_get_options(pointer) != context.options:
        return None
    if library.SSL_CTX_get_num_tickets(pointer) != context.num_tickets:
        return None
    return int(library.SSL_CTX_ctrl(pointer, command, number, argument))


def _openssl() -> Any:
    """The libssl of Python's own _ssl, None where that can't be had: where it is linked in statically, say, or where
    Python was built without ctypes, which nothing else needs."""
    try:
        import ctypes

        library = ctypes.CDLL(_ssl.__file__)
        library.SSL_CTX_get_options.argtypes = [ctypes.c_void_p]
        library.SSL_CTX_get_options.restype = ctypes.c_uint64
        library.SSL_CTX_get_num_tickets.argtypes = [ctypes.c_void_p]
        library.SSL_CTX_get_num_tickets.restype = ctypes.c_size_t
        library.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p]
        library.SSL_CTX_ctrl.restype = ctypes.c_long
    except (AttributeError, ImportError, OSError):
        return None
    return library
