"""SCRAM, the client's side (RFC 5802, RFC 7677), through scramp, with and without channel binding.

We start with the client-first-message. Upstream's challenge is the server-first-message, our proof is in the
client-final-message, at the price of the iterations, and upstream's in the server-final-message: it has to prove that
it knows the verifier. scramp makes and reads messages and compares nonce and signature; it bounds neither messages nor
nonces, and lets ten million iterations pass, so messages are held against the grammar before it sees them. A mechanism
without -PLUS says `n`: it is the configuration that names the mechanism, not upstream, so there is nothing that `y`
could guard.
"""

import hmac
import re
from base64 import b64encode
from contextlib import suppress
from typing import Final

from scramp import ScramClient, ScramException  # type: ignore[import-untyped]
from scramp.core import ClientStage  # type: ignore[import-untyped]

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.mechanisms import TOO_SOON
from mcproxy.auth.upstream.mutual import MutualMechanism
from mcproxy.auth.upstream.salting import SaltedPassword

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


class _Client(ScramClient):  # type: ignore[misc]
    """Whose salted password is kept from login to login. The formulas are those of RFC 5802 section 3."""

    salted: SaltedPassword

    def get_client_final(self) -> str:
        self._set_stage(ClientStage.get_client_final)
        algorithm = self.hf().name
        salted = self.salted.of(algorithm, bytes(self.password), bytes(self.salt), int(self.iterations))
        binding = b64encode(self.gs2_header.make_cbind_input(self.cb)).decode()
        without_proof = f"c={binding},r={self.nonce}"
        authenticated = f"{self.client_first_bare},{self.server_first},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", algorithm)
        signature = hmac.digest(self.hf(client_key).digest(), authenticated, algorithm)
        self.server_signature = hmac.digest(hmac.digest(salted, b"Server Key", algorithm), authenticated, algorithm)
        proof = bytes(key ^ sign for key, sign in zip(client_key, signature, strict=True))
        return f"{without_proof},p={b64encode(proof).decode()}"


class Scram(MutualMechanism):
    """Raises LoginRefused for a -PLUS mechanism without the channel binding that it needs."""

    def __init__(self, credentials: Credentials, name: str, binding: bytes | None) -> None:
        super().__init__()
        self.name = name
        bound = (BINDING_TYPE, binding) if name.endswith(PLUS) else None
        if bound is not None and not binding:
            raise LoginRefused("its certificate gives no channel binding, which the mechanism to log in with needs")
        self._client = _Client([name], credentials.username, credentials.password, channel_binding=bound)
        self._client.salted = credentials.salted

    def _first(self) -> bytes:
        message: str = self._client.get_client_first()
        return message.encode()

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
