"""The login of one connection: the conversation with its client, and having checked what that asks for."""

from dataclasses import dataclass

import trio

from mcproxy.auth.conversation import Conversation
from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Close, LoggedIn, Reply
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal, LoginResult
from mcproxy.relay.secured import Connection
from mcproxy.server.authenticator import UNKNOWN_USER, WRONG_PASSWORD
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.streams import receive, send_all

log = get_logger()
BINARY = 0x80
# A login is short; what a client sends behind it is read by its session.
LOGIN_READ = 4096
_ANSWER_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who has logged in, and what came behind the login. `token` and `leftover` as LoggedIn has them.

    `secret` is the identity of the verifier that the login was checked against, for as long as which it counts.
    """

    principal: Principal
    leftover: bytes
    binary: bool
    token: bytes | None
    secret: bytes | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody has logged in, and why the connection is to be closed."""

    reason: ConnectionRefusal
    why: str


class Login:
    """`source` is what the throttle counts by; `fields` are in every line of the log."""

    def __init__(
        self, server: ServerState, listener: ListenerState, connection: Connection, source: str, fields: dict[str, str]
    ) -> None:
        self._server = server
        self._listener = listener
        self._connection = connection
        self._source = source
        self._fields = fields
        self._secret: bytes | None = None

    async def converse(self, data: bytes) -> Arrived | Refused | None:
        """The conversation to its end, from its first bytes on. None: the client has left. Raises OSError."""
        if not (data := data or await receive(self._connection, LOGIN_READ)):
            return None
        binary = data[0] == BINARY
        if ("binary" if binary else "text") not in self._listener.settings.protocols:
            return Refused(ConnectionRefusal.PROTOCOL, "protocol not allowed on this listener")
        conversation = self._conversation(binary)
        conversation.feed(data)
        while True:
            match conversation.next():
                case None:
                    if not (data := await receive(self._connection, LOGIN_READ)):
                        return None
                    conversation.feed(data)
                case Reply(reply, refused):
                    await send_all(self._connection, reply)
                    if refused:
                        self._server.relay.traffic.refused["before login"] += 1
                        log.info("login_refused", reason=refused, **self._fields)
                case Attempt() as attempt:
                    conversation.answer(await self._check(attempt))
                case LoggedIn(principal, leftover, token):
                    return Arrived(principal, leftover, binary, token, self._secret)
                case Close(reason):
                    return Refused(ConnectionRefusal.LOGIN_FAILED, reason)

    def _conversation(self, binary: bool) -> Conversation:
        if binary:
            return BinaryLogin(self._listener.mechanisms)
        return TextLogin(token="token" in self._listener.settings.authentication)

    async def _check(self, attempt: Attempt) -> bool:
        # So that a refusal for want of time still reaches the client.
        deadline = trio.current_effective_deadline() - _ANSWER_SECONDS
        verdict = await self._server.authenticator.check(attempt.username, attempt.password, self._source, deadline)
        # A name that isn't known may be a mistyped password.
        principal = f"user:{attempt.username}" if verdict.known else "unknown"
        if verdict.accepted:
            self._secret = verdict.secret
            self._count(attempt.mechanism, LoginResult.SUCCESS)
            log.info("logged_in", principal=principal, by=attempt.mechanism, **self._fields)
        else:
            wrong = verdict.reason in (WRONG_PASSWORD, UNKNOWN_USER)
            self._count(attempt.mechanism, LoginResult.FAILURE if wrong else LoginResult.THROTTLED)
            log.warning(
                "login_failed", principal=principal, by=attempt.mechanism, reason=verdict.reason, **self._fields
            )
        return verdict.accepted

    def _count(self, mechanism: str, result: LoginResult) -> None:
        self._server.metrics.login(self._listener.name, mechanism, result)
