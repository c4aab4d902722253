"""SASL EXTERNAL (RFC 4422, appendix A): the client is whom its verified certificate says, and may say so again."""

from typing import Final

from mcproxy.auth.credentials import decode
from mcproxy.auth.mechanisms import OUT_OF_PLACE, Challenge, Failure, Outcome, Success
from mcproxy.auth.preparation import login_name
from mcproxy.auth.principals import Principal

NAME: Final = "EXTERNAL"

MESSAGE_LIMIT: Final = 1024
"""Bytes of an authorization identity."""


class External:
    """`principal` is who the certificate of this connection is by the grants.

    The authorization identity is empty or that principal's name: nobody acts for another. Frames can't tell an empty
    initial response from none, so a client that sends one is asked again, and answers with an empty step.
    """

    name = NAME

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def start(self, response: bytes | None) -> Outcome:
        return Challenge(b"") if response is None else self.step(response)

    def step(self, response: bytes) -> Outcome:
        if not response:
            return Success(self._principal)
        if len(response) > MESSAGE_LIMIT:
            return Failure(f"the authorization identity is longer than {MESSAGE_LIMIT} bytes")
        identity = decode(response)
        if identity is None:
            return Failure("not valid UTF-8")
        if self._principal.name not in (identity, login_name(identity)):
            return Failure("the authorization identity is not the certificate's own")
        return Success(self._principal)

    def accepted(self) -> Outcome:
        return OUT_OF_PLACE
