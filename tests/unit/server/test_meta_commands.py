"""Which upstreams are spoken to in text: who would run a value as commands is not."""

from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from mcproxy.relay.obstacle import NO_META_COMMANDS, SILENT, STRANGE, TOO_OLD, NotOpened
from mcproxy.server.link_opening import open_connection
from mcproxy.server.meta_commands import check_version
from tests.unit.server.opening import GREETED, Says, close, fails, fails_in_time, reply, upstream

OLD = ["1.2.8", "1.4.39", "1.5.22", "1.6.0", "1.6.0-beta1", "1.6.0 DF", "1.6.9", "1.6.9_13_gd0bfb56", "0.3.2"]
NEW = ["1.6.10", "1.6.12", "1.6.18", "1.6.18-1", "1.6.45", "1.7.0", "1.10.0", "2.0.0"]
NOT_NUMBERS = [
    b"mcrouter 38.0.0",
    b"1",
    b"1.6",
    b"v1.6.18",
    b"1.6.x",
    b"not implemented",
    b"",
    b" 1.6.18",
    b"1.6.1234567",
]


@pytest.mark.parametrize("version", OLD)
async def test_an_older_memcached(mock_clock: MockClock, tmp_path: Path, version: str) -> None:
    async with upstream(tmp_path, Says(b"VERSION %s\r\nMN\r\n" % version.encode())) as there:
        problem = await fails(there)
    assert problem.obstacle is TOO_OLD
    number = version.partition(" ")[0].partition("-")[0].partition("_")[0]
    assert str(problem) == (
        f"memcached {number} is too old: it would run the values of meta commands as commands; "
        "1.6.10 is the oldest that can do, 1.6.18 is tested"
    )


@pytest.mark.parametrize("version", NEW)
async def test_one_that_is_not_older(mock_clock: MockClock, tmp_path: Path, version: str) -> None:
    async with upstream(tmp_path, Says(b"VERSION %s\r\nMN\r\n" % version.encode())) as there:
        close(await open_connection(there, "text"))


@pytest.mark.parametrize("version", NOT_NUMBERS)
async def test_one_that_says_something_else(mock_clock: MockClock, tmp_path: Path, version: bytes) -> None:
    async with upstream(tmp_path, Says(b"VERSION %s\r\nMN\r\n" % version)) as there:
        assert (await fails(there)).obstacle is NO_META_COMMANDS


@pytest.mark.parametrize("answer", [b"ERROR\r\n", b"ERROR unknown command\r\n", b"M\r\n", b"MN\n"])
async def test_one_that_knows_no_meta_commands(mock_clock: MockClock, tmp_path: Path, answer: bytes) -> None:
    """arcus-memcached is at 1.13."""
    async with upstream(tmp_path, Says(b"VERSION 1.13.4\r\n" + answer)) as there:
        assert (await fails(there)).obstacle is NO_META_COMMANDS


async def test_half_of_an_answer(mock_clock: MockClock, tmp_path: Path) -> None:
    for answer in (b"VERSION 1.6.18\r\n", b"VERSION 1.6.18\r\nMN\r"):
        silent = Says(answer)
        (directory := tmp_path / str(len(answer))).mkdir()
        async with upstream(directory, silent) as there:
            assert (await fails_in_time(mock_clock, there, "text", silent)).obstacle is SILENT


async def test_binary_has_none(mock_clock: MockClock, tmp_path: Path) -> None:
    answer = Says(reply(0x0B, b"1.4.39") + GREETED[-24:])
    async with upstream(tmp_path, answer) as there:
        close(await open_connection(there, "binary"))


@pytest.mark.parametrize("answer", [b"VERSION 1.4.39\r\n", b"VERSION what ever\r\n", b"SERVER_ERROR gone\r\n"])
async def test_twemproxy_is_sent_none(mock_clock: MockClock, tmp_path: Path, answer: bytes) -> None:
    async with upstream(tmp_path, Says(answer)) as there:
        there = replace(there, settings=there.settings.model_copy(update={"engine": "twemproxy"}))
        close(await open_connection(there, "text"))


async def test_twemproxy_was_asked_for_its_version_alone(mock_clock: MockClock, tmp_path: Path) -> None:
    async with upstream(tmp_path, Says(b"VERSION 1.6.18\r\nMN\r\n")) as there:
        there = replace(there, settings=there.settings.model_copy(update={"engine": "twemproxy"}))
        assert (await fails(there)).obstacle is STRANGE


def test_where_nothing_may_be_quoted_the_version_is_not_told() -> None:
    with pytest.raises(NotOpened) as raised:
        check_version(b"VERSION 1.5.22", quoting=False)
    assert "1.5" not in str(raised.value)
    assert raised.value.obstacle is TOO_OLD
