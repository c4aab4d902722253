"""From checked settings to what connections go by: nothing is opened here but the TLS files."""

import ssl

from mcproxy.auth.users import Users
from mcproxy.config.schema import Settings
from mcproxy.policy.allowlist import Allowlist
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.server.access import Access
from mcproxy.server.state import Generation, ListenerState
from mcproxy.server.tls import server_context


def make_generation(number: int, settings: Settings, users: Users) -> Generation:
    """Raises OSError (ssl.SSLError is one) for TLS files that don't do."""
    limits = settings.limits
    return Generation(
        number=number,
        settings=settings,
        users=users,
        access=Access(settings),
        listeners=_listener_states(settings),
        session_limits=SessionLimits(limits.pipeline, limits.session_buffer, limits.stall_timeout, limits.idle_timeout),
    )


def _listener_states(settings: Settings) -> dict[str, ListenerState]:
    """Every listener with its allowlist and its TLS context."""
    states = {}
    for name, listener in settings.listeners.items():
        context: ssl.SSLContext | None = None if listener.tls is None else server_context(listener.tls)
        mechanisms = tuple(listener.mechanisms) if "sasl" in listener.authentication else ()
        states[name] = ListenerState(name, listener, Allowlist(listener.allow), context, mechanisms)
    return states
