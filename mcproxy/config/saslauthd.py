"""What the section `saslauthd` needs of the rest of a configuration, and what is worth knowing about it."""

from __future__ import annotations

from collections.abc import Iterator

from mcproxy.config.problems import Finding, Place
from mcproxy.config.schema import Listener, Settings
from mcproxy.config.units import show_duration

LOGIN_REMAINDER = 0.5
"""Seconds of a login that saslauthd may not take: for hashing, and for a refusal to reach the client."""


def asks_passwords(listener: Listener) -> bool:
    """Whether passwords come in the clear here, as saslauthd has to be told them."""
    methods = listener.authentication
    return "token" in methods or ("sasl" in methods and "PLAIN" in listener.mechanisms)


def saslauthd_rules(settings: Settings, place: Place) -> Iterator[Finding]:
    """What contradicts the section."""
    if settings.saslauthd is None:
        return
    if not any(map(asks_passwords, settings.listeners.values())):
        message = "has nobody to ask about: it checks passwords, and no listener has token or sasl with PLAIN"
        yield Finding(place, message, about=(("listeners",),))
    if settings.saslauthd.timeout > settings.limits.login_timeout - LOGIN_REMAINDER:
        limit, least = show_duration(settings.limits.login_timeout), show_duration(LOGIN_REMAINDER)
        message = f"must leave {least} or more of limits.login_timeout ({limit}) for the rest of the login"
        yield Finding((*place, "timeout"), message, about=(("limits", "login_timeout"),))


def saslauthd_notes(settings: Settings, place: Place) -> Iterator[Finding]:
    """What is allowed and may surprise."""
    if settings.saslauthd is None:
        return
    path = settings.saslauthd.socket
    if not path.is_socket():
        yield Finding((*place, "socket"), f"there is no socket {path}; until there is, nobody logs in by it")
    for name, listener in settings.listeners.items():
        scram = [mechanism for mechanism in listener.mechanisms if mechanism.startswith("SCRAM-")]
        if "sasl" in listener.authentication and scram:
            message = f"saslauthd's users can't log in with {', '.join(scram)}: it has to be told the password itself"
            yield Finding(("listeners", name, "mechanisms"), message)
