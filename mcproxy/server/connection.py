"""A connection's life up to its session, and what is noted of it afterwards.

accept -> allowed? -> TLS handshake -> who is it? -> login where that isn't known -> session with its ruleset.
Everything until the login is done shares one deadline, and nothing of it reaches upstream. Whoever is known without a
byte may then stay silent.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import trio

from mcproxy.auth.principals import Principal
from mcproxy.auth.token import claimed_name
from mcproxy.observe.log import get_logger, log_bug
from mcproxy.observe.metrics import ConnectionRefusal, LoginResult
from mcproxy.relay.poller import OVER_BUDGET
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.relay.session import Session
from mcproxy.server.access import unix_peer
from mcproxy.server.login import BINARY, LOGIN_READ, Arrived, Login, Refused
from mcproxy.server.shared import Place
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.streams import close_gently, receive
from mcproxy.server.tls import handshake
from mcproxy.wire.binary import BinaryParser
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.pipelining import one_at_a_time
from mcproxy.wire.text import TextParser

log = get_logger()


class Client:
    """One accepted connection. `address` is its canonical source address, None for a unix socket."""

    def __init__(
        self, server: ServerState, listener: ListenerState, connection: socket.socket, address: str | None, place: Place
    ) -> None:
        self._server = server
        self._listener = listener
        self._connection: Connection = connection
        self._place = place
        self._address = address
        self._principal: Principal | None = None
        self._secret: bytes | None = None
        self._fields = {"listener": listener.name, "source": address or "unix"}

    async def run(self) -> None:
        """From the accept to the session. Never raises for anything that the client does."""
        with self._closing_on_error():
            await self._until_session(b"")

    async def _until_session(self, received: bytes) -> None:
        settings = self._listener.settings
        with self._deadline() as scope:
            context, connection = self._listener.context, self._connection
            if context is not None and not isinstance(connection, Secured):
                self._connection = await handshake(connection, context)
            if not received:
                self._principal = self._server.generation.access.identify(settings, self._connection, self._address)
            if self._principal is None:
                self._note_stranger()
                await self._log_in(received)
                return
        if scope.cancelled_caught:
            self._give_up(ConnectionRefusal.LOGIN_TIMEOUT, "no login in time")
            return
        principal = self._principal
        if principal is not None:
            self._count_login(principal.kind, LoginResult.SUCCESS)
            log.info("logged_in", principal=str(principal), by=principal.kind, **self._fields)
            await self._wait_for_first_byte(principal)

    def _note_stranger(self) -> None:
        """Where somebody is known by his connection or not at all, say why he isn't, and who he says he is."""
        methods = self._listener.settings.authentication
        if "sasl" in methods or "token" in methods:
            return
        for method in methods:
            presented = self._server.generation.access.presented(method, self._connection)
            self._count_login(method, LoginResult.FAILURE)
            log.warning("login_failed", by=method, reason=f"no grant names this {method}", **presented, **self._fields)

    async def _wait_for_first_byte(self, principal: Principal) -> None:
        self._place.logged_in()
        limit = self._server.generation.settings.limits.idle_timeout
        with trio.move_on_after(limit) if limit else contextlib.nullcontext():
            data = await receive(self._connection, LOGIN_READ)
            if data:
                await self._start_or_log_in(principal, data)
                return
        self._close()

    async def _start_or_log_in(self, principal: Principal, data: bytes) -> None:
        """Somebody known by his connection may still log in as a user with his first command, which replaces him.

        In text that looks like storing a value. It is taken for a login if the value begins with a user's name: better
        refuse a value that only looks like one than store a password.
        """
        if "token" in self._listener.settings.authentication and data[0] != BINARY:
            with self._deadline() as scope:
                while (name := claimed_name(data)) is None:
                    more = await receive(self._connection, LOGIN_READ)
                    if not more:
                        self._close()
                        return
                    data += more
                if self._server.authenticator.knows(name):
                    self._principal = None
                    if await self._may_log_in_again():
                        await self._log_in(data)
                    return
            if scope.cancelled_caught:
                self._give_up(ConnectionRefusal.LOGIN_TIMEOUT, "no login in time")
                return
        self._start_session(principal, data, data[0] == BINARY, None)

    async def _log_in(self, received: bytes) -> None:
        """The login conversation, to its end one way or the other. Raises OSError."""
        login = Login(self._server, self._listener, self._connection, self._throttle_source(), self._fields)
        match await login.converse(received):
            case Arrived() as arrived:
                self._secret = arrived.secret
                self._start_session(arrived.principal, arrived.leftover, arrived.binary, arrived.token)
            case Refused(reason, why):
                await self._refuse(reason, why)
            case None:
                self._close()

    def _throttle_source(self) -> str:
        if self._address is not None:
            return self._address
        return f"unix:{unix_peer(self._connection).uid}"

    def _start_session(self, principal: Principal, data: bytes, binary: bool, token: bytes | None) -> None:
        protocol = "binary" if binary else "text"
        if protocol not in self._listener.settings.protocols:
            self._give_up(ConnectionRefusal.PROTOCOL, "protocol not allowed on this listener")
            return
        server = self._server
        generation = server.generation
        self._place.logged_in()
        self._principal = principal
        session = Session(server.relay, self._connection, server.pools[protocol], generation.session_limits, self)
        settings = self._listener.settings
        if binary:
            listed = " ".join(self._listener.mechanisms).encode() if self._listener.mechanisms else None
            parser: TextParser | BinaryParser = BinaryParser(generation.access.binary_rules(principal), session, listed)
        else:
            digest = settings.overlong_keys == "digest"
            parser = TextParser(generation.access.text_rules(principal), session, token, digest_overlong_keys=digest)
        server.sessions.add(session)
        server.metrics.session_opened(self._listener.name)
        session.start(one_at_a_time(parser, session) if settings.pipelining == "refuse" else parser, data)
        if server.draining:
            session.drain()
            server.relay.settle()

    # What the session tells.

    def refused(self, session: Session, refusal: Refusal) -> None:
        """A request was answered by the proxy itself."""
        traffic = self._server.relay.traffic
        traffic.refused[refusal.reason] += 1
        if refusal.denied:
            traffic.denied[refusal.denied] += 1
        log.info(
            "request_refused",
            reason=refusal.reason,
            principal=str(self._principal),
            **({"class": refusal.denied} if refusal.denied else {}),
            **self._fields,
        )

    def log_in_again(self, session: Session, connection: Connection, data: bytes) -> None:
        """The client started another login: until it has succeeded, nobody is logged in."""
        self._session_ended(session, "logs in again")
        self._principal = None
        self._server.start_soon(self._log_in_once_more, data)

    async def _log_in_once_more(self, data: bytes) -> None:
        with self._closing_on_error():
            with self._deadline() as scope:
                if await self._may_log_in_again():
                    await self._log_in(data)
            if scope.cancelled_caught:
                self._give_up(ConnectionRefusal.LOGIN_TIMEOUT, "no login in time")

    async def _may_log_in_again(self) -> bool:
        if await self._place.logs_in_again():
            return True
        self._give_up(ConnectionRefusal.TOO_MANY, "too many connections are logging in")
        return False

    def closed(self, session: Session, reason: str) -> None:
        """The session is over and its socket closed."""
        self._session_ended(session, reason)
        self._place.release()

    def linger(self, session: Session, connection: Connection, reason: str) -> None:
        """The session is over, and the client is to see why."""
        self._server.closing += 1
        self._session_ended(session, reason)
        self._server.start_soon(self._see_off)

    async def _see_off(self) -> None:
        try:
            await self._close_gently()
        finally:
            self._server.closed_gently()

    def _session_ended(self, session: Session, reason: str) -> None:
        self._server.session_ended(session)
        self._server.metrics.session_closed(self._listener.name)
        if reason == OVER_BUDGET:
            log.warning("session_closed", reason=reason, principal=str(self._principal), **self._fields)
        log.debug("session_ended", why=reason, principal=str(self._principal), **self._fields)

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """What goes wrong with one connection ends that connection and nothing else."""
        try:
            yield
        except OSError as error:
            # The client went away, or its handshake failed.
            self._give_up(ConnectionRefusal.TLS if isinstance(error, ssl.SSLError) else None, _explain(error))
        except Exception as error:
            log_bug(error)
            self._close()
        except trio.Cancelled:
            self._close()
            raise

    @contextlib.contextmanager
    def _deadline(self) -> Iterator[trio.CancelScope]:
        """The time for a handshake and a login; the relay doesn't wait in its own poll meanwhile."""
        with (
            self._server.relay.busy(),
            trio.move_on_after(self._server.generation.settings.limits.login_timeout) as scope,
        ):
            yield scope

    def _count_login(self, mechanism: str, result: LoginResult) -> None:
        self._server.metrics.login(self._listener.name, mechanism, result)

    async def _refuse(self, reason: ConnectionRefusal, why: str) -> None:
        self._note_refusal(reason, why)
        await self._close_gently()

    def _give_up(self, reason: ConnectionRefusal | None, why: str) -> None:
        if reason is not None:
            self._note_refusal(reason, why)
        else:
            log.debug("connection_lost", why=why, **self._fields)
        self._close()

    def _note_refusal(self, reason: ConnectionRefusal, why: str) -> None:
        self._server.metrics.connection_refused(self._listener.name, reason)
        log.warning("connection_refused", reason=why, **self._fields)

    async def _close_gently(self) -> None:
        try:
            await close_gently(self._connection, until_end=not self._server.draining)
        finally:
            self._close()

    def _close(self) -> None:
        socket_of(self._connection).close()
        self._place.release()


def _explain(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS handshake failed: client certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or "connection closed"
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
            reason = "the client does not speak TLS"
        return f"TLS handshake failed: {reason}".replace("_", " ")
    return error.strerror or type(error).__name__
