"""Rules between the fields of a configuration, most of them about safety. Pure: no file, no network is looked at.

Each rule yields findings; none stops at the first. Loopback is judged by the addresses that are bound or connected
to. What a rule refuses can always be had by saying so in words (`plaintext: true`), or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcproxy.config.addresses import UnixAddress
from mcproxy.config.admin_rules import admin_rules
from mcproxy.config.collisions import address_rules
from mcproxy.config.names import GRANT_KINDS, KEYLESS_CLASSES
from mcproxy.config.problems import Finding, Place, suggestion
from mcproxy.config.saslauthd import saslauthd_rules
from mcproxy.config.schema import SMALLEST_BUFFER, Grant, Limits, Listener, Role, Settings
from mcproxy.config.units import show_size
from mcproxy.config.upstream_rules import upstream_rules


def check_rules(settings: Settings) -> Iterator[Finding]:
    """Everything that the settings contradict, in the order of the sections."""
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        yield from _listener_addresses(listener, place)
        yield from _listener_encryption(listener, place)
        yield from _listener_logins(listener, place)
        yield from _listener_users(listener, settings, place)
    yield from saslauthd_rules(settings, ("saslauthd",))
    yield from upstream_rules(settings)
    for name, role in settings.roles.items():
        yield from _role(role, ("roles", name))
    for index, grant in enumerate(settings.grants):
        yield from _grant(grant, settings, ("grants", index))
    yield from _grants_that_disagree(settings.grants)
    yield from _names_that_share_roles(settings.grants)
    yield from _unknown_roles(settings.default_roles, settings, ("default_roles",))
    yield from _limits(settings.limits, settings.workers, ("limits",))
    yield from admin_rules(settings.admin, ("admin",))
    yield from address_rules(settings)


def _listener_addresses(listener: Listener, place: Place) -> Iterator[Finding]:
    bind = (*place, "bind")
    given = listener.model_fields_set
    kinds = {type(address) for address in listener.bind}
    if len(kinds) > 1:
        message = "mixes unix sockets and TCP addresses, whose rules differ; make a listener of each"
        yield Finding(bind, message)
    elif listener.is_unix:
        if "allow" in given:
            message = "a unix socket has no source addresses; its mode and group guard it"
            yield Finding((*place, "allow"), message, about=(bind,))
        if "proxy_protocol" in given:
            message = "is for TCP: balancers are listed by address, and a unix socket has none"
            yield Finding((*place, "proxy_protocol"), message, about=(bind,))
    else:
        if "allow" not in given:
            message = 'is required with TCP: who may connect, such as ["10.0.0.0/24"]; [] is nobody'
            yield Finding((*place, "allow"), message, about=(bind,))
        for key in ("mode", "group"):
            if key in given:
                message = "is for unix sockets; this listener has TCP addresses"
                yield Finding((*place, key), message, about=(bind,))


def _listener_encryption(listener: Listener, place: Place) -> Iterator[Finding]:
    if listener.tls is None:
        if not listener.plaintext:
            for index, address in enumerate(listener.bind):
                if not address.is_loopback:
                    message = (
                        f"{address} is not loopback and has no TLS: everything would cross the network in clear text; "
                        "add tls (certificate and key), or plaintext: true if that is really meant"
                    )
                    yield Finding((*place, "bind", index), message, about=((*place, "tls"), (*place, "plaintext")))
    elif listener.tls.client_ca is None:
        for key, what in (("client_certificate", "certificates"), ("crl", "revocation lists")):
            if key in listener.tls.model_fields_set:
                message = f"needs client_ca, the certificate authority that the {what} must come from"
                yield Finding((*place, "tls", key), message, about=((*place, "tls", "client_ca"),))


def _listener_logins(listener: Listener, place: Place) -> Iterator[Finding]:
    methods = listener.authentication
    at = (*place, "authentication")
    bind, tls, protocols = (*place, "bind"), (*place, "tls"), (*place, "protocols")
    if "none" in methods:
        if len(methods) > 1:
            yield Finding(at, "none lets everybody in, so it stands alone; take out the others or none")
        if not listener.is_local:
            message = "none is for loopback addresses and unix sockets; elsewhere somebody must log in"
            yield Finding(at, message, about=(bind,))
        if listener.proxy_protocol:
            message = "none is for clients on this machine, and a balancer brings others; let them log in"
            yield Finding(at, message, about=((*place, "proxy_protocol"),))
    if "peer" in methods and not all(isinstance(address, UnixAddress) for address in listener.bind):
        message = "peer needs a unix socket: over TCP the kernel doesn't know who is at the other end"
        yield Finding(at, message, about=(bind,))
    if "address" in methods and listener.is_unix:
        message = "address needs TCP: a unix socket has no source address; peer is its counterpart"
        yield Finding(at, message, about=(bind,))
    if "certificate" in methods and (listener.tls is None or listener.tls.client_ca is None):
        message = "certificate needs tls.client_ca, the authority that client certificates must come from"
        yield Finding(at, message, about=((*tls, "client_ca"),))
    if "token" in methods and "text" not in listener.protocols:
        message = "token needs the text protocol; add text to protocols, or use sasl for binary"
        yield Finding(at, message, about=(protocols,))
    if "mechanisms" in listener.model_fields_set and "sasl" not in methods:
        yield Finding((*place, "mechanisms"), "are SASL's, and authentication doesn't list sasl", about=(at,))
    if "sasl" in methods:
        yield from _mechanisms(listener, place)
    if "token" in methods and not _may_carry_passwords(listener):
        yield Finding(at, _in_clear_text("token"), about=(bind, tls, (*place, "plaintext_passwords")))


def _mechanisms(listener: Listener, place: Place) -> Iterator[Finding]:
    """Mechanisms that can't work here. PLAIN by default is no mistake: where it may not be used, it isn't offered."""
    at, tls = (*place, "mechanisms"), (*place, "tls")
    if "mechanisms" not in listener.model_fields_set:
        return
    if "PLAIN" in listener.mechanisms and not _may_carry_passwords(listener):
        about = ((*place, "bind"), tls, (*place, "plaintext_passwords"))
        yield Finding(at, _in_clear_text("PLAIN"), about=about)
    bound = [name for name in listener.mechanisms if name.endswith("-PLUS")]
    if bound and listener.tls is None:
        verb = "need" if len(bound) > 1 else "needs"
        yield Finding(at, f"{' and '.join(bound)} {verb} tls, whose certificate the login is bound to", about=(tls,))
    if "EXTERNAL" in listener.mechanisms and (listener.tls is None or listener.tls.client_ca is None):
        message = "EXTERNAL needs tls.client_ca, the authority that client certificates must come from"
        yield Finding(at, message, about=((*tls, "client_ca"),))


def _may_carry_passwords(listener: Listener) -> bool:
    return listener.tls is not None or listener.is_local or listener.plaintext_passwords


def _in_clear_text(what: str) -> str:
    return (
        f"{what} would send passwords over the network in clear text; "
        "add tls, or plaintext_passwords: true if that is really meant"
    )


def _listener_users(listener: Listener, settings: Settings, place: Place) -> Iterator[Finding]:
    about = (("users_file",), ("saslauthd",))
    if settings.users_file is None:
        for method in listener.authentication:
            without = {"EXTERNAL", *(["PLAIN"] if settings.saslauthd is not None else [])}
            if method == "sasl" and not without.issuperset(listener.mechanisms):
                message = 'sasl needs users; name their file with a top-level "users_file: /etc/mcproxy/users"'
                if settings.saslauthd is not None:
                    message += ", or offer what saslauthd can check alone (mechanisms: [PLAIN])"
            elif method == "token" and settings.saslauthd is None:
                message = 'token needs users; name their file with a top-level "users_file: /etc/mcproxy/users"'
            else:
                continue
            yield Finding((*place, "authentication"), message, about=about)
            return


def _role(role: Role, place: Place) -> Iterator[Finding]:
    keyless = sorted(role.commands & KEYLESS_CLASSES)
    if keyless and role.keys != ["*"]:
        verb = "work" if len(keyless) > 1 else "works"
        message = (
            f'{", ".join(keyless)} {verb} on all keys at once, so the role\'s keys must be ["*"]; '
            "put them into a role of their own"
        )
        yield Finding((*place, "commands"), message, about=((*place, "keys"),))


def _grant(grant: Grant, settings: Settings, place: Place) -> Iterator[Finding]:
    kinds = [kind for kind in GRANT_KINDS if getattr(grant, kind) is not None]
    named = tuple((*place, kind) for kind in GRANT_KINDS)
    if len(kinds) != 1:
        what = f"has {' and '.join(kinds)}" if kinds else "names nobody"
        message = f"{what}; a grant is for exactly one of user, certificate, address, peer"
        yield Finding(place, message, about=named)
    elif kinds == ["user"] and grant.as_ is not None:
        yield Finding((*place, "as"), "a user keeps the name of the users file; take this out", about=named)
    elif kinds != ["user"] and grant.as_ is None:
        message = f'needs "as", the name that this {kinds[0]} goes by in logs and metrics'
        yield Finding(place, message, about=(*named, (*place, "as")))
    if grant.peer is not None and grant.peer.uid is None and grant.peer.gid is None:
        yield Finding((*place, "peer"), "names nobody; give it a uid, a gid or both, such as {uid: 1000}")
    yield from _unknown_roles(grant.roles, settings, (*place, "roles"))


def _grants_that_disagree(grants: list[Grant]) -> Iterator[Finding]:
    """The same certificate, network or peer under two names: which one it would be is nobody's guess."""
    named: dict[tuple[str, Any], str] = {}
    for index, grant in enumerate(grants):
        for kind in GRANT_KINDS[1:]:
            matched = getattr(grant, kind)
            if matched is None or grant.as_ is None:
                continue
            first = named.setdefault((kind, matched), grant.as_)
            if first != grant.as_:
                message = f'an earlier grant calls the same {kind} "{first}"; one {kind} has one name'
                yield Finding(("grants", index, "as"), message)


