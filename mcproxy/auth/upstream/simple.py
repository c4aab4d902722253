"""PLAIN (RFC 4616), EXTERNAL (RFC 4422) and CRAM-MD5 (RFC 2195), through pure-sasl: we say one thing, upstream nothing.

pure-sasl makes the messages. What it leaves open is closed by us: `fitness` keeps NUL out of PLAIN's, the mechanism is
named rather than chosen, and whether a login is complete we know ourselves (its EXTERNAL never is).
"""

import re
from typing import Final

from puresasl.client import SASLClient  # type: ignore[import-untyped]

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.mechanisms import OUT_OF_PLACE, TOO_SOON, ClientMechanism

SERVICE: Final = "memcached"
"""The service's name in SASL; Cyrus's memcached.conf is called after it."""

_CRAM_CHALLENGE: Final = re.compile(rb"<[\x21-\x3b=\x3f-\x7e]{1,512}>")
"""RFC 2195 section 2: it looks like a message-id. What looks otherwise may be meant for another use of the password."""


class _Single(ClientMechanism):
    """`initial`: we speak at once. `challenge`: what upstream may say before we do, where it speaks first."""

    initial = False
    challenge = re.compile(rb"")

    def __init__(self, credentials: Credentials) -> None:
        named = {} if self.name == "EXTERNAL" else {"username": credentials.username, "password": credentials.password}
        # These mechanisms tell nobody the host.
        self._client = SASLClient("", SERVICE, mechanism=self.name, **named)
        self._spoken = False

    def start(self) -> bytes:
        return self._speak(None) if self.initial else b""

    def step(self, challenge: bytes) -> bytes:
        if self._spoken:
            raise UpstreamConfused(OUT_OF_PLACE)
        if not self.challenge.fullmatch(challenge):
            raise UpstreamConfused("its challenge is not one of this mechanism")
        return self._speak(challenge)

    def accepted(self, data: bytes) -> None:
        if not self._spoken:
            raise UpstreamConfused(TOO_SOON)

    def _speak(self, challenge: bytes | None) -> bytes:
        self._spoken = True
        message: bytes = self._client.process(challenge)
        return message


class Plain(_Single):
    name = "PLAIN"
    initial = True


class External(_Single):
    """Our response is empty: we are whom our certificate says. Upstream takes it for said, or asks for it once."""

    name = "EXTERNAL"

    def accepted(self, data: bytes) -> None:
        pass


class CramMd5(_Single):
    name = "CRAM-MD5"
    challenge = _CRAM_CHALLENGE
