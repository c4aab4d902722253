"""The manual pages: of the present program, without a fault, complete, and found where they are installed."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mcproxy.cli.main import COMMANDS
from tests.unit.deploy.test_completion import OPTIONS

ROOT = Path(__file__).parents[3]
DIRECTORY = ROOT / "deploy" / "man"
PAGES = ["mcproxy.1", "mcproxy.yaml.5"]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """MANPATH would hide where man looks by itself."""
    return subprocess.run(
        list(map(str, command)),
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MANWIDTH": "100", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shown(page: str) -> str:
    return run("man", "--local-file", "--encoding=UTF-8", DIRECTORY / page).stdout


def test_the_files_are_of_the_present_parser_and_documentation() -> None:
    """If not: scripts/generate-command-line."""
    command = [sys.executable, "-B", str(DIRECTORY / "generate.py"), "--check"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wrong_with_them(page: str) -> None:
    faults = run("mandoc", "-T", "lint", DIRECTORY / page).stdout.splitlines()
    # What would be there is the date of the last release; until the next, every change would have to be dated.
    assert [fault for fault in faults if "missing date" not in fault] == []
    printed = run("man", "--warnings", "--encoding=UTF-8", "--local-file", "-Tutf8", "--ditroff", DIRECTORY / page)
    assert (printed.returncode, printed.stderr) == (0, "")


@pytest.mark.thorough
def test_every_command_and_option_is_explained() -> None:
    sections = re.split(r"^   (\S.*)$", shown("mcproxy.1"), flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    called = {f"mcproxy {name}" for name in found}
    assert called == set(OPTIONS) - {"mcproxy", "mcproxy user"}
    assert {name.split()[0] for name in found} == set(COMMANDS)
    for name, text in found.items():
        assert (
            set(re.findall(r"^       (--[a-z-]+)", text, flags=re.MULTILINE)) | {"--help"} == OPTIONS[f"mcproxy {name}"]
        )


@pytest.mark.thorough
def test_every_key_is_explained_with_its_default() -> None:
    documented = re.findall(r"^### `(\S+)`$", (ROOT / "docs" / "configuration.md").read_text(), flags=re.MULTILINE)
    sections = re.split(r"^   (\S+)$", shown("mcproxy.yaml.5"), flags=re.MULTILINE)
    assert len(documented) > 90
    assert set(documented) <= set(sections[1::2])
    assert all(re.search(r"^       Default: ", text, flags=re.MULTILINE) for text in sections[2::2])


@pytest.mark.thorough
def test_links_lead_nowhere_in_a_terminal() -> None:
    assert "config/mcproxy.minimal.yaml is a start" in " ".join(shown("mcproxy.yaml.5").split())
    assert not re.search(r"\]\(|\.md#|\.\./", shown("mcproxy.yaml.5"))


@pytest.mark.thorough
def test_man_finds_what_a_wheel_installs(tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    for source, target in shared.items():
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, tmp_path / target)
    # The page of a program in PREFIX/bin is looked for in PREFIX/share/man.
    (tmp_path / "bin").mkdir()
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    found = run("man", "--where", "mcproxy", "mcproxy.yaml", PATH=path).stdout.splitlines()
    assert found == [str(tmp_path / f"share/man/man{page[-1]}" / page) for page in PAGES]
    completion = {path.name for path in (ROOT / "deploy" / "completion").iterdir()} - {"generate.py", "__pycache__"}
    assert completion <= {Path(source).name for source in shared}
