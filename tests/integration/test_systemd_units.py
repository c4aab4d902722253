"""deploy/systemd: what systemd-analyze says of the units, without starting any."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mcproxy.config.schema import Limits

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd" / "system"
LIBRARY = [Path("/lib/systemd/system"), ROOT / ".debian" / "lib" / "systemd" / "system"]
PROGRAMS = ("opt/mcproxy/bin/mcproxy", "usr/bin/memcached", "usr/bin/kill", "bin/kill")
WRAPPER = "usr/share/memcached/scripts/systemd-memcached-wrapper"
OTHERS = ("sysinit", "basic", "shutdown", "network", "network-online", "multi-user", "sockets")
NAMES = ("mcproxy.service", "mcproxy.socket", "memcached.service")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is not installed: apt-get install systemd"
    command = [program, *arguments]
    environment = {**os.environ, "SYSTEMD_PAGER": "", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def library_unit(name: str) -> Path:
    found = [directory / name for directory in LIBRARY if (directory / name).exists()]
    assert found, f"{name} was not found in {LIBRARY}"
    return found[0]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root directory with the units installed as docs/systemd.md says, Debian's memcached.service among them."""
    shutil.copytree(UNITS, tmp_path / "etc" / "systemd" / "system")
    library = tmp_path / "usr" / "lib" / "systemd" / "system"
    library.mkdir(parents=True)
    for name in ("memcached.service", *(f"{other}.target" for other in OTHERS)):
        shutil.copy(library_unit(name), library)
    for name in (*PROGRAMS, WRAPPER):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


def test_the_units_are_right(machine: Path) -> None:
    done = analyze("verify", "--man=no", f"--root={machine}", *NAMES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_unit_is_noticed(machine: Path) -> None:
    unit = machine / "etc" / "systemd" / "system" / "mcproxy.service"
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHome=perhaps"))
    assert "protect home" in analyze("verify", f"--root={machine}", "mcproxy.service").stderr


@pytest.mark.parametrize("unit", ["mcproxy.service", "memcached.service"])
def test_they_are_no_more_exposed_than_the_page_says(machine: Path, unit: str) -> None:
    page = (ROOT / "docs" / "systemd.md").read_text()
    promised = re.search(rf"^\| `{unit}`.* \| ([\d.]+) \|$", page, re.MULTILINE)
    assert promised is not None
    threshold = round(float(promised[1]) * 10)  # tenths
    done = analyze("security", "--offline=yes", f"--root={machine}", f"--threshold={threshold}", unit)
    assert done.returncode == 0, done.stdout
    for directory in (machine / "etc").rglob(f"{unit}*"):
        for file in [directory] if directory.is_file() else directory.iterdir():
            file.write_text(re.sub(r"^Protect\w+=.*$", "", file.read_text(), flags=re.MULTILINE))
    worse = analyze("security", "--offline=yes", f"--root={machine}", f"--threshold={threshold}", unit)
    assert worse.returncode != 0, worse.stdout


def setting(name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", (UNITS / "mcproxy.service").read_text(), re.MULTILINE)
    assert len(found) == 1, name
    return str(found[0])


def test_stopping_may_take_as_long_as_draining() -> None:
    limits = Limits()
    assert limits.drain_delay + limits.drain_timeout + 5 <= float(setting("TimeoutStopSec").removesuffix("s"))


def test_there_are_descriptors_for_all_connections() -> None:
    assert int(setting("LimitNOFILE")) > 2 * Limits().connections
