"""Who can log in how: a listener's ways in, each with those whom it is for, as `check` tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcproxy.auth.users import Users
from mcproxy.config.schema import Grant, Listener, Settings

_SHOWN = 5
"""Names in one line; of more only the number is told."""
_PLUS = "-PLUS"


def ways_in(listener: Listener, settings: Settings, users: Users, *, binding: bool = True) -> Iterator[str]:
    """A line for each way, in the order of the configuration: `how: who`.

    `binding`: whether the listener's certificate has a channel binding (server/channel_binding.py).
    """
    for method in listener.authentication:
        match method:
            case "sasl":
                for mechanism in listener.mechanisms:
                    if mechanism.endswith(_PLUS) and not binding:
                        who = "nobody: the certificate's signature has no hash that a login could be bound to"
                    else:
                        who = _by_mechanism(mechanism, listener, settings, users)
                    yield f"sasl {mechanism}: {who}"
            case "token":
                yield f"token: {_by_password(settings, users)}"
            case "none":
                yield "none: whoever can connect, as anonymous"
            case _:
                yield f"{method}: {_granted(method, settings)}"


def _by_mechanism(mechanism: str, listener: Listener, settings: Settings, users: Users) -> str:
    if mechanism == "EXTERNAL":
        return _granted("certificate", settings)
    if mechanism == "PLAIN":
        if listener.tls is None and not listener.plaintext_passwords:
            if not any(address.is_loopback for address in listener.bind):
                return "nobody: it isn't offered where the password would cross the network in clear text"
            if not listener.is_local:
                return f"over loopback alone, {_by_password(settings, users)}"
        return _by_password(settings, users)
    verifier = mechanism.removesuffix(_PLUS)
    able = [name for name in users.names() if users.verifiers(name, verifier)]
    return _users(able) if able else f"nobody: no user has a {verifier} line"


def _by_password(settings: Settings, users: Users) -> str:
    known = _users(users.names())
    if settings.saslauthd is None:
        return known
    others = f"whoever saslauthd accepts ({settings.saslauthd.socket})"
    return f"{known}; {others}" if len(users) else others


def _users(names: list[str]) -> str:
    return _some("user", names) if names else "nobody: there are no users"


def _granted(method: str, settings: Settings) -> str:
    grants = [grant for grant in settings.grants if grant.kind == method]
    named = list(dict.fromkeys(f"{_presented(grant)} as {grant.as_}" for grant in grants))
    return ", ".join(_shortened(named)) if named else f"nobody: no grant is for {_article(method)}"


def _presented(grant: Grant) -> str:
    if grant.peer is None:
        return str(grant.certificate if grant.certificate is not None else grant.address)
    ids = (("uid", grant.peer.uid), ("gid", grant.peer.gid))
    return " ".join(f"{name} {number}" for name, number in ids if number is not None)


def _article(method: str) -> str:
    return f"an {method}" if method == "address" else f"a {method}"


def _some(what: str, names: list[str]) -> str:
    return f"{len(names)} {what}{'s' if len(names) != 1 else ''} ({', '.join(_shortened(names))})"


def _shortened(names: Iterable[str]) -> list[str]:
    every = list(names)
    return every if len(every) <= _SHOWN else [*every[:_SHOWN], f"and {len(every) - _SHOWN} more"]
