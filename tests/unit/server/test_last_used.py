"""Writing down when secrets were last used: a minute apart, once more at the end, and never in the way."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.files.last_used import LastUsed, last_used_path, read_last_used, secret_name, write_last_used
from mcproxy.server.last_used import keep_last_used

VERIFIER = make_verifier("secret", 4096)
USERS = Users([("sammy", VERIFIER)])
SECRET = secret_name(VERIFIER.identity)


@pytest.fixture
def users_file(tmp_path: Path) -> Path:
    return tmp_path / "users"


@pytest.fixture
async def nursery() -> AsyncIterator[trio.Nursery]:
    with trio.fail_after(20):
        async with trio.open_nursery() as opened:
            yield opened
            opened.cancel_scope.cancel()


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - files have no events
        await trio.sleep(0.001)


async def test_what_is_noted_is_written_again_and_again(users_file: Path, nursery: trio.Nursery) -> None:
    last_used = LastUsed()
    nursery.start_soon(lambda: keep_last_used(last_used, lambda: (users_file, USERS), every=0.001))
    for now in (100, 200):
        last_used.note("sammy", VERIFIER.identity, now)
        await until(lambda now=now: read_last_used(users_file) == {"sammy": {SECRET: now}})  # type: ignore[misc]


async def stopped(last_used: LastUsed, users_file: Path, before: Callable[[], object]) -> None:
    """Run it until it has read the file, do something, and stop it."""
    write_last_used(users_file, {"sammy": {SECRET: 50}}, USERS)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_last_used, last_used, lambda: (users_file, USERS))
            await until(lambda: last_used.of("sammy") == {SECRET: 50})
            before()
            nursery.cancel_scope.cancel()


async def test_once_more_at_the_end(users_file: Path) -> None:
    last_used = LastUsed()
    await stopped(last_used, users_file, lambda: last_used.note("sammy", VERIFIER.identity, 300))
    assert read_last_used(users_file) == {"sammy": {SECRET: 300}}


async def test_nothing_noted_nothing_written(users_file: Path) -> None:
    await stopped(LastUsed(), users_file, last_used_path(users_file).unlink)
    assert not last_used_path(users_file).exists()


async def test_what_can_not_be_written_is_one_line_and_kept(
    users_file: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    def refuse(*arguments: object) -> None:
        nonlocal tries
        tries += 1
        raise OSError(30, "Read-only file system")

    last_used = LastUsed()
    with capture_logs() as logs:
        with monkeypatch.context() as read_only:
            read_only.setattr("mcproxy.server.last_used.write_last_used", refuse)
            nursery.start_soon(lambda: keep_last_used(last_used, lambda: (users_file, USERS), every=0.001))
            last_used.note("sammy", VERIFIER.identity, 400)
            await until(lambda: tries >= 3)
        assert last_used.of("sammy") == {SECRET: 400}
        await until(lambda: read_last_used(users_file) == {"sammy": {SECRET: 400}})
    (line,) = logs
    assert line == {
        "event": "last_used_not_written",
        "file": f"{users_file}.used",
        "reason": "Read-only file system",
        "log_level": "warning",
    }


async def test_a_broken_file_is_one_line(users_file: Path, nursery: trio.Nursery) -> None:
    last_used_path(users_file).write_text("{")
    with capture_logs() as logs:
        nursery.start_soon(keep_last_used, LastUsed(), lambda: (users_file, USERS))
        await until(lambda: bool(logs))
    assert logs[0]["event"] == "last_used_not_read"
    assert "remove it to begin anew" in logs[0]["reason"]


async def test_without_a_users_file_nothing_is_kept(nursery: trio.Nursery) -> None:
    last_used = LastUsed()
    nursery.start_soon(lambda: keep_last_used(last_used, lambda: (None, Users(())), every=0.001))
    last_used.note("sammy", VERIFIER.identity, 1)
    await trio.testing.wait_all_tasks_blocked()
    assert last_used.of("sammy") == {SECRET: 1}
