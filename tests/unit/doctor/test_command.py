"""The command line of `mcproxy doctor`: what is wrong with it is told before anything is looked at."""

import io
import sys

import pytest

from mcproxy.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--password-stdin"], "--password-stdin needs --user NAME"),
        (["--key", "a"], "--key needs --certificate FILE"),
        (["--from-address", "cache.example.com"], "'cache.example.com' is not an IP address"),
        (["--user", "sammy", "--password", "secret"], "no password goes on a command line"),
    ],
)
def test_a_wrong_command_line(capsys, arguments, words):
    assert main(["doctor", *arguments]) == 2
    complaint = capsys.readouterr().err
    assert words in complaint
    assert complaint.count("\n") == 1
    assert "secret" not in complaint


def test_a_configuration_that_nothing_can_be_made_of(tmp_path, capsys):
    path = tmp_path / "mcproxy.yaml"
    path.write_text("listeners: [\n")
    assert main(["doctor", "--config", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_without_a_terminal_a_password_needs_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["doctor", "--user", "sammy"]) == 2
    assert "use --password-stdin" in capsys.readouterr().err
