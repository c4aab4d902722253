"""Whom the grants give classes of commands to."""

from __future__ import annotations

from mcproxy.config.schema import Settings

_SHOWN = 5


def who_may(settings: Settings, *classes: str, every_key: bool = False) -> list[str]:
    """Who has any of these classes: `user sammy` and so on; of many the first ones and a number. `every_key`: on all
    keys alone."""
    roles = {
        name
        for name, role in settings.roles.items()
        if role.commands & {*classes} and (not every_key or "*" in role.keys)
    }
    found = {
        f"{grant.principal.kind} {grant.principal.name}": None for grant in settings.grants if roles & {*grant.roles}
    }
    named = list(found)
    if roles & {*settings.default_roles}:
        named.insert(0, "every user (default_roles)")
    return named if len(named) <= _SHOWN else [*named[:_SHOWN], f"{len(named) - _SHOWN} more"]
