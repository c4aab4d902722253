"""What a configuration may say, and yet is hardly meant: told by `check`, and logged when the proxy starts."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mcproxy.auth.users import Users, parse_users
from mcproxy.config.addresses import UnixAddress
from mcproxy.config.admin_files import admin_notes
from mcproxy.config.breadth import allow_notes, grant_notes, login_notes
from mcproxy.config.certificate_files import authority_kind_notes, server_notes
from mcproxy.config.expiry import authority_notes
from mcproxy.config.material import Material, in_memory
from mcproxy.config.peer_notes import peer_notes
from mcproxy.config.problems import Finding, Place, nearest
from mcproxy.config.revocation import crl_notes
from mcproxy.config.saslauthd import asks_passwords, saslauthd_notes
from mcproxy.config.schema import Listener, ListenerTls, Settings
from mcproxy.config.stand_in import unlike_users
from mcproxy.config.upstream_notes import upstream_notes

SOON_DAYS = 14
"""A certificate that ends within so many days is worth a note."""

CRL_SOON_DAYS = 1
"""Revocation lists are made for days; one that has to be replaced within so many is worth a note."""

CHANGEABLE = "can be changed by everybody, and so can who may do what; run: chmod o-w"
_LACKING = {
    "sasl": "the users file is empty",
    "token": "the users file is empty",
    "certificate": "no grant is for a certificate",
    "address": "no grant is for an address",
    "peer": "no grant is for a peer",
}


def notes(settings: Settings) -> list[str]:
    """A line each, with file, line and key, in the order of the sections. The settings are from load, which has read
    every file that is read again here."""
    return [str(settings.problem(finding)) for finding in _findings(settings)]


def notes_of(material: Material) -> list[str]:
    """As notes, of what was read: the disk may say something else by now."""
    path = material.path
    own = [f"{path} {CHANGEABLE} {path}"] if path.is_file() and path.stat().st_mode & stat.S_IWOTH else []
    with in_memory(material.settings, material.files) as (readable, with_real_names):
        return own + [with_real_names(note) for note in notes(readable)]


def user_names(settings: Settings) -> list[str]:
    """Who is in the users file; nobody without one."""
    return _users(settings).names()


def _users(settings: Settings) -> Users:
    if settings.users_file is None:
        return Users(())
    return parse_users(settings.users_file.read_text(encoding="utf-8"))


def _findings(settings: Settings) -> Iterator[Finding]:
    users = user_names(settings)
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        yield from allow_notes(listener, (*place, "allow"))
        yield from _clear_text(listener, place)
        for index, network in enumerate(listener.proxy_protocol):
            if network.prefixlen == 0:
                message = f"{network}: whoever can connect may claim any address; list the balancers alone"
                yield Finding((*place, "proxy_protocol", index), message)
        for index, address in enumerate(listener.bind):
            yield from _directory(address, (*place, "bind", index))
        if listener.tls is not None:
            at = (*place, "tls", "certificate")
            yield from server_notes(listener.tls.certificate, datetime.now(UTC), SOON_DAYS, at)
            yield from _client_certificates(listener.tls, (*place, "tls"))
            yield from _changeable(listener.tls, (*place, "tls"))
        yield from _logins(listener, users, settings, (*place, "authentication"))
        yield from login_notes(listener, settings, _users(settings), place)
        yield from _tokens_as_values(listener, settings, (*place, "authentication"))
    yield from saslauthd_notes(settings, ("saslauthd",))
    yield from upstream_notes(settings, datetime.now(UTC), SOON_DAYS)
    for index, grant in enumerate(settings.grants):
        known = settings.users_file is None or settings.saslauthd is not None
        if grant.user is not None and not known and grant.user not in users:
            near = nearest(grant.user, users)
            hint = f'; did you mean "{near}"?' if near else '; "mcproxy user add" adds users'
            yield Finding(("grants", index, "user"), f"{grant.user} is not in {settings.users_file}{hint}")
    yield from grant_notes(settings)
    yield from peer_notes(settings)
    yield from unlike_users(_users(settings))
    yield from _directory(settings.admin.bind, ("admin", "bind"))
    if settings.admin.health_bind is not None:
        yield from _directory(settings.admin.health_bind, ("admin", "health_bind"))
    yield from admin_notes(settings.admin, datetime.now(UTC), SOON_DAYS, CHANGEABLE, ("admin",))
    if not settings.default_roles and not any(grant.roles for grant in settings.grants):
        yield Finding(("grants",), "nobody may do anything: no grant has a role and there are no default_roles")


def _clear_text(listener: Listener, place: Place) -> Iterator[Finding]:
    """What crosses the network for everybody on the way to read. That it is meant has been said, by the key itself."""
    if listener.tls is not None or listener.is_local:
        return
    if listener.plaintext_passwords and {"sasl", "token"} & set(listener.authentication):
        message = "passwords cross the network in clear text: whoever sees one can log in with it; add tls"
        yield Finding((*place, "plaintext_passwords"), message)
    elif listener.plaintext:
        message = "keys and values cross the network in clear text, and sessions can be taken over; add tls"
        yield Finding((*place, "plaintext"), message)


def _directory(address: object, place: Place) -> Iterator[Finding]:
    if isinstance(address, UnixAddress):
        directory = Path(address.path).parent
        if not directory.is_dir():
            yield Finding(place, f"there is no directory {directory}; it must be there when the proxy starts")


def _logins(listener: Listener, users: list[str], settings: Settings, place: Place) -> Iterator[Finding]:
    methods = listener.authentication
    if methods == ["none"]:
        if not settings.default_roles:
            yield Finding(place, "none gives default_roles, and there are none: nobody may do anything here")
        return
    able = {grant.kind for grant in settings.grants}
    if "certificate" in able and "EXTERNAL" in listener.mechanisms:
        able |= {"sasl"}
    if users:
        able |= {"sasl", "token"}
    elif settings.saslauthd is not None and asks_passwords(listener):
        able |= set(methods)
    if not able & set(methods):
        lacking = dict.fromkeys(_LACKING[method] for method in methods)
        yield Finding(place, f"nobody can log in here: {' and '.join(lacking)}")


def _tokens_as_values(listener: Listener, settings: Settings, place: Place) -> Iterator[Finding]:
    if "token" not in listener.authentication:
        return
    everything = {name for name, role in settings.roles.items() if "write" in role.commands and "*" in role.keys}
    for grant in settings.grants:
        if grant.kind in listener.authentication and everything.intersection(grant.roles):
            message = (
                f"{grant.as_} may write every key, so what it sends first is stored and never a token login; "
                "make a listener of its own for tokens, or narrow its roles"
            )
            yield Finding(place, message)


def _changeable(tls: ListenerTls, place: Place) -> Iterator[Finding]:
    """Secret files that everybody can read or change are errors. What is public must not be changed either."""
    for key, path in (("certificate", tls.certificate), ("client_ca", tls.client_ca), ("crl", tls.crl)):
        if path is not None and path.stat().st_mode & stat.S_IWOTH:
            yield Finding((*place, key), f"{path} {CHANGEABLE} {path}")


def _client_certificates(tls: ListenerTls, place: Place) -> Iterator[Finding]:
    if tls.client_ca is not None:
        now = datetime.now(UTC)
        yield from authority_notes(tls.client_ca, now, SOON_DAYS, (*place, "client_ca"))
        yield from authority_kind_notes(tls.client_ca, (*place, "client_ca"))
        if tls.crl is not None:
            yield from crl_notes(tls.crl, tls.client_ca, now, CRL_SOON_DAYS, (*place, "crl"))
