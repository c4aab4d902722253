"""What a login conversation asks of whoever moves its bytes: the only things that leave it.

A conversation is fed bytes and asked for the next step until it says None ("more bytes, please"). It ends with
LoggedIn or Close. None of these shows a password, a token or what a client sent on when printed.
"""

from dataclasses import dataclass, field

from mcproxy.auth.principals import Principal


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this. `refused` says why, for the log, when the conversation itself refused something.

    It is empty when the reply grants something, or answers an Attempt or a Proof: the caller knows their outcome.
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
class Proof:
    """Decide whether this proof counts, and call `answer` with the outcome before anything else.

    `secret` is the identity of the verifier (Verifier.identity) whose secret the client has proved to know; None: it
    has proved nothing. A proof of nothing is decided too, since it is a guess that a throttle must count.
    `username` is what the client claims, as in an Attempt.
    """

    username: str = field(repr=False)
    mechanism: str
    secret: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The login is done. `leftover` came behind it and belongs to the session, from its first byte on.

    `mechanism` is what it was done with. `token` is the body of the text protocol's token login, by which the session
    knows it when it is sent again; None after any other login.
    """

    principal: Principal
    mechanism: str
    leftover: bytes = field(repr=False)
    token: bytes | None = field(repr=False)

    @property
    def name(self) -> str:
        return self.principal.name


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, after the replies that came before. `reason` is for the log and holds no input."""

    reason: str


Step = Reply | Attempt | Proof | LoggedIn | Close
