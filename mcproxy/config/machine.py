"""What only this machine can tell: files, certificates, groups and the limit of file descriptors.

Everything is checked at start, before a port is open, so that a half-written certificate is one clear line and not
a handshake that fails later.
"""

from __future__ import annotations

import grp
import resource
from collections.abc import Iterator

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.fitness import credentials_problem
from mcproxy.config.admin_files import admin_file_problems
from mcproxy.config.collisions import socket_problems
from mcproxy.config.pem_files import (
    authority_problems,
    file_problems,
    pair_problems,
    pem_problems,
    secret_file_problems,
)
from mcproxy.config.problems import Finding, Place
from mcproxy.config.revocation import check_crl
from mcproxy.config.schema import ListenerTls, Settings, UpstreamLogin, UpstreamTls
from mcproxy.config.upstream_password import PasswordError, password_of
from mcproxy.config.upstream_rules import upstream_place

RESERVED_DESCRIPTORS = 64
"""Standard streams, epolls, the admin port and its clients, files while they are read."""


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Everything about files, groups and descriptors that stands against the settings."""
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        if listener.tls is not None:
            yield from _tls(listener.tls, (*place, "tls"))
        if listener.group is not None:
            yield from _group(listener.group, (*place, "group"))
    for name, upstream in settings.all_upstreams.items():
        at = upstream_place(settings, name)
        if upstream.tls is not None:
            yield from _upstream_tls(upstream.tls, (*at, "tls"))
        if upstream.login is not None:
            yield from _password(upstream.login, (*at, "login"))
    if settings.users_file is not None:
        yield from secret_file_problems(settings.users_file, ("users_file",), 'make it with "mcproxy user add"')
    yield from admin_file_problems(settings.admin, ("admin",))
    yield from socket_problems(settings)
    yield from _descriptors(settings)


def _tls(tls: ListenerTls, place: Place) -> Iterator[Finding]:
    yield from pair_problems(tls.certificate, tls.key, place)
    if tls.client_ca is not None:
        authority = list(authority_problems(tls.client_ca, (*place, "client_ca")))
        yield from authority
        if tls.crl is not None:
            at = (*place, "crl")
            lists = [*file_problems(tls.crl, at), *pem_problems(tls.crl, at, "X509 CRL")]
            yield from lists
            if not lists and not authority:
                yield from check_crl(tls.crl, tls.client_ca, at)


def _upstream_tls(tls: UpstreamTls, place: Place) -> Iterator[Finding]:
    # Nobody is known by a name in these, so one that can't be read does no harm: bundles of authorities have such.
    yield from authority_problems(tls.ca, (*place, "ca"), names=False)
    if tls.certificate is not None and tls.key is not None:
        yield from pair_problems(tls.certificate, tls.key, place)


def _password(login: UpstreamLogin, place: Place) -> Iterator[Finding]:
    path, variable = login.password_file, login.password_environment
    if path is None and variable is None:
        return
    at = (*place, "password_environment" if path is None else "password_file")
    if path is not None:
        missing = list(secret_file_problems(path, at, "write the password into it, on one line (mode 0600)"))
        yield from missing
        if missing:
            return
    where = f"the environment variable {variable}" if path is None else str(path)
    try:
        problem = _password_problem(login, password_of(login))
    except PasswordError as error:
        yield Finding(at, f"{where} {error}")
    except OSError as error:
        yield Finding(at, f"{path} can't be read: {error.strerror}")
    else:
        if problem is not None:
            yield Finding(at, f"{where}: {problem}")


def _password_problem(login: UpstreamLogin, password: str) -> str | None:
    """With a name and a password that suit every mechanism, since rules have judged the name and the mechanism."""
    if credentials_problem("text", Credentials(login.mechanism, "name", "password")) is not None:
        return None
    return credentials_problem("text", Credentials(login.mechanism, "name", password))


def _group(group: str | int, place: Place) -> Iterator[Finding]:
    if isinstance(group, str):
        try:
            grp.getgrnam(group)
        except KeyError:
            yield Finding(place, f'there is no group "{group}" on this machine; make it, or write its number')


def _descriptors(settings: Settings) -> Iterator[Finding]:
    """Each connection is a descriptor; running out of them in the middle of the night helps nobody."""
    binds = sum(len(listener.bind) for listener in settings.listeners.values()) + 2
    links = sum(_links(settings, name) for name in settings.all_upstreams)
    needed = settings.limits.connections + binds + links + RESERVED_DESCRIPTORS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        reserve = needed - settings.limits.connections
        fits = f"write {hard - reserve} or less, or " if hard > reserve else ""
        message = (
            f"{settings.limits.connections} connections need {needed} file descriptors ({reserve} of them for other "
            f"things) and the hard limit is {hard}; {fits}raise the limit (ulimit -Hn, LimitNOFILE= of systemd)"
        )
        yield Finding(("limits", "connections"), message)
    # The parent of several workers holds all their listening sockets, and a channel and a process descriptor of each.
    held = settings.workers * (binds + 2) + RESERVED_DESCRIPTORS
    if settings.workers > 1 and hard != resource.RLIM_INFINITY and held > hard:
        message = (
            f"the parent of {settings.workers} workers needs {held} file descriptors and the hard limit is {hard}; "
            "write fewer, or raise the limit (ulimit -Hn, LimitNOFILE= of systemd)"
        )
        yield Finding(("workers",), message)


def _links(settings: Settings, name: str) -> int:
    """Those of the pools that an upstream's listeners need: one pool for each protocol that is spoken with it."""
    upstream = settings.all_upstreams[name]
    listeners = settings.listeners_of(name).values()
    return upstream.links * len({upstream.spoken(one) for listener in listeners for one in listener.protocols})
