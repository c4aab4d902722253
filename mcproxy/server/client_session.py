"""A client's session: begun under the newest files, held against each that come after, and what it tells."""

from typing import Protocol

from mcproxy.auth.principals import Principal
from mcproxy.relay.secured import Connection
from mcproxy.relay.session import Session
from mcproxy.server.basis import Basis, RulesCompared
from mcproxy.server.connection_notes import ConnectionNotes
from mcproxy.server.login import offer
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.wire.binary import BinaryParser
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.pipelining import one_at_a_time
from mcproxy.wire.text import TextParser


class Owner(Protocol):
    """Whose connection it is, before the session and after it."""

    def logs_in_again(self, data: bytes) -> None:
        """The session is over, since its client has begun another login with `data`."""

    def lingers(self) -> None:
        """The session is over, and the connection is to be closed so that the last reply arrives."""

    def is_closed(self) -> None:
        """The session is over, and so is its connection."""


class ClientSession:
    """`basis` is what its client was let in on, `principal` who that is. It runs once it was started."""

    def __init__(
        self, server: ServerState, listener: ListenerState, basis: Basis, principal: Principal, notes: ConnectionNotes
    ) -> None:
        self._server = server
        self._listener = listener
        self._basis = basis
        self._principal = principal
        self._notes = notes
        # It may not go on, and ends once what is in flight was delivered.
        self._revoked = False
        # The generation that its rules are of.
        self._rules_of = server.generation.number

    def start(self, owner: Owner, data: bytes, token: bytes | None) -> None:
        """Begin with what came behind the login. Raises OSError."""
        server, basis, principal = self._server, self._basis, self._principal
        generation = server.generation
        settings = generation.listeners[self._listener.name].settings
        listed = self._listed()
        self._owner = owner
        pool, translate = server.way_up(self._listener.name, "binary" if basis.protocol == "binary" else "text")
        tally = server.relay.traffic.tally_of(principal.kind, principal.name)
        session = self._session = Session(server.relay, basis.connection, pool, generation.session_limits, self, tally)
        if basis.protocol == "binary":
            parser: TextParser | BinaryParser = BinaryParser(generation.access.binary_rules(principal), session, listed)
        else:
            digest = settings.overlong_keys == "digest"
            parser = TextParser(
                generation.access.text_rules(principal), session, token, listed, digest_overlong_keys=digest
            )
        self._parser = parser
        server.sessions.add(session)
        self._notes.session_opened(tally)
        vetting = one_at_a_time(parser, session) if settings.pipelining == "refuse" else parser
        session.start(vetting, data, translate)
        if server.ending:
            session.drain()
            server.relay.settle()

    def _listed(self) -> bytes | None:
        return offer(self._server, self._listener, self._basis.connection).listed or None

    def is_of(self, generation: int) -> bool:
        """Whether it has begun under this generation, or was held against it."""
        return self._rules_of == generation

    def reconsider(self, compared: RulesCompared, objection: str | None) -> str | None:
        """Go on under the newest files, or say why that can't be. To be followed by the relay's `settle`.

        Raises OSError.
        """
        if self._revoked:
            return None
        if objection is None and not compared.same(self._listener.name, self._principal):
            objection = "may do something else now"
        if objection is None:
            if not compared.same_offer(self._listener.name):
                self._parser.mechanisms = self._listed()
            self._rules_of = compared.new.number
            self._session.change_limits(compared.new.session_limits)
        else:
            self._revoked = True
            self._session.revoke(objection, compared.new.settings.limits.drain_timeout)
        return objection

    def close(self, reason: str) -> None:
        """Close the connection, whatever is in flight."""
        self._session.close(reason)

    # What the relay's session tells.

    def refused(self, session: Session, refusal: Refusal) -> None:
        """A request was answered by the proxy itself."""
        self._notes.request_refused(refusal, self._principal, session.tally)

    def log_in_again(self, session: Session, connection: Connection, data: bytes) -> None:
        """The client started another login."""
        # In this order: the login has begun, and the proxy doesn't end in between.
        self._owner.logs_in_again(data)
        self._ended(session, "logs in again")

    def closed(self, session: Session, reason: str) -> None:
        """The session is over and its socket closed."""
        self._ended(session, reason)
        self._owner.is_closed()

    def linger(self, session: Session, connection: Connection, reason: str) -> None:
        """The session is over, and the client is to see why."""
        self._server.closing += 1
        self._ended(session, reason)
        self._owner.lingers()

    def _ended(self, session: Session, reason: str) -> None:
        self._server.session_ended(session)
        self._notes.session_ended(reason, self._principal, session.tally)
