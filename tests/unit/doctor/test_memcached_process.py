"""Which program an upstream runs, as far as this user may see: what can't be seen is not taken for unmended."""

import errno
import os
from pathlib import Path

import pytest

from mcproxy.doctor import upstream_holes
from mcproxy.doctor.memcached_process import NoProgram, program_run, user_of
from mcproxy.doctor.package_fixes import Package, Program
from mcproxy.doctor.upstream_facts import UpstreamFacts
from mcproxy.doctor.upstream_holes import version
from tests.unit.doctor.examining import deployment

FACTS = UpstreamFacts(statistics={"pid": "7", "version": "1.6.18"})


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    process(tmp_path, "memcached", "memcached")
    return tmp_path


def process(proc: Path, called: str, program: str) -> None:
    (proc / "bin").mkdir()
    (proc / "bin" / program).touch()
    (proc / "7").mkdir()
    (proc / "7/comm").write_text(f"{called}\n")
    (proc / "7/exe").symlink_to(proc / "bin" / program)
    (proc / "7/status").write_text("Name:\tx\nUid:\t0\t10001\t10001\t10001\n")


def program_in(proc: Path, is_root: bool = True) -> str | NoProgram:
    found = program_run(FACTS, is_root, proc)
    return found.path if isinstance(found, Program) else found


@pytest.mark.parametrize(("called", "program"), [("memcached", "mc"), ("12", "memcached")])
def test_by_its_name_or_its_programs(tmp_path, called, program):
    process(tmp_path, called, program)
    assert program_in(tmp_path) == str(tmp_path / "bin" / program)
    assert user_of(FACTS, tmp_path) == 10001


def test_a_process_that_is_something_else(tmp_path):
    process(tmp_path, "bash", "bash")
    assert program_in(tmp_path) is NoProgram.ELSEWHERE
    assert program_in(tmp_path, is_root=False) is NoProgram.CLOSED
    assert user_of(FACTS, tmp_path) is None


def test_no_such_process(tmp_path):
    assert program_in(tmp_path) is NoProgram.ELSEWHERE
    assert program_in(tmp_path, is_root=False) is NoProgram.CLOSED
    assert program_run(UpstreamFacts(), is_root=True, proc=tmp_path) is NoProgram.ELSEWHERE


def test_somebody_elses_process(proc, monkeypatch):
    def refuse(path: Path) -> Path:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "readlink", refuse)
    assert program_in(proc) is NoProgram.CLOSED
    assert user_of(FACTS, proc) == 10001


@pytest.mark.parametrize(
    ("program", "verdicts"),
    [
        (NoProgram.CLOSED, {"could not tell"}),
        (NoProgram.ELSEWHERE, {"finding", "note"}),
        (Program("/usr/bin/memcached", False, "another"), {"finding", "note"}),
        (Program("/usr/bin/memcached", True, "its own"), {"finding", "note"}),
        (Program("/usr/bin/memcached", False, "its own"), {"note"}),
    ],
)
def test_what_is_made_of_it(program, verdicts, monkeypatch):
    fixes = frozenset({"CVE-2023-46852", "CVE-2023-46853", "CVE-2026-47783", "CVE-2026-47784"})
    package = Package("1.6.18-1+deb12u1", fixes)
    monkeypatch.setattr(upstream_holes, "program_run", lambda facts, is_root: program)
    monkeypatch.setattr(upstream_holes, "package_of", lambda one, _: package if one.digest == "its own" else None)
    results = version(deployment(facts=FACTS))
    assert {str(one.verdict) for one in results} == verdicts
    if program is NoProgram.CLOSED:
        assert results[0].remedy == "run this as root"
