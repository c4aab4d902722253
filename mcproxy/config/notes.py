"""What a configuration may say, and yet is hardly meant: told by `check`, and logged when the proxy starts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from mcproxy.auth.users import parse_users
from mcproxy.config.addresses import UnixAddress
from mcproxy.config.problems import Finding, Place, nearest
from mcproxy.config.schema import Listener, Settings

SOON_DAYS = 14
"""A certificate that ends within so many days is worth a note."""

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


def user_names(settings: Settings) -> list[str]:
    """Who is in the users file; nobody without one."""
    if settings.users_file is None:
        return []
    return parse_users(settings.users_file.read_text(encoding="utf-8")).names()


def _findings(settings: Settings) -> Iterator[Finding]:
    users = user_names(settings)
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        if not listener.is_unix and not listener.allow:
            yield Finding((*place, "allow"), "is empty, so nobody may connect")
        for index, address in enumerate(listener.bind):
            yield from _directory(address, (*place, "bind", index))
        if listener.tls is not None:
            yield from _certificate(listener.tls.certificate, (*place, "tls", "certificate"))
        yield from _logins(listener, users, settings, (*place, "authentication"))
    for index, grant in enumerate(settings.grants):
        if grant.user is not None and settings.users_file is not None and grant.user not in users:
            near = nearest(grant.user, users)
            hint = f'; did you mean "{near}"?' if near else '; "mcproxy user add" adds users'
            yield Finding(("grants", index, "user"), f"{grant.user} is not in {settings.users_file}{hint}")
    yield from _directory(settings.admin.bind, ("admin", "bind"))
    if settings.admin.health_bind is not None:
        yield from _directory(settings.admin.health_bind, ("admin", "health_bind"))
    if not settings.default_roles and not any(grant.roles for grant in settings.grants):
        yield Finding(("grants",), "nobody may do anything: no grant has a role and there are no default_roles")


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
    if users:
        able |= {"sasl", "token"}
    if not able & set(methods):
        lacking = dict.fromkeys(_LACKING[method] for method in methods)
        yield Finding(place, f"nobody can log in here: {' and '.join(lacking)}")


def _certificate(path: Path, place: Place) -> Iterator[Finding]:
    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins > now:
        yield Finding(place, f"{path} is not valid before {begins:%Y-%m-%d %H:%M} UTC; clients will refuse it")
    if ends < now:
        yield Finding(place, f"{path} has expired on {ends:%Y-%m-%d %H:%M} UTC; clients will refuse it")
    elif (ends - now).days < SOON_DAYS:
        yield Finding(place, f"{path} expires in {(ends - now).days} days")
