"""What can be changed while the proxy runs, what can't, and what a log line says of it."""

from pathlib import Path
from typing import Any

import pytest

from mcproxy.config import processors
from mcproxy.config.changes import changed_parts, needs_restart, workers_of
from mcproxy.config.load import Reading
from mcproxy.config.material import Material

TEXT = """
listeners:
  a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [token]}
  b: {bind: ["unix:/run/b"], authentication: [peer], mode: "0600"}
upstream: {address: "127.0.0.1:11211"}
users_file: users
limits: {connections: 10}
"""


def material(*changes: tuple[str, str], text: str = TEXT) -> Material:
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return Reading(text, Path("/etc/mcproxy.yaml"), check_machine=False).material()


def problems(*changes: tuple[str, str]) -> list[str]:
    return [str(problem) for problem in needs_restart(material().settings, material(*changes).settings)]


WHY = "can't be changed while running; restart mcproxy"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('"127.0.0.1:1"', '"127.0.0.1:2"'), f"3: listeners.a.bind: {WHY}"),
        (('"0600"', '"0660"'), f"4: listeners.b.mode: {WHY}"),
        (('mode: "0600"', "group: 7"), f"4: listeners.b.group: {WHY}"),
        (("11211", "11212"), f"5: upstream.address: {WHY}"),
        (("connections: 10", "value: 2MiB"), f"7: limits.value: {WHY}"),
        (("connections: 10", "total_buffer: 1GiB"), f"7: limits.total_buffer: {WHY}"),
        (("limits:", "workers: 2\nlimits:"), f"7: workers: {WHY}"),
        (("limits:", 'admin: {bind: "127.0.0.1:3"}\nlimits:'), f"7: admin.bind: {WHY}"),
        (
            ("upstream:", "upstreams:\n  other:"),
            "6: upstreams.other: an upstream can't be added while running; restart mcproxy",
        ),
        (('11211"', '11211", timeout: 2s'), f"5: upstream.timeout: {WHY}"),
        (('11211"', '11211", links: 3'), f"5: upstream.links: {WHY}"),
        (('11211"', '11211", protocol: text'), f"5: upstream.protocol: {WHY}"),
        (("  b:", "  c:"), "4: listeners.c: a listener can't be added while running; restart mcproxy"),
    ],
)
def test_what_needs_a_restart(change: tuple[str, str], expected: str) -> None:
    assert f"/etc/mcproxy.yaml:{expected}" in problems(change)


def test_all_of_it_is_told_at_once() -> None:
    assert len(problems(("11211", "11212"), ("connections: 10", "value: 2MiB"), ('"0600"', '"0660"'))) == 3


@pytest.mark.parametrize(
    "change",
    [
        ("[token]", "[sasl, token]"),
        ("allow: [127.0.0.1]", "allow: []"),
        ("connections: 10", "connections: 20, idle_timeout: 5m, keys: 7"),
        ("users_file: users", "users_file: others"),
        ('11211"', '11211", tls: {ca: /etc/ca, server_name: cache}'),
        ('11211"', '11211", login: {method: sasl, mechanism: SCRAM-SHA-256, username: u, password_file: /etc/p}'),
        ("upstream:", "upstreams:\n  upstream:"),
        ("limits:", "logging: {level: debug}\nwatch_files: false\nlimits:"),
        ("limits:", "roles: {app: {commands: [read], keys: [a]}}\ndefault_roles: [app]\nlimits:"),
    ],
)
def test_what_can_be_changed(change: tuple[str, str]) -> None:
    assert problems(change) == []


def test_auto_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = ("limits:", "workers: auto\nlimits:")
    monkeypatch.setattr(processors, "usable_processors", lambda: 2, raising=True)
    before = material(auto)
    monkeypatch.setattr(processors, "usable_processors", lambda: 4, raising=True)
    assert workers_of(before, material(auto)) == before.settings.workers == 2
    assert workers_of(before, material(("limits:", "workers: 4\nlimits:"))) == 4


def test_what_has_changed_is_named_by_its_keys() -> None:
    old, new = material(), material(("connections: 10", "connections: 20"), ("allow: [127.0.0.1]", "allow: []"))
    assert changed_parts(old.settings, new.settings, set()) == ["listeners", "limits"]
    files: Any = {"/etc/users", "/etc/mcproxy.yaml"}
    assert changed_parts(old.settings, old.settings, files) == ["users_file"]


def test_a_file_is_named_once_and_the_key_beside_the_users_file_too() -> None:
    old, new = material(), material(("users_file: users", "users_file: others"))
    files = {str(new.settings.users_file), "stand_in_key"}
    assert changed_parts(old.settings, new.settings, files) == ["users_file", "the key beside users_file"]
