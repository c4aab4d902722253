"""The login of one connection: the conversation with its client, and having checked what that asks for."""

from dataclasses import dataclass, replace

import trio

from mcproxy.auth.conversation import Conversation
from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Close, LoggedIn, Proof, Reply
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal, LoginResult
from mcproxy.observe.traffic import BEFORE_LOGIN
from mcproxy.relay.secured import Connection, Secured
from mcproxy.server.authenticator import SILENT, WRONG, Verdict
from mcproxy.server.basis import Basis, may_carry_passwords, objection, way_objection
from mcproxy.server.crowd import Newcomer
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
    """Held to the newest files at every step: they may change while it goes on, and while its connection lasts.

    `listener` is the one that the connection's handshake was made with. `basis` is what is known of the connection; a
    login adds to it, in a copy, and is held to the files before it is told that it succeeded. `source` is what the
    throttle counts by, `newcomer` is told whose turn it is; `fields` are in every line of the log.
    """

    def __init__(
        self,
        server: ServerState,
        listener: ListenerState,
        basis: Basis,
        source: str,
        newcomer: Newcomer,
        fields: dict[str, str],
    ) -> None:
        self._server = server
        self._listener = listener
        self._basis = basis
        self._connection = basis.connection
        self._source = source
        self._newcomer = newcomer
        self._fields = fields
        self._secret: bytes | None = None

    async def converse(self, data: bytes) -> Arrived | Refused | None:
        """The conversation to its end, from its first bytes on. None: the client has left. Raises OSError."""
        if not (data := data or await receive(self._connection, LOGIN_READ)):
            return None
        binary = data[0] == BINARY
        protocol = "binary" if binary else "text"
        if protocol not in listener_now(self._server, self._listener).settings.protocols:
            return Refused(ConnectionRefusal.PROTOCOL, "protocol not allowed on this listener")
        self._basis = replace(self._basis, protocol=protocol)
        conversation = self._conversation(binary)
        conversation.feed(data)
        step = conversation.next()
        while True:
            following = None
            match step:
                case None:
                    if not (data := await receive(self._connection, LOGIN_READ)):
                        return None
                    conversation.feed(data)
                case Reply(reply, refused):
                    following = conversation.next()
                    if isinstance(following, LoggedIn) and (why := self._objection(following)) is not None:
                        return Refused(ConnectionRefusal.LOGIN_FAILED, why)
                    await send_all(self._connection, reply)
                    if refused:
                        self._server.relay.traffic.refused[BEFORE_LOGIN] += 1
                        log.info("login_refused", reason=refused, **self._fields)
                case Attempt() | Proof() as question:
                    # Before it is checked and after, whatever came of it: a way that is closed tells nobody who has
                    # found the right password.
                    if (why := self._way_objection(question.mechanism)) is not None:
                        return Refused(ConnectionRefusal.LOGIN_FAILED, why)
                    self._newcomer.proxys_turn()
                    accepted = await self._check(question)
                    self._newcomer.clients_turn()
                    if (why := self._way_objection(question.mechanism)) is not None:
                        return Refused(ConnectionRefusal.LOGIN_FAILED, why)
                    conversation.answer(accepted)
                case LoggedIn(principal, mechanism, leftover, token):
                    return Arrived(principal, leftover, binary, token, mechanism, self._secret_of(principal))
                case Close(reason):
                    return Refused(ConnectionRefusal.LOGIN_FAILED, reason)
            step = conversation.next() if following is None else following

    def _way_objection(self, mechanism: str) -> str | None:
        return way_objection(replace(self._basis, by=mechanism), self._server.generation)

    def _objection(self, step: LoggedIn) -> str | None:
        secret = self._secret_of(step.principal)
        basis = replace(self._basis, principal=step.principal, by=step.mechanism, secret=secret)
        return objection(basis, self._server.generation)

    def _secret_of(self, principal: Principal) -> bytes | None:
        return self._secret if principal.kind == "user" else None

    def _conversation(self, binary: bool) -> Conversation:
        offered = offer(self._server, self._listener, self._connection)
        if binary:
            return BinaryLogin(offered)
        settings = listener_now(self._server, self._listener).settings
        token = "token" in settings.authentication and offered.channel.clear_passwords
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
    certificate that this client has seen, whatever was reloaded since. All else is as the newest files have it.
    """
    now = listener_now(server, listener)
    channel = Channel(
        clear_passwords=may_carry_passwords(now, connection),
        binding=listener.channel_binding if isinstance(connection, Secured) else None,
        certificate=server.generation.access.certificate_principal(now.settings, connection),
    )
    return Offer(now.mechanisms, channel, server.generation.users.verifiers_or_stand_in)


def listener_now(server: ServerState, listener: ListenerState) -> ListenerState:
    """The same listener as the newest files have it."""
    return server.generation.listeners[listener.name]
