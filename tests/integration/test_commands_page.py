"""docs/commands.md: what it says that commands print is what they print, and it names every option."""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.cli.main import COMMANDS, make_parser
from tests.support.certificates import Certificates

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
SESSIONS = re.findall(r"^```console\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
RUNNING = ("health", "top", "doctor")
"""They speak of a running proxy: tests of their own are about what they print."""


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a session, each with what it printed."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, printed = part.partition("\n")
        yield line, printed


ASKED = [
    (line, printed) for session in SESSIONS for line, printed in commands(session) if line.split()[1] not in RUNNING
]


def test_every_command_prints_what_the_page_says(tmp_path: Path, certificates: Certificates) -> None:
    [configuration] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "tls.crt").write_bytes(certificates.server_certificate.read_bytes())
    (tmp_path / "tls" / "tls.key").touch(mode=0o600)
    (tmp_path / "tls" / "tls.key").write_bytes(certificates.server_key.read_bytes())
    path = tmp_path / "mcproxy.yaml"
    path.write_text(configuration.replace("/etc/mcproxy", str(tmp_path)))
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "new-password").write_text("another horse\n")
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MCPROXY_CONFIG": str(path)}
    assert len(ASKED) > 8
    for line, expected in ASKED:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        printed = (done.stdout + done.stderr).replace(str(tmp_path), "/etc/mcproxy")
        # This certificate ends sooner than one that somebody would use, and /run/mcproxy is not the tests' to make.
        printed = re.sub(r"^note: .*(expires|no directory /run/).*\n", "", printed, flags=re.MULTILINE)
        assert printed == expected, line


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from (option for option in action.option_strings if option.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_there(command: str) -> None:
    assert f"](#{ANCHORS[command]})" in PAGE
    title = ANCHORS[command].replace("-", " ")
    [section] = [part for part in PAGE.split("\n## ")[1:] if part.partition("\n")[0].lower() == title]
    [subparsers] = [one for one in make_parser()._actions if isinstance(one, argparse._SubParsersAction)]
    wanted = set(options(subparsers.choices[command])) - {"--help", "--config"}
    assert {option for option in wanted if not re.search(rf"{option}\b", section)} == set()


ANCHORS = {
    "run": "run",
    "check": "check-a-configuration",
    "acl": "who-may-do-what",
    "doctor": "is-it-safe",
    "health": "is-it-well",
    "top": "watch-it",
    "demo": "try-it",
    "user": "users",
}
