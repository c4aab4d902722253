"""What the distribution has mended in a memcached without changing its release: Debian's changelog names the CVEs.

Containers' images often leave changelogs out; for those there is a table of what is known.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
_LONGEST_CHANGELOG = 8 * 2**20
_LONGEST_STATUS = 64 * 2**20
_LONGEST_PROGRAM = 64 * 2**20
_KNOWN = {
    "1.6.18-1+deb12u1": ("CVE-2023-46852", "CVE-2023-46853", "CVE-2026-47783", "CVE-2026-47784"),
}
"""From changelogs of Debian, by the package's version."""
DELETED = " (deleted)"
"""Ends the name of a program that another one is in the place of: proc(5)."""


@dataclass(frozen=True, slots=True)
class Package:
    """`version` is the package's; `fixes` the CVEs that its changelog names as mended."""

    version: str
    fixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Program:
    """The file that a process runs. `replaced`: there is another one in its place by now. `digest` is the MD5 of what
    runs, as dpkg has it of its files: where it is mounted tells nothing of what it is."""

    path: str
    replaced: bool
    digest: str


def program_of(pid: int, proc: Path = Path("/proc")) -> Program:
    """Raises OSError: PermissionError for somebody else's process."""
    link = proc / str(pid) / "exe"
    path = str(link.readlink())
    with link.open("rb") as opened:  # by the kernel, whatever is at that path
        digest = hashlib.md5(opened.read(_LONGEST_PROGRAM), usedforsecurity=False).hexdigest()
    return Program(path.removesuffix(DELETED), path.endswith(DELETED), digest)


def package_of(program: Program, release: str, root: Path = Path("/")) -> Package | None:
    """The package `memcached` of Debian or Ubuntu that a program is of, if it is of one that has this release.

    Raises OSError.
    """
    digests = root / "var/lib/dpkg/info/memcached.md5sums"
    row = f"{program.digest}  {program.path.removeprefix('/')}"
    if not digests.exists() or row not in digests.read_text().splitlines():
        return None
    version = _version(root / "var/lib/dpkg/status")
    if version is None or not version.startswith((f"{release}-", f"{release}+", f"{release}~")):
        return None
    return Package(version, frozenset((*_KNOWN.get(version, ()), *_named(root))))


def _version(status: Path) -> str | None:
    """Without an epoch, as memcached has none."""
    with status.open(encoding="utf-8", errors="replace") as opened:
        text = f"\n\n{opened.read(_LONGEST_STATUS)}"
    _, found, rest = text.partition("\n\nPackage: memcached\n")
    lines = rest.partition("\n\n")[0].splitlines()
    if not found or "Status: install ok installed" not in lines:
        return None
    return next((line.removeprefix("Version: ") for line in lines if line.startswith("Version: ")), None)


def _named(root: Path) -> list[str]:
    """The CVEs of its changelog, none without one."""
    changelog = root / "usr/share/doc/memcached/changelog.Debian.gz"
    if not changelog.exists():
        return []
    with gzip.open(changelog, "rt", encoding="utf-8", errors="replace") as opened:
        return _CVE.findall(opened.read(_LONGEST_CHANGELOG))
