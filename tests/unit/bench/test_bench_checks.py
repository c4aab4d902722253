"""The bench refuses to measure a proxy that checks nothing. memcached itself stands in for such a proxy."""

from pathlib import Path

import pytest

from bench.checks import proxy_checks
from bench.measure import Target
from bench.peers import Place, memcached
from bench.processes import BenchError, Processes, free_port


def start(processes: Processes, directory: Path, *options: str) -> Target:
    address = f"127.0.0.1:{free_port()}"
    place = Place(directory, address, "", False, directory, directory, "")
    running = processes.start("memcached", [*memcached(place), *options])
    running.wait_until_listening(address)
    login = directory / "login"
    login.write_text("bench secret\n")
    return Target(address, None, login, (), running.process.pid)


def test_one_that_answers_strangers(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        target = start(processes, tmp_path)
        with pytest.raises(BenchError, match="open answers strangers"):
            proxy_checks("open", target)


def test_one_that_does_not_let_its_user_in(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("bench:other\n")
    with Processes(tmp_path) as processes:
        target = start(processes, tmp_path, "-Y", str(tmp_path / "users"))
        with pytest.raises(BenchError, match="closed does not let its user in"):
            proxy_checks("closed", target)


def test_one_that_knows_no_grants(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("bench:secret\n")
    with Processes(tmp_path) as processes:
        target = start(processes, tmp_path, "-Y", str(tmp_path / "users"))
        with pytest.raises(BenchError, match="free answers for a key that was not granted"):
            proxy_checks("free", target)
