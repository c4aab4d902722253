"""Whom `--as` names, and where somebody like that can log in."""

from __future__ import annotations

from mcproxy.auth.principals import KINDS, Principal
from mcproxy.auth.users import Users
from mcproxy.config.problems import suggestion
from mcproxy.config.schema import Listener, Settings
from mcproxy.server.access import ANONYMOUS


def parse_principal(text: str) -> Principal:
    """`user:sammy` and its like, as logs have it too. Raises ValueError with what is wrong, without the text."""
    kind, colon, name = text.partition(":")
    if kind == ANONYMOUS.kind and name in ("", ANONYMOUS.name):
        return ANONYMOUS
    if kind not in KINDS or kind == ANONYMOUS.kind:
        raise ValueError(f"must be {', '.join(sorted(f'{one}:NAME' for one in KINDS - {'anonymous'}))} or anonymous")
    if not colon or not name:
        raise ValueError(f"needs a name: {kind}:NAME")
    return Principal(kind, name)


def unknown(principal: Principal, settings: Settings, users: Users) -> str | None:
    """Why nobody can be this principal; None if somebody can.

    A mistyped name is no question that has an answer: "denied" would look like one.
    """
    if principal.kind == "anonymous":
        return None
    if principal.kind == "user":
        if principal.name in users or settings.saslauthd is not None:
            return None
        if settings.users_file is None:
            return "users can't log in: there is neither a users_file nor saslauthd"
        return f"{settings.users_file} has no user {principal.name!r}; {suggestion(principal.name, users.names())}"
    known = {grant.principal.name for grant in settings.grants if grant.kind == principal.kind}
    if principal.name in known:
        return None
    return f"no grant names {str(principal)!r}; {suggestion(principal.name, known)}"


def can_log_in(principal: Principal, listener: Listener) -> bool:
    """Whether the listener has a way in for this kind of principal."""
    methods = listener.authentication
    match principal.kind:
        case "user":
            by_password = set(listener.mechanisms) - {"EXTERNAL"}
            return "token" in methods or ("sasl" in methods and bool(by_password))
        case "certificate":
            asked_for = listener.tls is not None and listener.tls.client_ca is not None
            external = "sasl" in methods and "EXTERNAL" in listener.mechanisms
            return asked_for and ("certificate" in methods or external)
        case "anonymous":
            return "none" in methods
        case kind:
            return kind in methods
