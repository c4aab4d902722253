"""Reading what is to be served: one state of the disk, or none."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from structlog.testing import capture_logs

from mcproxy.config.problems import ConfigurationError
from mcproxy.config.schema import Settings
from mcproxy.server import reload
from mcproxy.server.reload import Loaded, Reloader, load_first
from mcproxy.server.state import Generation
from tests.support.certificates import Certificates
from tests.support.configuration import configuration, write_users
from tests.support.reloading import replace

KEY = bytes(32)


@pytest.fixture
def path(tmp_path: Path, certificates: Certificates) -> Path:
    for name in ("server.crt", "server.key"):
        replace(tmp_path / name, (certificates.directory / name).read_bytes())
    settings = configuration(tmp_path, "127.0.0.1:1", certificates)
    settings["listeners"]["tls"]["tls"] = {"certificate": "server.crt", "key": "server.key"}
    write_users(tmp_path / "users", {"sammy": "x"})
    replace(tmp_path / "mcproxy.yaml", yaml.safe_dump(settings))
    return tmp_path / "mcproxy.yaml"


def load(path: Path, key: Any) -> Loaded:
    return reload._load(path, None, 1, key, {})


def test_what_changes_while_it_is_read_is_read_again(path: Path, certificates: Certificates) -> None:
    """The certificate is read with the old key, before both change: mixed, they would not do."""
    new = certificates.server("while-reading")
    times = 0

    def swap(_: Settings) -> bytes:
        nonlocal times
        times += 1
        if times == 1:
            replace(path.with_name("server.crt"), new.certificate.read_bytes())
            replace(path.with_name("server.key"), new.key.read_bytes())
        return KEY

    loaded = load(path, swap)
    assert times == 2
    assert {file.content for name, file in loaded.material.files.items() if name.suffix == ".crt"} == {
        new.certificate.read_bytes()
    }


def test_what_never_comes_to_rest_is_not_used(path: Path) -> None:
    times = 0

    def change(_: Settings) -> bytes:
        nonlocal times
        times += 1
        write_users(path.with_name("users"), {f"user{times}": "x"})
        return KEY

    with pytest.raises(ConfigurationError, match="keep changing while they are read"):
        load(path, change)
    assert times < 10


async def ignore(*_: object) -> dict[str, object]:
    return {}


def change(path: Path, **keys: Any) -> None:
    replace(path, yaml.safe_dump(yaml.safe_load(path.read_text()) | keys))


def offer_scram(path: Path) -> None:
    settings = yaml.safe_load(path.read_text())
    settings["listeners"]["plain"]["mechanisms"] = ["SCRAM-SHA-256"]
    replace(path, yaml.safe_dump(settings))


async def test_a_key_that_is_gone_is_not_made_anew(path: Path) -> None:
    """Or every unknown user would have another salt than a minute before."""
    offer_scram(path)
    reloader = Reloader(load_first(path), ignore)
    key = path.with_name("users.key")
    kept = key.read_bytes()
    key.unlink()
    with capture_logs() as logs:
        await reloader.reload(asked=True)
        assert [(log["event"], "restore it" in log["problem"]) for log in logs] == [("reload_failed", True)]
        assert not key.exists()
        replace(key, kept)
        await reloader.reload(asked=False)
    assert logs[-1] == {"event": "reloaded", "log_level": "info", "generation": 1, "changed": "nothing"}


async def test_nothing_is_said_unasked_if_nothing_has_changed(path: Path) -> None:
    reloader = Reloader(load_first(path), ignore)
    with capture_logs() as logs:
        await reloader.reload(asked=False)
        assert logs == []
        await reloader.reload(asked=True)
    assert [log["event"] for log in logs] == ["reloaded"]


async def test_a_bug_costs_the_reload_and_no_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reloader = Reloader(load_first(path), ignore)

    def broken(*_: object) -> None:
        raise RuntimeError("sammy's password")

    monkeypatch.setattr(reload, "generation_of", broken)
    with capture_logs() as logs:
        await reloader.reload(asked=True)
    assert [log["event"] for log in logs] == ["internal_error", "reload_failed"]
    assert "password" not in str(logs)
    assert not reloader.results.last_successful


async def test_what_is_not_the_files_fault_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptors ran out, say: nobody has to send SIGHUP once more."""
    applied = trio.Event()

    async def apply(*_: object) -> dict[str, object]:
        applied.set()
        return {}

    reloader = Reloader(load_first(path), apply)
    write_users(path.with_name("users"), {"bob": "x"})
    opened, tries = os.open, 0

    def short_of(*arguments: Any, **more: Any) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(errno.EMFILE, "none left")
        return opened(*arguments, **more)

    monkeypatch.setattr(reload, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(reloader, "_retry_in", 0.01)
    monkeypatch.setattr(os, "open", short_of)
    with capture_logs() as logs, trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader.run)
            reloader.ask()
            await applied.wait()
            nursery.cancel_scope.cancel()
    assert [log["event"] for log in logs[:3]] == ["reload_failed", "reload_failed", "reloaded"]
    assert "Too many open files" in logs[0]["problem"]


async def test_sessions_are_looked_at_although_nothing_has_changed(path: Path) -> None:
    """A certificate may have expired."""
    looked: list[int] = []

    async def apply(_: object, generation: Generation) -> dict[str, object]:
        looked.append(generation.number)
        return {"connections_ended": 3}

    reloader = Reloader(load_first(path), apply)
    with capture_logs() as logs:
        await reloader.reload(asked=False)
        assert not looked
        await reloader.reload(asked=True)
    assert looked == [1]
    assert (logs[-1]["changed"], logs[-1]["connections_ended"]) == ("nothing", 3)


async def test_a_users_file_that_moves_takes_its_key_along(path: Path) -> None:
    offer_scram(path)
    reloader = Reloader(load_first(path), ignore)
    (path.parent / "new").mkdir()
    write_users(path.parent / "new" / "users", {"sammy": "x"})
    change(path, users_file="new/users")
    with capture_logs() as logs:
        await reloader.reload(asked=True)
        assert "copy" in logs[-1]["problem"]
        assert not (path.parent / "new" / "users.key").exists()
        replace(path.parent / "new" / "users.key", path.with_name("users.key").read_bytes())
        (path.parent / "new" / "users.key").chmod(0o600)
        await reloader.reload(asked=True)
    assert [log["event"] for log in logs][:2] == ["reload_failed", "reloaded"]


async def test_a_reload_that_is_refused_makes_no_key(path: Path) -> None:
    reloader = Reloader(load_first(path), ignore)
    key = path.with_name("users.key")
    key.unlink()
    offer_scram(path)
    change(path, workers=2)
    with capture_logs() as logs:
        await reloader.reload(asked=True)
        assert "restart" in logs[-1]["problem"]
        assert not key.exists()
        change(path, workers=1)
        await reloader.reload(asked=True)
    assert "reloaded" in [log["event"] for log in logs]
    assert key.exists()


def test_a_file_that_appears_while_it_is_read_is_read_again(path: Path) -> None:
    """What was wrong without it is not the last word."""
    users = path.with_name("users")
    content = users.read_bytes()
    users.unlink()
    loads = reload.Reading.material
    times = 0

    def appears(self: Any) -> Any:
        nonlocal times
        times += 1
        try:
            return loads(self)
        finally:
            if times == 1:
                users.touch(mode=0o600)
                users.write_bytes(content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reload.Reading, "material", appears)
        assert len(load(path, lambda _: KEY).material.users) == 1
    assert times == 2
