"""What is noted of one connection, in the log and in the metrics."""

import ssl

from mcproxy.auth.principals import Principal
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal, LoginResult
from mcproxy.relay.poller import OVER_BUDGET
from mcproxy.relay.secured import NO_DATA, Connection
from mcproxy.server.state import ListenerState, ServerState
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.tally import Tally

log = get_logger()


class ConnectionNotes:
    """`source` and `via` are where it comes from, as the log has it."""

    def __init__(self, server: ServerState, listener: str, source: str, via: str | None) -> None:
        self._server = server
        self._listener = listener
        self.fields = {"listener": listener, "source": source} | ({"via": via} if via else {})

    def known(self, principal: Principal, by: str) -> None:
        """Somebody is known, `by` his connection or a login."""
        self._server.metrics.login(self._listener, by, LoginResult.SUCCESS)
        log.info("logged_in", principal=str(principal), by=by, **self.fields)

    def stranger(self, listener: ListenerState, connection: Connection) -> None:
        """Where somebody is known by his connection or not at all, say why he isn't, and who he says he is."""
        methods = listener.settings.authentication
        if "sasl" in methods or "token" in methods:
            return
        for method in methods:
            presented = self._server.generation.access.presented(method, connection)
            self._server.metrics.login(self._listener, method, LoginResult.FAILURE)
            log.warning("login_failed", by=method, reason=f"no grant names this {method}", **presented, **self.fields)

    def refusal(self, reason: ConnectionRefusal, why: str) -> None:
        """The connection is closed before it became a session."""
        self._server.metrics.connection_refused(self._listener, reason)
        log.warning("connection_refused", reason=why, **self.fields)

    def lost(self, why: str) -> None:
        """The client went away."""
        log.debug("connection_lost", why=why, **self.fields)

    def request_refused(self, refusal: Refusal, principal: Principal, tally: Tally) -> None:
        """A request was answered by the proxy itself."""
        self._server.relay.traffic.refused[refusal.reason] += 1
        if refusal.denied:
            tally.denied[refusal.denied] += 1
        log.info(
            "request_refused",
            reason=refusal.reason,
            principal=str(principal),
            **({"class": refusal.denied} if refusal.denied else {}),
            **self.fields,
        )

    def session_opened(self, tally: Tally) -> None:
        tally.sessions += 1
        self._server.metrics.session_opened(self._listener)

    def session_ended(self, reason: str, principal: Principal, tally: Tally) -> None:
        """`reason` as the relay has it."""
        tally.sessions -= 1
        self._server.metrics.session_closed(self._listener)
        if reason == OVER_BUDGET:
            log.warning("session_closed", reason=reason, principal=str(principal), **self.fields)
        log.debug("session_ended", why=reason, principal=str(principal), **self.fields)

    def ended_by_reload(self, reason: str, principal: Principal | None) -> None:
        """The files say now that this client may not go on."""
        log.info("session_ended_by_reload", reason=reason, principal=str(principal), **self.fields)


def explain(error: OSError) -> str:
    """What went wrong with a connection, in words for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS handshake failed: client certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        if error.reason == NO_DATA:
            return NO_DATA
        reason = error.reason or "connection closed"
        if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
            reason = "the client does not speak TLS"
        return f"TLS handshake failed: {reason}".replace("_", " ")
    return error.strerror or type(error).__name__