def _names_that_share_roles(grants: list[Grant]) -> Iterator[Finding]:
    """Several may share a name, which is all that logs and rules know them by: so each has the roles of all of them."""
    roles: dict[tuple[str, str], dict[Any, set[str]]] = {}
    first: dict[tuple[str, str], int] = {}
    for index, grant in enumerate(grants):
        for kind in GRANT_KINDS[1:]:
            if (matched := getattr(grant, kind)) is not None and grant.as_ is not None:
                first.setdefault((kind, grant.as_), index)
                roles.setdefault((kind, grant.as_), {}).setdefault(matched, set()).update(grant.roles)
    for (kind, name), of_each in roles.items():
        if len(set(map(frozenset, of_each.values()))) > 1:
            plural = f"{kind}es" if kind == "address" else f"{kind}s"
            message = (
                f'"{name}" is the name of several {plural} with different roles, and each would have the roles of all; '
                "give each a name of its own, or the same roles"
            )
            yield Finding(("grants", first[kind, name], "as"), message)


def _unknown_roles(roles: list[str], settings: Settings, place: Place) -> Iterator[Finding]:
    for index, name in enumerate(roles):
        if name not in settings.roles:
            message = f'there is no role "{name}"; {suggestion(name, settings.roles)}'
            yield Finding((*place, index), message, about=(("roles",),))


def _limits(limits: Limits, workers: int, place: Place) -> Iterator[Finding]:
    """Each worker has its part of `total_buffer`."""
    least = max(2 * limits.value, SMALLEST_BUFFER)
    if limits.total_buffer < workers * least:
        each = f" for each of {workers} workers" if workers > 1 else ""
        message = (
            f"must hold at least two values of the largest size{each}; with value: {show_size(limits.value)} "
            f"write {show_size(workers * least)} or more"
        )
        yield Finding((*place, "total_buffer"), message, about=((*place, "value"), ("workers",)))
