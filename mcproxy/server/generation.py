"""From checked settings to what connections go by: nothing is opened here but the TLS files, on disk or in memory."""

import ssl

from mcproxy.auth.users import Users
from mcproxy.config.expiry import expiries
from mcproxy.config.material import Material, in_memory
from mcproxy.config.schema import Settings
from mcproxy.policy.allowlist import Allowlist
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.server.access import Access
from mcproxy.server.admin_access import admin_material
from mcproxy.server.channel_binding import served_certificate, server_end_point
from mcproxy.server.state import Generation, ListenerState
from mcproxy.server.tls import server_context
from mcproxy.server.trust import trust_material
from mcproxy.server.upstream_states import upstream_states


def generation_of(number: int, material: Material) -> Generation:
    """What is served once this material is: nothing is read from the disk. Raises OSError as make_generation."""
    with in_memory(material.settings, material.files) as (readable, with_real_names):
        try:
            return make_generation(number, material.settings, material.users, readable)
        except OSError as error:
            raise OSError(with_real_names(str(error))) from error


def make_generation(number: int, settings: Settings, users: Users, readable: Settings | None = None) -> Generation:
    """`readable` are the same settings with names under which the TLS files can be opened now, if these are others.

    Raises OSError (ssl.SSLError is one) for TLS files that don't do.
    """
    limits = settings.limits
    return Generation(
        number=number,
        settings=settings,
        users=users,
        access=Access(settings, users),
        listeners=_listener_states(settings, readable or settings),
        session_limits=SessionLimits(limits.pipeline, limits.session_buffer, limits.stall_timeout, limits.idle_timeout),
        upstreams=upstream_states(settings, readable or settings),
        admin=admin_material(settings.admin, (readable or settings).admin),
    )


def _listener_states(settings: Settings, readable: Settings) -> dict[str, ListenerState]:
    """Every listener with its allowlist and its TLS context."""
    states = {}
    for name, listener in settings.listeners.items():
        tls = readable.listeners[name].tls
        context: ssl.SSLContext | None = None if tls is None else server_context(tls)
        mechanisms = tuple(listener.mechanisms) if "sasl" in listener.authentication else ()
        binding = None if context is None else server_end_point(served_certificate(context))
        balancers = Allowlist(listener.proxy_protocol)
        trust = None if tls is None else trust_material(tls)
        states[name] = ListenerState(
            name=name,
            settings=listener,
            allowlist=Allowlist(listener.allow),
            context=context,
            mechanisms=mechanisms,
            channel_binding=binding,
            trust=trust,
            expiries={} if tls is None else expiries(tls),
            balancers=balancers,
        )
    return states
