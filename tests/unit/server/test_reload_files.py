"""What /status.json tells of files where a disk hangs: soon, and with one thread that waits for it."""

import threading
from pathlib import Path

import pytest
import trio

from mcproxy.config.fingerprints import ServedFiles
from mcproxy.server.reload import COMPARING, Reloader, load_first
from tests.support.configuration import write_users

TIMES = 20
TEXT = """
listeners: {a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [sasl]}}
upstream: {address: "127.0.0.1:2"}
users_file: users
"""


@pytest.fixture
def reloader(tmp_path: Path) -> Reloader:
    write_users(tmp_path / "users", {"sammy": "secret"}, 4096)
    (tmp_path / "mcproxy.yaml").write_text(TEXT)

    async def apply(*_):
        return {}

    return Reloader(load_first(tmp_path / "mcproxy.yaml"), apply)


def secrets(rows):
    return [row["unchanged"] for row in rows if "unchanged" in row]


async def test_secrets_are_compared(reloader):
    assert secrets(await reloader.files()) == [True, True]


async def test_a_disk_that_hangs_holds_up_nobody(reloader, monkeypatch, autojump_clock):
    rows, goes_on, waiting = ServedFiles.rows, threading.Event(), []

    def hang(files: ServedFiles, *, compared: bool = True):
        if compared:
            waiting.append(threading.current_thread())
            goes_on.wait()
        return rows(files, compared=compared)

    monkeypatch.setattr(ServedFiles, "rows", hang)
    began = trio.current_time()
    try:
        for _ in range(TIMES):
            assert secrets(await reloader.files()) == [None, None]
        assert trio.current_time() - began == pytest.approx(TIMES * COMPARING)
        assert len(waiting) <= 1
    finally:
        goes_on.set()
