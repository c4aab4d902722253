"""What a login conversation asks of whoever moves its bytes: the only things that leave it.

A conversation is fed bytes and asked for the next step until it says None ("more bytes, please"). It ends with
LoggedIn or Close. None of these shows a password, a token or what a client sent on when printed.
"""

from dataclasses import dataclass, field

from mcproxy.auth.principals import Principal


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this. `refused` says why, for the log, when the conversation itself refused something.

    It is empty when the reply grants something or answers an Attempt, whose outcome the caller knows already.
    """

    data: bytes
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Check this password, away from the event loop, and call `answer` with the outcome before anything else.

    `username` is what the client claims: it may be a mistyped password, so it is not shown either.
    """

    username: str = field(repr=False)
    password: str = field(repr=False)
    mechanism: str


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login is done. `leftover` came behind it and belongs to the session, from its first byte on.

    `token` is the body of the text protocol's login, by which the session knows it when it is sent again;
    None in the binary protocol.
    """

    principal: Principal
    leftover: bytes = field(repr=False)
    token: bytes | None = field(repr=False)

    @property
    def name(self) -> str:
        return self.principal.name


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, after the replies that came before. `reason` is for the log and holds no input."""

    reason: str


Step = Reply | Attempt | LoggedIn | Close
