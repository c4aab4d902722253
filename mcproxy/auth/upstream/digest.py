"""DIGEST-MD5 (RFC 2831), the client's side, through pure-sasl. Obsolete (RFC 6331), and still what some upstreams have.

Upstream's challenge is the digest-challenge, our proof the digest-response, and its own the response-auth. pure-sasl
reads challenges loosely (repeated and unknown directives, no bounds), takes a `rspauth` that comes first, and makes its
nonce with a generator that can be guessed.
"""

import re
import secrets
from contextlib import suppress
from typing import Final

from puresasl import QOP, SASLError, SASLProtocolException  # type: ignore[import-untyped]
from puresasl.client import SASLClient  # type: ignore[import-untyped]
from puresasl.mechanisms import DigestMD5Mechanism  # type: ignore[import-untyped]

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.mechanisms import TOO_SOON
from mcproxy.auth.upstream.mutual import MutualMechanism
from mcproxy.auth.upstream.simple import SERVICE

# RFC 2831 section 7.1: tokens and quoted strings. Empty elements and white space before a comma, which it allows and
# pure-sasl misreads, are refused.
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?:[^\x00-\x1f\x7f"\\]|\\[\x20-\x7e])*"'
_DIRECTIVE: Final = re.compile(rb"([A-Za-z-]+)=(%s|%s)(?:,[ \t]*(?=.)|\Z)" % (_TOKEN, _QUOTED))
_RESPONSE_AUTH: Final = re.compile(rb"rspauth=([0-9a-f]{32})")

_NONCE_BYTES: Final = 24

NO_CHALLENGE: Final = "its challenge is not one of DIGEST-MD5"


class _Mechanism(DigestMD5Mechanism):  # type: ignore[misc]
    """With a nonce of ours from the system's randomness, whatever pure-sasl assigns."""

    @property
    def cnonce(self) -> bytes:
        return self._own_nonce

    @cnonce.setter
    def cnonce(self, guessable: bytes) -> None:
        self._own_nonce = secrets.token_urlsafe(_NONCE_BYTES).encode()


class DigestMd5(MutualMechanism):
    name = "DIGEST-MD5"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        # Nothing is protected but the login: TLS is for the rest.
        client = SASLClient("", SERVICE, qops=(QOP.AUTH,))
        self._client = client
        self._mechanism = _Mechanism(client, username=credentials.username, password=credentials.password)

    def _first(self) -> bytes:
        return b""

    def _prove(self, challenge: bytes) -> bytes:
        directives = _directives(challenge)
        _check(directives)
        # RFC 2831 wants a host's name in the digest-uri. Who upstream is, TLS verifies; Cyrus doesn't look at it.
        self._client.host = directives.get(b"realm") or b"localhost"
        self._mechanism.realm = directives.get(b"realm", b"")
        response = b""
        with suppress(SASLError, SASLProtocolException, ValueError):
            response = self._mechanism.process(challenge)
        if not response:
            raise UpstreamConfused(NO_CHALLENGE)
        return response

    def _trust(self, message: bytes) -> None:
        if not _RESPONSE_AUTH.fullmatch(message):
            raise UpstreamConfused(TOO_SOON)
        with suppress(SASLProtocolException):
            self._mechanism.process(message)
        if not self._mechanism.complete:
            raise UpstreamConfused("it can't prove that it knows the password: its response-auth is wrong")


def _directives(challenge: bytes) -> dict[bytes, bytes]:
    """What a challenge says, without quotes. One that says anything twice is refused: pure-sasl would take the last."""
    found: dict[bytes, bytes] = {}
    position = 0
    while position < len(challenge):
        match = _DIRECTIVE.match(challenge, position)
        if match is None or match[1] in found:
            raise UpstreamConfused(NO_CHALLENGE)
        found[match[1]] = re.sub(rb"\\(.)", rb"\1", match[2][1:-1]) if match[2].startswith(b'"') else match[2]
        position = match.end()
    return found


def _check(directives: dict[bytes, bytes]) -> None:
    """RFC 2831 section 2.1.1: what has to end the exchange."""
    if not directives.get(b"nonce") or b"rspauth" in directives:
        raise UpstreamConfused(NO_CHALLENGE)
    if directives.get(b"algorithm") != b"md5-sess":
        raise UpstreamConfused("its challenge is for another algorithm than md5-sess")
    if b"auth" not in re.split(rb"[ \t]*,[ \t]*", directives.get(b"qop", b"auth")):
        raise UpstreamConfused("it wants more protected than the login, which is for TLS to do")
    if not re.fullmatch(rb"[0-9]{1,8}", directives.get(b"maxbuf", b"0")):
        raise UpstreamConfused(NO_CHALLENGE)
