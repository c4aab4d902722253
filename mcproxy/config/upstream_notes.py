"""What about upstreams is allowed and hardly meant, or may surprise."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from datetime import datetime

from mcproxy.config.certificate_files import authority_kind_notes, client_notes
from mcproxy.config.expiry import authority_notes
from mcproxy.config.problems import Finding, Place
from mcproxy.config.schema import Settings, Upstream, UpstreamLogin, UpstreamTls
from mcproxy.config.upstream_password import PasswordError, password_of
from mcproxy.config.upstream_rules import upstream_place

_GUESSABLE = ("CRAM-MD5", "DIGEST-MD5")
_UNTRANSLATED = frozenset({"inspect", "admin"})
_NOT_TWEMPROXYS = ("flush", "stats", "inspect", "admin")


def upstream_notes(settings: Settings, now: datetime, soon: int) -> Iterator[Finding]:
    """`soon`: a certificate that ends within so many days is worth a note. The settings' files can be read."""
    for name, upstream in settings.all_upstreams.items():
        place = upstream_place(settings, name)
        if not settings.listeners_of(name):
            yield Finding(place, "no listener names this upstream: nobody reaches it")
        yield from _clear_text(upstream, place)
        if upstream.tls is not None:
            yield from _certificates(upstream.tls, now, soon, (*place, "tls"))
        if upstream.login is not None:
            yield from _password(upstream.login, (*place, "login"))
        yield from _in_vain(settings, name, place)


def _clear_text(upstream: Upstream, place: Place) -> Iterator[Finding]:
    if upstream.tls is not None or upstream.address.is_loopback:
        return
    login = upstream.login
    if login is not None and login.sends_password:
        message = "the password crosses the network in clear text: whoever sees it can log in with it; add tls"
        yield Finding((*place, "plaintext_passwords"), message)
    else:
        message = "keys and values cross the network in clear text, and links can be taken over; add tls"
        yield Finding((*place, "plaintext"), message)
    if login is not None and login.mechanism in _GUESSABLE:
        message = (
            f"{login.mechanism} shows what the password can be guessed from, as fast as a machine can; "
            "add tls, or use SCRAM-SHA-256"
        )
        yield Finding((*place, "login", "mechanism"), message)


def _certificates(tls: UpstreamTls, now: datetime, soon: int, place: Place) -> Iterator[Finding]:
    yield from authority_notes(tls.ca, now, soon, (*place, "ca"))
    yield from authority_kind_notes(tls.ca, (*place, "ca"), "server")
    if tls.certificate is not None:
        yield from client_notes(tls.certificate, now, soon, (*place, "certificate"))
    for key, path in (("ca", tls.ca), ("certificate", tls.certificate)):
        if path is not None and path.stat().st_mode & stat.S_IWOTH:
            message = f"{path} can be changed by everybody, and so can who is taken for upstream; run: chmod o-w {path}"
            yield Finding((*place, key), message)


def _password(login: UpstreamLogin, place: Place) -> Iterator[Finding]:
    at = (*place, "password_file" if login.password_file is not None else "password_environment")
    with contextlib.suppress(OSError, PasswordError):  # told before the notes, or of a file that has gone since
        password = password_of(login)
        if password != password.rstrip():
            yield Finding(at, "the password ends in a blank, which counts; take it out if it isn't meant")
        if login.method == "token" and " " in password:
            yield Finding(at, "memcached 1.6.18 and older refuse a token whose password holds a space")


def _in_vain(settings: Settings, name: str, place: Place) -> Iterator[Finding]:
    """Classes of commands that are granted, and that upstream's protocol or engine has not."""
    upstream = settings.all_upstreams[name]
    text = any("text" in listener.protocols for listener in settings.listeners_of(name).values())
    granted = {role for grant in settings.grants for role in grant.roles} | set(settings.default_roles)
    classes = {one for role in granted for one in settings.roles[role].commands}
    if upstream.engine == "twemproxy" and (lost := [one for one in _NOT_TWEMPROXYS if one in classes]):
        message = f"{', '.join(lost)} granted, and twemproxy has none of these commands: they are refused"
        yield Finding((*place, "engine"), message)
    if upstream.protocol == "binary" and text and classes & _UNTRANSLATED:
        message = (
            "inspect and admin are granted, and the binary protocol has little of them: "
            "text clients are refused the rest (docs/protocol.md says what)"
        )
        yield Finding((*place, "protocol"), message)
