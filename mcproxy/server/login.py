"""The login of one connection: the conversation with its client, and having checked what that asks for."""

import socket
from dataclasses import dataclass

import trio

from mcproxy.auth.conversation import Conversation
from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Close, LoggedIn, Proof, Reply
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal, LoginResult
from mcproxy.policy.allowlist import canonical_address
from mcproxy.relay.secured import Connection, Secured
from mcproxy.server.authenticator import SILENT, WRONG, Verdict
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.streams import receive, send_all

log = get_logger()
BINARY = 0x80
# A login is short; what a client sends behind it is read by its session.
LOGIN_READ = 4096
_ANSWER_SECONDS = 0.2
_RESULTS = {WRONG: LoginResult.FAILURE, SILENT: LoginResult.UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who has logged in, and what came behind it. `token`, `mechanism` and `leftover` as LoggedIn has them.

    `secret` is the identity of the verifier that the login was checked against, for as long as which it counts; None
    for a login that no verifier decided (SASL EXTERNAL).
    """

    principal: Principal
    leftover: bytes
    binary: bool
    token: bytes | None
    mechanism: str
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
                case Attempt() | Proof() as question:
                    conversation.answer(await self._check(question))
                case LoggedIn(principal, mechanism, leftover, token):
                    self._count(mechanism, LoginResult.SUCCESS)
                    log.info("logged_in", principal=str(principal), by=mechanism, **self._fields)
                    secret = self._secret if principal.kind == "user" else None
                    return Arrived(principal, leftover, binary, token, mechanism, secret)
                case Close(reason):
                    return Refused(ConnectionRefusal.LOGIN_FAILED, reason)

    def _conversation(self, binary: bool) -> Conversation:
        offered = offer(self._server, self._listener, self._connection)
        if binary:
            return BinaryLogin(offered)
        token = "token" in self._listener.settings.authentication and offered.channel.clear_passwords
        return TextLogin(offered, token=token)

    async def _check(self, question: Attempt | Proof) -> bool:
        self._secret = None
        verdict = await self._decide(question)
        if verdict.accepted:
            # It is a login once the conversation says so: SCRAM's client has yet to take the server's signature.
            self._secret = verdict.secret
            return True
        self._count(question.mechanism, _RESULTS.get(verdict.reason, LoginResult.THROTTLED))
        # A name that isn't known may be a mistyped password.
        principal = f"user:{question.username}" if verdict.known else "unknown"
        log.warning("login_failed", principal=principal, by=question.mechanism, reason=verdict.reason, **self._fields)
        return False

    async def _decide(self, question: Attempt | Proof) -> Verdict:
        # So that a refusal for want of time still reaches the client.
        deadline = trio.current_effective_deadline() - _ANSWER_SECONDS
        authenticator = self._server.authenticator
        match question:
            case Attempt(username, password):
                return await authenticator.check(username, password, self._source, deadline)
            case Proof(username, _, secret):
                return await authenticator.prove(username, secret, self._source, deadline)

    def _count(self, mechanism: str, result: LoginResult) -> None:
        self._server.metrics.login(self._listener.name, mechanism, result)


def offer(server: ServerState, listener: ListenerState, connection: Connection) -> Offer:
    """What SASL offers on this connection: to log in with, and to list in its session. Raises OSError.

    `listener` is the one that the connection's handshake was made with, so that the channel binding is of the
    certificate that this client has seen, whatever was reloaded since.
    """
    access = server.generation.access
    channel = Channel(
        clear_passwords=_may_carry_passwords(listener, connection),
        binding=listener.channel_binding if isinstance(connection, Secured) else None,
        certificate=access.certificate_principal(listener.settings, connection),
    )
    return Offer(listener.mechanisms, channel, server.generation.users.verifiers_or_stand_in)


def _may_carry_passwords(listener: ListenerState, connection: Connection) -> bool:
    """By the real socket, never by an address that a balancer conveyed. Raises OSError."""
    if isinstance(connection, Secured) or listener.settings.plaintext_passwords:
        return True
    if connection.family == socket.AF_UNIX:
        return True
    address = canonical_address(connection.getpeername()[0])
    return address is not None and address.is_loopback
