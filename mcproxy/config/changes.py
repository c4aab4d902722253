"""From one configuration to the next while the proxy runs: what can't be changed, and what has been."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcproxy.config.document import read_document
from mcproxy.config.material import Material, named_files
from mcproxy.config.problems import Finding, Place, Problem, dotted
from mcproxy.config.schema import Settings

NEEDS_RESTART: tuple[Place, ...] = (
    ("workers",),
    ("admin", "bind"),
    ("admin", "health_bind"),
    ("limits", "value"),
    ("limits", "total_buffer"),
)
"""What is built once, when the proxy starts. docs/configuration.md names the same."""

LISTENER_NEEDS_RESTART = ("bind", "mode", "group", "upstream")
"""Of each listener; nor can one be added or taken out."""

UPSTREAM_NEEDS_RESTART = ("address", "engine", "links", "timeout", "protocol")
"""Of each upstream; nor can one be added or taken out."""

_WHY = "can't be changed while running; restart mcproxy"


def workers_of(old: Material, new: Material) -> int:
    """How many workers the new configuration asks for: as many as there are if both leave that to the machine.

    `auto` may come to another number today, which nobody has asked for.
    """
    same = old.settings.workers == new.settings.workers or _written_workers(old) == _written_workers(new)
    return old.settings.workers if same else new.settings.workers


def needs_restart(old: Settings, new: Settings) -> list[Problem]:
    """A problem for each change that only a restart brings about."""
    return [new.problem(finding) for finding in _findings(old, new)]


def _findings(old: Settings, new: Settings) -> Iterator[Finding]:
    for name in old.listeners.keys() - new.listeners.keys():
        yield Finding(("listeners",), f'the listener "{name}" can\'t be taken out while running; restart mcproxy')
    for name, listener in new.listeners.items():
        if name not in old.listeners:
            message = "a listener can't be added while running; restart mcproxy"
            yield Finding(("listeners", name), message)
            continue
        for key in LISTENER_NEEDS_RESTART:
            if key == "upstream":
                # Whether it is named or goes without saying.
                changed = old.upstream_of(name) != new.upstream_of(name)
            else:
                changed = getattr(old.listeners[name], key) != getattr(listener, key)
            if changed:
                yield Finding(("listeners", name, key), _WHY)
    yield from _upstream_findings(old, new)
    for place in NEEDS_RESTART:
        before, after = _at(old, place), _at(new, place)
        if before != after:
            yield Finding(_where(before, after, place), _WHY)


def _upstream_findings(old: Settings, new: Settings) -> Iterator[Finding]:
    before, after = old.all_upstreams, new.all_upstreams
    top: Place = ("upstreams",) if new.upstream is None else ("upstream",)
    for name in before.keys() - after.keys():
        yield Finding(top, f'the upstream "{name}" can\'t be taken out while running; restart mcproxy')
    for name, upstream in after.items():
        place = (*top, name) if new.upstream is None else top
        if name not in before:
            yield Finding(place, "an upstream can't be added while running; restart mcproxy")
            continue
        for key in UPSTREAM_NEEDS_RESTART:
            if getattr(before[name], key) != getattr(upstream, key):
                yield Finding((*place, key), _WHY)


def _where(before: Any, after: Any, place: Place) -> Place:
    """The first key of a section that differs."""
    for key in type(after).model_fields if hasattr(type(after), "model_fields") else ():
        if getattr(before, key) != getattr(after, key):
            return (*place, key)
    return place


def _at(settings: Settings, place: Place) -> Any:
    value: Any = settings
    for key in place:
        value = getattr(value, str(key))
    return value


def _written_workers(material: Material) -> Any:
    return read_document(material.text).data.get("workers")


def changed_parts(old: Settings, new: Settings, changed_files: set[str]) -> list[str]:
    """The top-level keys that changed, and the keys whose files did, as a line of the log names them."""
    keys = [key for key in Settings.model_fields if getattr(old, key) != getattr(new, key)]
    files = [dotted(place) for place, path in named_files(new) if str(path) in changed_files]
    key = ["the key beside users_file"] if "stand_in_key" in changed_files else []
    return list(dict.fromkeys(keys + files + key))
