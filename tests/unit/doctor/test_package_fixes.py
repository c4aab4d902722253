"""What a distribution has mended, and only in the program that is its own."""

import gzip
import hashlib
import os
import sys
from pathlib import Path

import pytest

from mcproxy.doctor.package_fixes import Program, package_of, program_of

CHANGELOG = """memcached (1.6.18-1+deb12u1) bookworm-security; urgency=medium

  * Fix CVE-2023-46852, CVE-2026-47783

memcached (1.5.17-1) unstable; urgency=medium

    - CVE-2019-15026: Fix a stack-based buffer overread in conn_to_str.
"""
STATUS = """Package: bash
Status: install ok installed
Version: 5.2.15-2

Package: memcached
Status: install ok installed
Description: High-performance in-memory object caching system
 Version: not this line
Version: 1.6.18-1+deb12u1
"""


ITS_OWN = hashlib.md5(b"the package's").hexdigest()


def program(path: str = "/usr/bin/memcached", digest: str = ITS_OWN) -> Program:
    return Program(path, False, digest)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info/memcached.md5sums").write_text(
        f"{'0' * 32}  usr/bin/other\n{ITS_OWN}  usr/bin/memcached\n"
    )
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (tmp_path / "usr/share/doc/memcached").mkdir(parents=True)
    write(tmp_path, CHANGELOG)
    return tmp_path


def write(root: Path, changelog: str) -> None:
    path = root / "usr/share/doc/memcached/changelog.Debian.gz"
    path.write_bytes(gzip.compress(changelog.encode()))


def test_its_changelog_says_what_was_mended(root):
    package = package_of(program(), "1.6.18", root)
    assert package is not None
    assert package.version == "1.6.18-1+deb12u1"
    assert package.fixes >= {"CVE-2023-46852", "CVE-2026-47783", "CVE-2019-15026"}


@pytest.mark.parametrize(
    ("another", "release"),
    [
        (program("/usr/local/bin/memcached"), "1.6.18"),
        (program(digest=hashlib.md5(b"put over it").hexdigest()), "1.6.18"),
        (program(digest="0" * 32), "1.6.18"),
        (program(), "1.6.1"),
        (program(), "1.6.19"),
    ],
)
def test_another_program_or_release_is_not_the_packages(root, another, release):
    assert package_of(another, release, root) is None


def test_without_a_changelog_what_is_known_of_the_version_counts(root):
    (root / "usr/share/doc/memcached/changelog.Debian.gz").unlink()
    package = package_of(program(), "1.6.18", root)
    assert package is not None
    assert "CVE-2026-47784" in package.fixes
    assert "CVE-2019-15026" not in package.fixes


def test_an_unknown_version_without_a_changelog_mends_nothing(root):
    (root / "usr/share/doc/memcached/changelog.Debian.gz").unlink()
    (root / "var/lib/dpkg/status").write_text(STATUS.replace("deb12u1", "deb12u9"))
    package = package_of(program(), "1.6.18", root)
    assert package is not None
    assert package.fixes == frozenset()


def test_a_package_that_is_not_installed_any_more(root):
    (root / "var/lib/dpkg/status").write_text(STATUS.replace("install ok installed", "deinstall ok config-files"))
    assert package_of(program(), "1.6.18", root) is None


def test_the_program_that_runs():
    runs = program_of(os.getpid())
    assert Path(runs.path) == Path(sys.executable).resolve()
    assert not runs.replaced
    assert runs.digest == hashlib.md5(Path(runs.path).read_bytes()).hexdigest()


def test_a_program_that_was_replaced(tmp_path):
    (tmp_path / "7").mkdir()
    before = tmp_path / "memcached (deleted)"
    before.touch()
    (tmp_path / "7/exe").symlink_to(before)
    assert program_of(7, tmp_path).replaced
    assert program_of(7, tmp_path).path == str(tmp_path / "memcached")
