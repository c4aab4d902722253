"""The bench's own handling of processes and its command line. The load generator checks itself at every run."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure import Scenario
from bench.processes import BenchError, Processes, free_port, is_alive

ROOT = Path(__file__).resolve().parents[3]


def test_everything_started_is_ended_with_its_children(tmp_path: Path) -> None:
    waits = "[sys.executable, '-c', 'import signal; signal.signal(15, signal.SIG_IGN); print(0, flush=True); input()']"
    code = f"import subprocess as s, sys; c = s.Popen({waits}, stdin=s.PIPE, stdout=s.PIPE); c.stdout.readline(); "
    with Processes(tmp_path) as processes:
        running = processes.start("parent", [sys.executable, "-c", code + "print(c.pid, flush=True); c.wait()"])
        while not (said := running.log.read_text()).endswith("\n"):
            assert running.process.poll() is None
        child = int(said)
        assert running.pids() == [running.process.pid, child]
        assert is_alive(child)
    assert running.process.returncode is not None
    assert not is_alive(child)


def test_a_program_that_ends_at_once_says_why(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        running = processes.start("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"])
        with pytest.raises(BenchError, match="broken ended at once: no such thing"):
            running.wait_until_listening(f"127.0.0.1:{free_port()}")


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(BenchError, match="cannot be started"):
        processes.start("missing", ["/nonexistent/program"])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--plain-python", "--only", "varnish"], 1, "varnish not known; known: direct, memcached-sasl, haproxy"),
        (["--suite", "speed"], 2, "speed is not known; known: load, claims"),
        (["--picture", "speed.svg"], 2, "--picture is for --claims"),
        (["--reads", "0", "--writes", "0"], 2, "--reads and --writes"),
        (["--protocol", "udp"], 2, "udp is not known; known: text, meta, binary"),
        (["--rounds", "0"], 2, "--rounds and --seconds must be above 0"),
        (["--connections", "0"], 2, "--connections"),
        (["--size", "many"], 2, "--size"),
    ],
)
def test_a_wrong_command_line_is_one_message(arguments: list[str], status: int, message: str) -> None:
    ended = subprocess.run([sys.executable, str(ROOT / "bench/run"), *arguments], capture_output=True, text=True)
    assert ended.returncode == status
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_large_values_have_few_keys_so_that_all_fit() -> None:
    assert Scenario(50, 1, 100).keys == 10_000
    assert Scenario(50, 1, 1_000_000).keys * 1_000_000 <= 128 << 20
