"""Which changes of files are noticed, and when they are acted on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from mcproxy.config.look import look
from mcproxy.server.watching import LONGEST_WAIT, watch

INTERVAL = 0.01


def in_place(path: Path) -> None:
    with path.open("a") as opened:
        opened.write("more")


def renamed(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.rename(path)


def linked(path: Path) -> None:
    """The same file by another way: Kubernetes' swap looks like this where files are small and written at once."""
    real = path.with_name("real")
    path.rename(real)
    path.symlink_to(real)


def same_size(path: Path) -> None:
    path.write_bytes(bytes(reversed(path.read_bytes())))


@pytest.mark.parametrize("change", [in_place, renamed, linked, same_size, Path.unlink, lambda path: path.chmod(0o600)])
async def test_a_change_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    path.chmod(0o640)
    known = look([path, tmp_path / "absent"])
    noticed = trio.Event()

    async def changed() -> None:
        nonlocal known
        known = look(known)
        noticed.set()

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, lambda: known, changed, INTERVAL)
            change(path)
            await noticed.wait()
            nursery.cancel_scope.cancel()


async def test_what_goes_on_changing_is_left_until_it_rests_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("0")
    known = look([path])
    looks: list[int] = []
    when: list[int] = []

    def asked() -> dict:
        looks.append(len(looks))
        if len(looks) <= LONGEST_WAIT + 2:
            path.write_text("x" * len(looks))
            os.utime(path, ns=(len(looks), len(looks)))
        return known

    async def changed() -> None:
        when.append(len(looks))
        raise KeyboardInterrupt

    with pytest.RaisesGroup(KeyboardInterrupt), trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, asked, changed, INTERVAL)
    assert when == [LONGEST_WAIT + 1]


async def test_a_change_that_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("0")
    known = look([path])
    looks, tried = 0, 0
    enough = trio.Event()

    def asked() -> dict:
        nonlocal looks
        looks += 1
        if looks > 10:
            enough.set()
        return known

    async def changed() -> None:
        nonlocal known, tried
        tried += 1
        known = look([path])

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, asked, changed, INTERVAL)
            path.unlink()
            await enough.wait()
            nursery.cancel_scope.cancel()
    assert tried == 1
