"""A connection's life up to its session (client_session.py), and after it.

accept -> a balancer's word and the allowlist (arrival.py) -> TLS handshake -> who is it? -> login where that isn't
known -> session with its ruleset.
Everything until the login is done shares one deadline, and nothing of it reaches upstream. Whoever is known without a
byte may then stay silent.
"""

import contextlib
import math
import socket
import ssl
from collections.abc import Iterator
from functools import partial

import trio

from mcproxy.auth.buckets import source_of
from mcproxy.auth.principals import Principal
from mcproxy.auth.token import begins_with_login
from mcproxy.observe.log import log_bug
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.relay.secured import Secured, socket_of
from mcproxy.server.access import unix_peer
from mcproxy.server.basis import Basis, RulesCompared, objection
from mcproxy.server.client_session import ClientSession
from mcproxy.server.connection_notes import ConnectionNotes, explain
from mcproxy.server.crowd import CROWDED_OUT, SILENCE, Newcomer
from mcproxy.server.login import BINARY, LOGIN_READ, Arrived, Login, Refused, listener_now
from mcproxy.server.shared import Place
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.server.streams import DELIVERY_SECONDS, close_gently, receive
from mcproxy.server.tls import handshake
from mcproxy.server.trust import trust_of

STOPPING = "the proxy is stopping"


