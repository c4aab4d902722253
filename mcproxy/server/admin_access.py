"""Who may ask the admin port: by the name that it is called by (the Host header), and by the token.

A web page that a browser shows can have its own name's DNS answer with the address of this port (DNS rebinding), and
would then read whatever is served to that name. It can't make the browser send another Host than its own name, so
names that aren't this port's are refused. Addresses are: no page comes from an address that isn't its server's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import h11

from mcproxy.auth.buckets import Bucket, Pace, source_of
from mcproxy.config.addresses import parse_ip
from mcproxy.config.admin_words import token_in
from mcproxy.config.expiry import expiries
from mcproxy.config.schema import Admin, ListenerTls
from mcproxy.observe.log import get_logger
from mcproxy.server.admin_reply import Reply
from mcproxy.server.tls import server_context

OPEN_TO_ALL: Final = (b"/healthz", b"/readyz")
"""Paths that need no token: a probe has nowhere to keep one, and they say yes or no and why."""

WRONG_TOKENS: Final = Pace(free=10, half_life=60.0)
"""Of one source (auth/buckets.py)."""
SOURCES: Final = 1000
"""With wrong tokens, that are remembered; of more, those that failed least recently are forgotten."""

_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::[0-9]{0,5})?")
_CHALLENGES: Final = (("WWW-Authenticate", 'Bearer realm="mcproxy"'), ("WWW-Authenticate", 'Basic realm="mcproxy"'))

log = get_logger()


@dataclass(frozen=True)
class AdminMaterial:
    """What a generation's files say of the admin port. `context` is of its TLS, `token` the SHA-256 of the one to show.

    `expiries` are as a listener's.
    """

    settings: Admin
    context: ssl.SSLContext | None = field(default=None, repr=False)
    token: bytes | None = field(default=None, repr=False)
    expiries: Mapping[str, float] = field(default_factory=dict)


def admin_material(settings: Admin, readable: Admin) -> AdminMaterial:
    """`readable` are the settings with names under which the files can be opened now.

    Raises OSError (ssl.SSLError is one) and ValueError for files that don't do; the configuration's check came first.
    """
    context, ends = None, {}
    if readable.tls is not None:
        tls = ListenerTls(
            certificate=readable.tls.certificate,
            key=readable.tls.key,
            client_ca=readable.tls.client_ca,
            minimum_version=readable.tls.minimum_version,
        )
        context, ends = server_context(tls), expiries(tls)
    token = None if readable.token_file is None else _digest(token_in(readable.token_file.read_bytes()).encode())
    return AdminMaterial(settings, context, token, ends)


class Guard:
    """Decides about requests. `material` gives the newest; `clock` is in seconds and never goes back."""

    def __init__(self, material: Callable[[], AdminMaterial], clock: Callable[[], float]) -> None:
        self._material = material
        self._clock = clock
        self._failing: OrderedDict[str, Bucket] = OrderedDict()

    @property
    def context(self) -> ssl.SSLContext | None:
        """Of the TLS that connections begin with; None for none."""
        return self._material().context

    def refusal(self, request: h11.Request, path: bytes, local: str | None, source: str) -> Reply | None:
        """What to answer instead of what was asked for; None if that may be answered.

        `local` is the address that was connected to, None for a unix socket, which no web page can reach.
        """
        if local is not None and (reply := self._host_refusal(request, path, local)) is not None:
            return reply
        token = self._material().token
        return None if token is None or path in OPEN_TO_ALL else self._token_refusal(request, token, source)

    def _host_refusal(self, request: h11.Request, path: bytes, local: str) -> Reply | None:
        # h11 refuses more than one, and none with HTTP/1.1. Some balancers' checks are HTTP/1.0 and have none.
        host = next((value for name, value in request.headers if name == b"host"), None)
        if host is None:
            return None if path in OPEN_TO_ALL else Reply(400, b"a Host header is required\n")
        if self._is_ours(host, local):
            return None
        return Reply(421, b"the Host header is not a name of this port; admin.hosts lists those that it has\n")

    def _is_ours(self, host: bytes, local: str) -> bool:
        if (match := _HOST.fullmatch(host)) is None:
            return False
        name = match[1].decode("ascii").lower().removesuffix(".")
        address = parse_ip(name.removeprefix("[").removesuffix("]"))
        if address is None:
            return name == "localhost" or name in self._material().settings.hosts
        # A forwarded port is on the loopback of whoever forwards it.
        return address.is_loopback or address == parse_ip(local) or str(address) in self._material().settings.hosts

    def _token_refusal(self, request: h11.Request, expected: bytes, source: str) -> Reply | None:
        headers = [value for name, value in request.headers if name == b"authorization"]
        if not headers:
            return Reply(401, b"a token is required\n", headers=_CHALLENGES)
        shown = _shown(headers[0]) if len(headers) == 1 else None
        # First, whoever failed before: else others of the same address could lock out who has the right one. Against
        # guesses it is random and long.
        if shown is not None and hmac.compare_digest(_digest(shown), expected):
            return None
        now, key = self._clock(), source_of(source).key
        bucket = self._failing.get(key)
        if bucket is not None and (wait := bucket.wait(now)) > 0:
            log.warning("admin_request_refused", reason="too many wrong tokens", source=source)
            return Reply(429, b"too many wrong tokens\n", headers=(("Retry-After", str(math.ceil(wait))),))
        self._note_failure(key, now)
        log.warning("admin_request_refused", reason="wrong token", source=source)
        return Reply(401, b"the token is wrong\n", headers=_CHALLENGES)

    def _note_failure(self, key: str, now: float) -> None:
        bucket = self._failing.setdefault(key, Bucket(WRONG_TOKENS))
        self._failing.move_to_end(key)
        bucket.fail(now)
        if len(self._failing) > SOURCES:
            self._failing.popitem(last=False)


def _shown(header: bytes) -> bytes | None:
    """The token of `Bearer TOKEN`, or the password of `Basic ...` (RFC 7617), which is all that browsers can send."""
    scheme, _, credentials = header.strip().partition(b" ")
    credentials = credentials.strip()
    if scheme.lower() == b"bearer":
        return credentials
    if scheme.lower() != b"basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return None


def _digest(token: bytes) -> bytes:
    """So that what is compared is of one length, and the token itself isn't kept."""
    return hashlib.sha256(token).digest()
