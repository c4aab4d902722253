"""Loops that hide behind names: a listener at the address that its upstream is reached at, written in another way."""

from pathlib import Path

import pytest

from mcproxy.config.collisions import socket_problems

from .building import changed, problems_after, settings_of


@pytest.mark.parametrize(
    ("bind", "upstream", "told"),
    [
        ("127.0.0.1:1", "0.0.0.0:1", "127.0.0.1:1 is already used by upstream.address"),
        ("0.0.0.0:1", "0.0.0.0:1", "0.0.0.0:1 overlaps with 127.0.0.1:1 of upstream.address: 0.0.0.0 is every"),
        ("127.0.0.1:1", "[::ffff:0.0.0.0]:1", "127.0.0.1:1 is already used by upstream.address"),
        ("[::1]:1", "[::]:1", "[::1]:1 is already used by upstream.address"),
        ("[::]:1", "0.0.0.0:1", "[::]:1 overlaps with 127.0.0.1:1 of upstream.address: [::] is every address"),
        ("127.0.0.2:1", "0.0.0.0:1", None),
        ("127.0.0.1:1", "[::]:1", None),
        ("127.0.0.1:2", "0.0.0.0:1", None),
    ],
)
def test_all_addresses_mean_this_machine_to_a_client(bind: str, upstream: str, told: str | None) -> None:
    local = {"bind": [bind], "allow": ["127.0.0.1"], "authentication": ["address"], "plaintext": True}
    found = problems_after(("listeners.local", local), ("upstream", {"address": upstream, "plaintext": True}))
    if told is None:
        assert found == []
    else:
        (problem,) = found
        assert problem.startswith(f"listeners.local.bind[0]: {told}")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "run" / "other").symlink_to("sock")
    return tmp_path


def found(directory: Path, bind: str, upstream: str, admin: str = "admin") -> list[str]:
    changes = {"bind": [f"unix:{directory}/{bind}"], "authentication": ["peer"]}
    settings = changed(
        ("listeners.sidecar", changes),
        ("upstream", {"address": f"unix:{directory}/{upstream}"}),
        ("admin", {"bind": f"unix:{directory}/{admin}"}),
    )
    findings = socket_problems(settings_of(settings))
    return [f"{finding.place[-2:]} {finding.message}".replace(f"{directory}/", "") for finding in findings]


@pytest.mark.parametrize(
    "upstream", ["run/../run/sock", "run//sock", "run/./sock", "link/sock", "run/other", "link/other"]
)
def test_one_socket_under_two_names(place: Path, upstream: str) -> None:
    told = f"unix:run/sock is the same socket as unix:{upstream} of upstream.address"
    assert found(place, "run/sock", upstream) == [f"('bind', 0) {told}"]


def test_one_socket_for_two_listeners(place: Path) -> None:
    told = "unix:link/sock is the same socket as unix:run/sock of listeners.sidecar.bind"
    assert found(place, "run/sock", "cache", "link/sock") == [f"('admin', 'bind') {told}"]


def test_other_sockets(place: Path) -> None:
    assert found(place, "run/sock", "run/sock2") == []
    assert found(place, "run/sock", "sock") == []
    assert found(place, "missing/sock", "missing/cache") == []
