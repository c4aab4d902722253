"""SCRAM, the client's side (RFC 5802, RFC 7677), through scramp, with and without channel binding.

    EMPTY   --start--> NAMED         the client-first-message
    NAMED   --server-first--> PROVED the client-final-message, at the price of the iterations
    PROVED  --server-final--> TRUSTED  an empty response; or it comes with the yes
    TRUSTED --the yes--> accepted

Upstream has to prove that it knows the verifier: a yes without its signature is none. scramp compares nonce and
signature and hashes with `hashlib.pbkdf2_hmac`; it bounds neither messages nor nonces, and lets ten million iterations
pass, so messages are held against the grammar before it sees them. A mechanism without -PLUS says `n`: it is the
configuration that names the mechanism, not upstream, so there is nothing that `y` could guard.
"""

import re
from contextlib import suppress
from enum import Enum, auto
from typing import Final

from scramp import ScramClient, ScramException  # type: ignore[import-untyped]

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.mechanisms import OUT_OF_PLACE, TOO_SOON, ClientMechanism

PLUS: Final = "-PLUS"
BINDING_TYPE: Final = "tls-server-end-point"

MINIMUM_ITERATIONS: Final = 4096
"""RFC 7677 section 4. Fewer would let a false upstream that TLS did not keep away guess our password cheaply."""
MAXIMUM_ITERATIONS: Final = 1_000_000
"""As many as our own verifiers may have; they take about a second."""

# The rules of RFC 5802 section 7 by their names there; `m` (a mandatory extension) has no place in them.
_PRINTABLE: Final = rb"[\x21-\x2b\x2d-\x7e]"
_BASE64: Final = rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"
_EXTENSIONS: Final = rb"(?:,[A-Zbdfghjkloqtuwxyz]=[\x01-\x2b\x2d-\x7f]+)*"
_SERVER_FIRST: Final = re.compile(rb"r=%s{1,512},s=(%s),i=([1-9][0-9]{0,6})%s" % (_PRINTABLE, _BASE64, _EXTENSIONS))
_SERVER_FINAL: Final = re.compile(rb"v=%s%s" % (_BASE64, _EXTENSIONS))
_SERVER_ERROR: Final = re.compile(rb"e=[\x01-\x2b\x2d-\x7f]{1,256}%s" % _EXTENSIONS)


class State(Enum):
    EMPTY = auto()
    NAMED = auto()
    PROVED = auto()
    TRUSTED = auto()
    OVER = auto()


class Scram(ClientMechanism):
    """Raises LoginRefused for a -PLUS mechanism without the channel binding that it needs."""

    def __init__(self, credentials: Credentials, name: str, binding: bytes | None) -> None:
        self.name = name
        bound = (BINDING_TYPE, binding) if name.endswith(PLUS) else None
        if bound is not None and not binding:
            raise LoginRefused("its certificate gives no channel binding, which the mechanism to log in with needs")
        self._client = ScramClient([name], credentials.username, credentials.password, channel_binding=bound)
        self._state = State.EMPTY

    def start(self) -> bytes:
        self._state = State.NAMED
        message: str = self._client.get_client_first()
        return message.encode()

    def step(self, challenge: bytes) -> bytes:
        state, self._state = self._state, State.OVER
        if state is State.NAMED:
            return self._prove(challenge)
        if state is State.PROVED:
            self._trust(challenge)
            self._state = State.TRUSTED
            return b""
        raise UpstreamConfused(OUT_OF_PLACE)

    def accepted(self, data: bytes) -> None:
        state, self._state = self._state, State.OVER
        if state is State.PROVED:
            self._trust(data)
        elif state is not State.TRUSTED:
            raise UpstreamConfused(TOO_SOON)

    def _prove(self, message: bytes) -> bytes:
        if _SERVER_ERROR.fullmatch(message):
            raise LoginRefused("it refuses the user or the password")
        match = _SERVER_FIRST.fullmatch(message)
        if match is None:
            raise UpstreamConfused("its first message is not one of SCRAM")
        if not MINIMUM_ITERATIONS <= int(match[2]) <= MAXIMUM_ITERATIONS:
            raise UpstreamConfused(f"its iterations are not from {MINIMUM_ITERATIONS} to {MAXIMUM_ITERATIONS}")
        final = ""
        with suppress(ScramException):
            self._client.set_server_first(message.decode("ascii"))
            final = self._client.get_client_final()
        if not final:
            # Raised out here, so that no traceback leads to what scramp had at hand.
            raise UpstreamConfused("its first message has another's nonce, or a salt of less than 12 bytes")
        self._state = State.PROVED
        return final.encode()

    def _trust(self, message: bytes) -> None:
        if _SERVER_ERROR.fullmatch(message):
            raise LoginRefused("it refuses the user or the password")
        if not _SERVER_FINAL.fullmatch(message):
            raise UpstreamConfused(TOO_SOON)
        verified = False
        with suppress(ScramException):
            self._client.set_server_final(message.decode("ascii"))
            verified = True
        if not verified:
            raise UpstreamConfused("it can't prove that it knows the password: its signature is wrong")
