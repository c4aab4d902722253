"""Rules about the admin port: beyond this machine it is encrypted, and nobody reads it who isn't known."""

from __future__ import annotations

from collections.abc import Iterator

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.problems import Finding, Place
from mcproxy.config.schema import Admin


def admin_rules(admin: Admin, place: Place) -> Iterator[Finding]:
    """What the section contradicts. Pure."""
    tls, token = (*place, "tls"), (*place, "token_file")
    if not admin.bind.is_loopback:
        who = "whoever reaches it reads metrics, addresses and users' names"
        elsewhere = "; for health checks alone there is health_bind"
        at = (*place, "bind")
        if admin.tls is None:
            message = f"{admin.bind} is not loopback, and {who}: add tls, and tls.client_ca or token_file{elsewhere}"
            yield Finding(at, message, about=(tls,))
        elif admin.tls.client_ca is None and admin.token_file is None:
            message = f"{admin.bind} is not loopback, and {who}: add tls.client_ca or token_file{elsewhere}"
            yield Finding(at, message, about=(tls, token))
    if admin.hosts and isinstance(admin.bind, UnixAddress):
        message = "are for TCP: browsers, which the Host header is checked for, can't reach a unix socket"
        yield Finding((*place, "hosts"), message, about=((*place, "bind"),))
