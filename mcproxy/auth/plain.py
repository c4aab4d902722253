"""SASL PLAIN (RFC 4616): one message, `[authzid] NUL authcid NUL passwd`."""

from typing import Final

from mcproxy.auth.credentials import Credentials, Malformed, credentials, decode
from mcproxy.auth.mechanisms import OUT_OF_PLACE, Challenge, Failure, Outcome, Success
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt

NAME: Final = "PLAIN"

MESSAGE_LIMIT: Final = 1024
"""Bytes. RFC 4616 section 2 asks for 255 for each of the three parts."""


def parse(message: bytes) -> Credentials | Malformed:
    """Exactly three parts, UTF-8, name and password not empty.

    The authorization identity is empty or the same name again, as Cyrus clients send it: nobody acts for another.
    """
    if len(message) > MESSAGE_LIMIT:
        return Malformed(f"the PLAIN message is longer than {MESSAGE_LIMIT} bytes")
    parts = message.split(b"\0")
    if len(parts) != 3:
        return Malformed("the PLAIN message has not exactly three parts")
    authorization, authentication, password = parts
    # Equal bytes of UTF-8 are equal texts, and what is not UTF-8 is refused below: no normalisation in between.
    if authorization and authorization != authentication:
        if decode(authorization) is None:
            return Malformed("not valid UTF-8")
        return Malformed("the authorization identity is not the user's own")
    return credentials(authentication, password)


class Plain:
    """The client speaks first; without an initial response it is asked for it with an empty challenge."""

    name = NAME

    def __init__(self) -> None:
        self._username: str | None = None

    def start(self, response: bytes | None) -> Outcome:
        return Challenge(b"") if response is None else self.step(response)

    def step(self, response: bytes) -> Outcome:
        parsed = parse(response)
        if isinstance(parsed, Malformed):
            return Failure(parsed.reason)
        self._username = parsed.username
        return Attempt(parsed.username, parsed.password, NAME)

    def accepted(self) -> Outcome:
        return OUT_OF_PLACE if self._username is None else Success(Principal("user", self._username))
