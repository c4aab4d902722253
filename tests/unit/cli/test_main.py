"""What holds for every command: exit status, signals, pipes, and the Python that it takes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mcproxy
from mcproxy.cli.arguments import Parser, add_config_option
from mcproxy.cli.main import COMMANDS, main, refuse_old_python

from .running import ENVIRONMENT
from .running import mcproxy as run_mcproxy

PACKAGE = Path(mcproxy.__file__).parent


def test_version(capsys):
    assert main(["--version"]) == 0
    # What scripts/test says that it tests.
    form = " (compiled)" if os.environ.get("MCPROXY_TESTED_FORM") == "compiled" else ""
    assert capsys.readouterr().out == f"mcproxy {mcproxy.__version__}{form}\n"


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in COMMANDS)


@pytest.mark.parametrize("heavy", ["trio", "pydantic", "yaml", "scramp", "cryptography", "structlog", "h11"])
def test_the_version_needs_nothing_heavy(heavy):
    program = f"import sys; from mcproxy.cli.main import main; main(['--version']); sys.exit('{heavy}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_the_configuration_of_the_environment(installation):
    done = run_mcproxy("check", env=ENVIRONMENT | {"MCPROXY_CONFIG": str(installation.config)})
    assert (done.returncode, done.stdout.split("\n")[0]) == (0, f"ok: {installation.config}")


@pytest.mark.parametrize(("variable", "expected"), [("", "/etc/mcproxy/mcproxy.yaml"), ("/a/b.yaml", "/a/b.yaml")])
def test_where_the_configuration_is(monkeypatch, variable, expected):
    monkeypatch.setenv("MCPROXY_CONFIG", variable)
    parser = Parser(prog="mcproxy")
    add_config_option(parser)
    assert parser.parse_args([]).config == Path(expected)


@pytest.mark.parametrize("version", [(3, 11), (3, 11, 2), (3, 14), (4, 0)])
def test_pythons_that_will_do(version):
    assert refuse_old_python(version) is None


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 2), (3, 10, 12)])
def test_pythons_that_will_not(version):
    message = refuse_old_python(version)
    assert message is not None
    assert message.startswith("mcproxy: needs Python 3.11 or newer and this is " + ".".join(map(str, version)))


@pytest.mark.parametrize("file", ["__init__.py", "__main__.py", "cli/__init__.py", "cli/main.py"])
def test_an_old_python_can_read_as_far_as_the_message(file):
    ast.parse((PACKAGE / file).read_text(), feature_version=(3, 7))


def test_a_reader_that_went_away(installation):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "mcproxy", "user", "list", "--users-file", installation.users],
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_a_failure(installation, unbuffered):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "mcproxy", "check", "--config", installation.config],
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT | {"PYTHONUNBUFFERED": unbuffered},
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("mcproxy: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1