class Client:
    """One accepted connection. `address` is its canonical source address, None for a unix socket.

    `via` is the balancer that told the address; `arrived` the time by trio's clock from which the login's time counts.
    """

    def __init__(
        self,
        server: ServerState,
        listener: ListenerState,
        connection: socket.socket,
        address: str | None,
        place: Place,
        *,
        via: str | None = None,
        arrived: float | None = None,
    ) -> None:
        self._server = server
        self._listener = listener
        self._place = place
        self._basis = Basis(listener.name, connection, address, via)
        self._arrived = arrived
        self._notes = ConnectionNotes(server, listener.name, address or "unix", via)
        self._session: ClientSession | None = None
        # Somebody who is known and has sent nothing yet.
        self._silence: trio.CancelScope | None = None
        self._newcomer: Newcomer
        self._silent_since = math.inf
        server.clients.add(self)

    async def run(self) -> None:
        """From the accept to the session. Never raises for anything that the client does."""
        with self._closing_on_error():
            await self._until_session(b"")

    async def _until_session(self, received: bytes) -> None:
        basis = self._basis
        with self._deadline(self._arrived) as scope:
            context = self._listener.context
            if context is not None and not isinstance(basis.connection, Secured):
                basis.connection = secured = await handshake(basis.connection, context)
                basis.trust = trust_of(secured)
            if not received:
                settings, access = self._now.settings, self._server.generation.access
                basis.principal = access.identify(settings, basis.connection, basis.address)
            if basis.principal is None:
                self._notes.stranger(self._now, basis.connection)
                await self._log_in(received)
                return
        if scope.cancelled_caught:
            self._out_of_time()
            return
        if (principal := basis.principal) is not None:
            basis.by = principal.kind
            # The files may have changed during the handshake.
            if (why := objection(basis, self._server.generation)) is not None:
                self._give_up(ConnectionRefusal.LOGIN_FAILED, why)
                return
            self._notes.known(principal, basis.by)
            await self._wait_for_first_byte(principal)

    @property
    def _now(self) -> ListenerState:
        """Its listener as the newest files have it; `_listener` is the one of the accept, and of the handshake."""
        return listener_now(self._server, self._listener)

    async def _wait_for_first_byte(self, principal: Principal) -> None:
        self._place.logged_in()
        self._silent_since = trio.current_time()
        data = b""
        with trio.move_on_at(self._end_of_silence()) as self._silence:
            data = await receive(self._basis.connection, LOGIN_READ)
        self._silence = None
        if data:
            await self._start_or_log_in(principal, data)
        else:
            self._close()

    def _end_of_silence(self) -> float:
        if self._server.ending:
            # Somebody who came just now may have asked something that is on its way.
            return self._silent_since + SILENCE
        return self._silent_since + (self._server.generation.settings.limits.idle_timeout or math.inf)

    async def _start_or_log_in(self, principal: Principal, data: bytes) -> None:
        """Somebody known by his connection may still log in as a user with his first command, which replaces him.

        In text that looks like storing a value: begins_with_login tells which it is.
        """
        if "token" in self._now.settings.authentication and data[0] != BINARY:
            may_write = self._server.generation.access.may_write(principal)
            with self._deadline() as scope:
                self._newcomer.proxys_turn()  # it doesn't hold a place of those who log in
                while (is_login := begins_with_login(data, may_write)) is None:
                    # What is there at once is no reason to let nobody else have a turn.
                    await trio.lowlevel.checkpoint()
                    more = await receive(self._basis.connection, LOGIN_READ)
                    if not more:
                        self._close()
                        return
                    data += more
                if is_login:
                    self._forget()
                    if await self._may_log_in_again():
                        await self._log_in(data)
                    return
            if scope.cancelled_caught:
                self._out_of_time()
                return
        self._start_session(principal, data, data[0] == BINARY, None)

    async def _log_in(self, received: bytes) -> None:
        """The login conversation, to its end one way or the other. Raises OSError."""
        self._newcomer.clients_turn()
        source = self._throttle_source()
        login = Login(self._server, self._listener, self._basis, source, self._newcomer, self._notes.fields)
        match await login.converse(received):
            case Arrived() as arrived:
                self._basis.principal = arrived.principal
                self._basis.by = arrived.mechanism
                self._basis.secret = arrived.secret
                self._start_session(arrived.principal, arrived.leftover, arrived.binary, arrived.token)
            case Refused(reason, why):
                await self._refuse(reason, why)
            case None:
                self._close()

    def _throttle_source(self) -> str:
        if self._basis.address is not None:
            return self._basis.address
        return f"unix:{unix_peer(self._basis.connection).uid}"

    def _start_session(self, principal: Principal, data: bytes, binary: bool, token: bytes | None) -> None:
        self._basis.protocol = protocol = "binary" if binary else "text"
        if protocol not in self._now.settings.protocols:
            self._give_up(ConnectionRefusal.PROTOCOL, "protocol not allowed on this listener")
            return
        # The files may have changed since the accept, or since the login was checked.
        if (why := objection(self._basis, self._server.generation)) is not None:
            self._give_up(ConnectionRefusal.LOGIN_FAILED, why)
            return
        if self._basis.by != principal.kind:  # else it was noted at once
            self._notes.known(principal, self._basis.by)
        self._place.logged_in()
        self._session = ClientSession(self._server, self._listener, self._basis, principal, self._notes)
        self._session.start(self, data, token)

    def reconsider(self, compared: RulesCompared) -> bool:
        """Whether the connection ends now, since the files have changed. To be followed by the relay's `settle`.

        Who is still to log in is left alone: whatever comes of it is held to the files as they are then.
        """
        session, silence = self._session, self._silence
        if session is None and silence is None:
            return False
        if session is not None and session.is_of(compared.new.number) and not compared.again:
            return False
        principal = self._basis.principal
        try:
            why = objection(self._basis, compared.new)
            if session is not None:
                why = session.reconsider(compared, why)
        except OSError as error:
            # The client has left.
            why = explain(error)
            self.end(why)
        if silence is not None:
            if why is not None:
                silence.cancel()
            else:
                silence.deadline = self._end_of_silence()
        if why is not None:
            self._notes.ended_by_reload(why, principal)
        return why is not None

    def drain(self) -> None:
        """The proxy stops: somebody known who has asked nothing has to go. Sessions and logins are told elsewhere."""
        if self._silence is not None:
            self._silence.deadline = self._end_of_silence()

    def end(self, reason: str) -> None:
        """Close at once whoever is logged in: nobody knows whether he may be."""
        if self._session is not None:
            self._session.close(reason)
        elif self._silence is not None:
            self._silence.cancel()

    def logs_in_again(self, data: bytes) -> None:
        """Until the login has succeeded, nobody is logged in."""
        self._session = None
        self._forget()
        self._server.start_arriving(partial(self._log_in_once_more, data))

    def is_closed(self) -> None:
        """The session is over, and so is its connection."""
        self._release()

    def lingers(self) -> None:
        """The session is over, and the client is to see why."""
        self._session = None
        self._server.start_soon(self._see_off)

    async def _log_in_once_more(self, data: bytes) -> None:
        with self._closing_on_error():
            with self._deadline() as scope:
                if await self._may_log_in_again():
                    await self._log_in(data)
            if scope.cancelled_caught:
                self._out_of_time()

    async def _may_log_in_again(self) -> bool:
        if await self._place.logs_in_again():
            return True
        self._give_up(ConnectionRefusal.TOO_MANY, "too many connections are logging in")
        return False

    async def _see_off(self) -> None:
        try:
            await self._close_gently()
        finally:
            self._server.closed_gently()

    def _forget(self) -> None:
        """Nobody is logged in."""
        self._basis.principal = self._basis.secret = self._basis.protocol = None
        self._basis.by = ""

    @contextlib.contextmanager
    def _closing_on_error(self) -> Iterator[None]:
        """What goes wrong with one connection ends that connection and nothing else."""
        try:
            yield
        except OSError as error:
            # The client went away, or its handshake failed.
            self._give_up(ConnectionRefusal.TLS if isinstance(error, ssl.SSLError) else None, explain(error))
        except Exception as error:
            log_bug(error)
            self._close()
        except trio.Cancelled:
            self._close()
            raise

    @contextlib.contextmanager
    def _deadline(self, since: float | None = None) -> Iterator[trio.CancelScope]:
        """The time for a handshake and a login, which may also end because others need the place.

        The relay doesn't wait in its own poll meanwhile.
        """
        begin = trio.current_time() if since is None else since
        limit = self._server.generation.settings.limits.login_timeout
        crowd, source = self._server.crowds[self._listener.name], source_of(self._throttle_source()).key
        sock = socket_of(self._basis.connection)
        with (
            self._server.relay.busy(),
            trio.move_on_at(begin + limit) as scope,
            crowd.joined_by(source, sock, scope) as self._newcomer,
        ):
            yield scope

    def _out_of_time(self) -> None:
        if self._newcomer.crowded_out and self._server.ending:
            self._give_up(ConnectionRefusal.DRAINING, STOPPING)
        elif self._newcomer.crowded_out:
            self._give_up(ConnectionRefusal.CROWDED_OUT, CROWDED_OUT)
        else:
            self._give_up(ConnectionRefusal.LOGIN_TIMEOUT, "no login in time")

    async def _refuse(self, reason: ConnectionRefusal, why: str) -> None:
        self._notes.refusal(reason, why)
        await self._close_gently()

    def _give_up(self, reason: ConnectionRefusal | None, why: str) -> None:
        if reason is not None:
            self._notes.refusal(reason, why)
        else:
            self._notes.lost(why)
        self._close()

    async def _close_gently(self) -> None:
        try:
            ending = self._server.ending
            # What was asked before the proxy stops is delivered, as long as that takes within its own deadline.
            within = math.inf if ending else DELIVERY_SECONDS
            await close_gently(self._basis.connection, until_end=not ending, within=within)
        finally:
            self._close()

    def _close(self) -> None:
        socket_of(self._basis.connection).close()
        self._release()

    def _release(self) -> None:
        self._session = None
        self._server.clients.discard(self)
        self._place.release()
