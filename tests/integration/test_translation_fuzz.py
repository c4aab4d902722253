"""A short run of the translator's fuzzer, and that it finds what it is there to find. See fuzz/translation."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.translation.comparison import replies
from fuzz.translation.named import name_of

PROJECT = Path(__file__).resolve().parent.parent.parent
COMMANDS = 30_000


def test_nothing_differs_without_a_name() -> None:
    command = [sys.executable, str(PROJECT / "fuzz" / "run"), "translation", "--commands", str(COMMANDS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    verdict = re.search(r"^verdict: ([\d,]+) commands.* 0 differences$", run.stdout, re.MULTILINE)
    assert verdict is not None, run.stdout
    assert int(verdict[1].replace(",", "")) >= COMMANDS


@pytest.mark.parametrize(
    ("memcached", "gateway"),
    [
        (b"STORED\r\n", b"NOT_STORED\r\n"),
        (b"VALUE a 0 1\r\nx\r\nEND\r\n", b"VALUE a 0 1\r\ny\r\nEND\r\n"),
        (b"VALUE a 0 1\r\nx\r\nEND\r\n", b"VALUE a 1 1\r\nx\r\nEND\r\n"),
        (b"HD c1 ka\r\n", b"HD c1 kb\r\n"),
        (b"HD kYQ== b\r\n", b"HD kYg== b\r\n"),
        (b"HD c0\r\n", b"HD c1\r\n"),
        (b"VA 1 ka\r\nx\r\n", b"VA 1 kYQ== b\r\ny\r\n"),
    ],
)
def test_what_differs_is_seen(memcached: bytes, gateway: bytes) -> None:
    assert any(
        wanted.shown != came.shown and name_of(wanted, came) is None
        for wanted, came in zip(replies(memcached), replies(gateway), strict=True)
    )


@pytest.mark.parametrize(
    ("memcached", "gateway"),
    [
        (b"VALUE a 0 1 5\r\nx\r\nEND\r\n", b"VALUE a 0 1 700\r\nx\r\nEND\r\n"),
        (b"HD c1 kYQ== b\r\n", b"HD c2 ka\r\n"),
    ],
)
def test_what_may_differ_has_a_name(memcached: bytes, gateway: bytes) -> None:
    for wanted, came in zip(replies(memcached), replies(gateway), strict=True):
        assert wanted.shown == came.shown or name_of(wanted, came)
