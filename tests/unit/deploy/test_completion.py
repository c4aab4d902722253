"""The completion of the command line, in real shells: all commands and options, files, users, and nothing executed."""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import make_verifier
from mcproxy.cli.main import COMMANDS, make_parser
from tests.support.completion import COMPLETION, SHELLS

HOSTILE = "$(echo>made)`echo>made`'\";&"
"""May stand in the users file, as it has neither a blank nor a colon."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("completion")
    (made / "mcproxy one.yaml").touch()
    (made / "certificates").mkdir()
    users = made / "users"
    users.touch(mode=0o600)
    verifier = make_verifier("a password", 4096)
    users.write_text("".join(f"{format_line(name, verifier)}\n" for name in ("sammy", "sally", "root", HOSTILE)))
    return made


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from commands(command)


OPTIONS = {
    command.prog: {option for action in command._actions for option in action.option_strings if option[:2] == "--"}
    for command in commands(make_parser())
}


def test_the_files_are_of_the_present_parser() -> None:
    """If not: scripts/generate-command-line."""
    command = [sys.executable, "-B", str(COMPLETION / "generate.py"), "--check"]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize("shell", SHELLS)
def test_commands(shell: str, directory: Path) -> None:
    assert set(SHELLS[shell]("mcproxy ", directory)) == set(COMMANDS)
    assert set(SHELLS[shell]("mcproxy user ", directory)) == {"add", "passwd", "remove", "list", "verify", "import"}
    assert set(SHELLS[shell]("mcproxy d", directory)) == {"demo", "doctor"}


def test_there_are_options_of_every_command() -> None:
    assert {f"mcproxy {name}" for name in COMMANDS} < set(OPTIONS)
    assert OPTIONS["mcproxy check"] == {"--help", "--config"}


# zsh, for which a terminal is made, takes longest: some have to do.
@pytest.mark.thorough
@pytest.mark.parametrize(
    ("shell", "command"),
    [(shell, name) for shell in ("bash", "fish") for name in OPTIONS]
    + [("zsh", name) for name in ("mcproxy doctor", "mcproxy user import")],
)
def test_options(shell: str, command: str, directory: Path) -> None:
    assert set(SHELLS[shell](f"{command} --", directory)) == OPTIONS[command]


@pytest.mark.thorough
@pytest.mark.parametrize("shell", SHELLS)
def test_files_and_choices(shell: str, directory: Path) -> None:
    assert SHELLS[shell]("mcproxy check --config mc", directory) == ["mcproxy one.yaml"]
    directories = SHELLS[shell]("mcproxy demo --directory cert", directory)
    assert {name.rstrip("/") for name in directories} == {"certificates"}
    assert set(SHELLS[shell]("mcproxy user import --from ", directory)) == {"sasldb2", "memcached", "postgresql"}


@pytest.mark.thorough
@pytest.mark.parametrize("shell", SHELLS)
def test_users(shell: str, directory: Path) -> None:
    offers = SHELLS[shell]("mcproxy user remove --users-file users ", directory)
    # bash takes what it is given as it is, so it is given quoted; the others quote by themselves.
    plain = [" ".join(shlex.split(offer)) for offer in offers] if shell == "bash" else offers
    assert sorted(plain) == sorted(["sammy", "sally", "root", HOSTILE])
    assert sorted(SHELLS[shell]("mcproxy user verify --users-file users sa", directory)) == ["sally", "sammy"]
    assert SHELLS[shell]("mcproxy user passwd --users-file nothing ", directory) in ([], [""])
    assert not (directory / "made").exists()
