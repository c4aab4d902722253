"""A short run of the differential fuzzer, and that it finds what it is there to find.

The long run, of ten million frames, is `fuzz/run differential --frames 10000000`; see fuzz/differential.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
FRAMES = 120_000

BROKEN = """
import sys
from mcproxy.cli.main import main
{change}
sys.exit(main())
"""
"""A program with something wrong in it."""

CHANGES = {
    "noreply is answered": (
        "out of step",
        "from mcproxy.wire.requests import LineRequest\n"
        "made = LineRequest.__init__\n"
        "def make(self, sink, upstream, count, replies, silent):\n"
        "    made(self, sink, upstream, count, replies, False)\n"
        "LineRequest.__init__ = make",
    ),
    "a request is sent twice": (
        "out of step",
        "from mcproxy.relay.link import Link\n"
        "submit = Link.submit\n"
        "def twice(self, request):\n"
        "    if not request.local and request.upstream.startswith(b'touch '):\n"
        "        request.upstream += request.upstream\n"
        "    submit(self, request)\n"
        "Link.submit = twice",
    ),
    "a line ends in a bare line feed": (
        "unvetted bytes",
        "from mcproxy.relay.link import Link\n"
        "submit = Link.submit\n"
        "def shortened(self, request):\n"
        "    if not request.local and request.upstream == b'mn\\r\\n':\n"
        "        request.upstream = b'mn\\n'\n"
        "    submit(self, request)\n"
        "Link.submit = shortened",
    ),
    "it crashes": (
        "crashes",
        "import os\n"
        "from mcproxy.relay.link import Link\n"
        "submit = Link.submit\n"
        "def crash(self, request):\n"
        "    if b'END' in request.upstream:\n"
        "        os._exit(3)\n"
        "    submit(self, request)\n"
        "Link.submit = crash",
    ),
    "it hangs": (
        "hangs",
        "from mcproxy.relay.session import Session\n"
        "refuse = Session._refuse\n"
        "def silent(self, refusal):\n"
        "    if refusal.close:\n"
        "        import signal\n"
        "        signal.pause()\n"
        "    refuse(self, refusal)\n"
        "Session._refuse = silent",
    ),
}


def run_fuzzer(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(PROJECT / "fuzz" / "run"), "differential", "--save", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def verdict(output: str) -> dict[str, int]:
    """How many frames, and how often which fault."""
    last = output.splitlines()[-1]
    found = re.fullmatch(
        r"verdict: (\d+) frames, (\d+) out of step, (\d+) unvetted bytes, (\d+) crashes, (\d+) hangs", last
    )
    assert found is not None, output
    names = ("frames", "out of step", "unvetted bytes", "crashes", "hangs")
    return dict(zip(names, map(int, found.groups()), strict=True))


def test_nothing_is_out_of_step(tmp_path: Path) -> None:
    done = run_fuzzer(tmp_path, "--frames", str(FRAMES), "--seed", "1", "--processes", "2")
    counted = verdict(done.stdout)
    assert counted.pop("frames") >= FRAMES, done.stdout
    assert set(counted.values()) == {0}, done.stdout
    assert "cells never filled: 0" in done.stdout.splitlines(), done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_wrong_is_found(change: str, tmp_path: Path) -> None:
    kind, code = CHANGES[change]
    program = tmp_path / "broken.py"
    program.write_text(BROKEN.format(change=code))
    done = run_fuzzer(
        *(tmp_path / "saved", "--program", f"{sys.executable} {program}", "--only-first"),
        *("--frames", str(FRAMES), "--seed", "1", "--processes", "1"),
    )
    counted = verdict(done.stdout)
    assert counted[kind] == 1, done.stdout
    assert done.returncode == 1, done.stdout + done.stderr
    (saved,) = (tmp_path / "saved").iterdir()
    assert f"--replay {saved}" in done.stdout
