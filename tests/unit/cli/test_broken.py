"""What people get wrong, through the real program: exit status 2, a line for each mistake, never a traceback."""

import os
import resource
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mcproxy.cli.main import main
from mcproxy.config import source

from .conftest import Installation
from .running import mcproxy


def text(content: str) -> Callable[[Installation], object]:
    return lambda made: made.config.write_text(content)


def replaced(old: str, new: str) -> Callable[[Installation], object]:
    def change(made: Installation) -> None:
        before = made.config.read_text()
        assert old in before
        made.config.write_text(before.replace(old, new, 1))

    return change


def tls(**files: str) -> Callable[[Installation], object]:
    def change(made: Installation) -> None:
        made.settings["listeners"]["tls"]["tls"] |= files
        made.write()

    return change


def key_for_everybody(made: Installation) -> None:
    copied = made.directory / "open.key"
    shutil.copy(made.settings["listeners"]["tls"]["tls"]["key"], copied)
    copied.chmod(0o644)
    tls(key=str(copied))(made)


def half_a_certificate(made: Installation) -> None:
    whole = Path(made.settings["listeners"]["tls"]["tls"]["certificate"]).read_text()
    (made.directory / "half.crt").write_text(whole[: len(whole) // 2])
    tls(certificate=str(made.directory / "half.crt"))(made)


def another_certificate(made: Installation) -> None:
    tls(certificate=made.settings["listeners"]["tls"]["tls"]["certificate"].replace("server.crt", "client.crt"))(made)


LOGIN = {"method": "sasl", "mechanism": "PLAIN", "username": "app", "password_file": "/nowhere/password"}

BROKEN: dict[str, tuple[Callable[[Installation], object], list[str]]] = {
    "an empty file": (text(""), ["mcproxy.yaml: is empty; config/mcproxy.minimal.yaml is a start"]),
    "not YAML": (
        text("listeners: [\nupstream: x\n"),
        ["mcproxy.yaml:3: not valid YAML: while parsing a flow sequence that starts on line 1"],
    ),
    "tabs": (text("listeners:\n\ta: 1\n"), ["mcproxy.yaml:2: not valid YAML", "indent with spaces, not tabs"]),
    "a list": (text("- a\n"), ["mcproxy.yaml:1: must be a mapping"]),
    "binary junk": (lambda made: made.config.write_bytes(b"\x80\xff" * 100), ["mcproxy.yaml:1: is not UTF-8 text"]),
    "an unknown key": (
        replaced("bind:", "bnd:"),
        ['listeners.plain.bnd: unknown key; did you mean "bind"?', "listeners.plain.bind: is required"],
    ),
    "a key given twice": (
        replaced("users_file:", "users_file: /x\nusers_file:"),
        ["users_file: given twice, first on line"],
    ),
    "a mistyped address": (
        replaced("127.0.0.1:0", "127.0.0.1"),
        ['listeners.plain.bind[0]: "127.0.0.1" has no port; write "127.0.0.1:11211"'],
    ),
    "a network with host bits": (
        replaced("127.0.0.0/8", "127.0.0.1/8"),
        [
            'listeners.plain.allow[0]: "127.0.0.1/8" is an address inside a network; write "127.0.0.0/8" for all of it',
            "listeners.tls.allow[0]: ",
        ],
    ),
    "plain text on the network": (
        replaced("127.0.0.1:0", "0.0.0.0:11212"),
        [
            "listeners.plain.bind[0]: 0.0.0.0:11212 is not loopback and has no TLS",
            "listeners.plain.authentication: token would send passwords over the network in clear text",
            "listeners.plain.mechanisms: PLAIN would send passwords over the network in clear text",
        ],
    ),
    "a memcached elsewhere": (
        replaced("127.0.0.1:11211", "10.0.0.9:11211"),
        ["upstream.address: 10.0.0.9:11211 is not loopback and has no TLS", "add tls (ca), or plaintext: true"],
    ),
    "a time without a unit": (
        replaced("timeout: 5s", "timeout: 5"),
        ['upstream.timeout: 5 has no unit; write "5s" for seconds'],
    ),
    "an unknown role": (
        replaced("- app\n", "- apps\n"),
        ['grants[0].roles[0]: there is no role "apps"; did you mean "app"?'],
    ),
    "stats on some keys": (
        lambda made: made.change(roles={**made.settings["roles"], "app": {"commands": ["stats"], "keys": ["app:*"]}}),
        ['roles.app.commands: stats works on all keys at once, so the role\'s keys must be ["*"]'],
    ),
    "no password for upstream": (
        lambda made: made.change(upstream={**made.settings["upstream"], "login": LOGIN}),
        ["upstream.login.password_file: there is no file /nowhere/password; write the password into it, on one line"],
    ),
    "no users file": (lambda made: made.users.unlink(), ["there is no file", 'make it with "mcproxy user add"']),
    "a users file for everybody": (
        lambda made: made.users.chmod(0o644),
        ["users_file: ", "can be read by everybody (mode 0644); run: chmod o= "],
    ),
    "a password in clear": (
        lambda made: made.users.write_text("sammy:hunter2\n"),
        ["users:1: what follows the name 'sammy' is not a verifier", "make the line with 'mcproxy user add'"],
    ),
    "half a line of the users file": (
        lambda made: made.users.write_text(made.users.read_text()[:-30]),
        ["users:4: "],
    ),
    "no certificate": (
        tls(certificate="/nowhere/tls.crt"),
        ["listeners.tls.tls.certificate: there is no file /nowhere/tls.crt"],
    ),
    "half a certificate": (half_a_certificate, ["half.crt is cut short: a PEM block is not whole"]),
    "a key for everybody": (key_for_everybody, ["open.key can be read by everybody (mode 0644)"]),
    "key and certificate of different pairs": (
        another_certificate,
        ["listeners.tls.tls.key: ", "does not belong to the certificate"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_installation_is_told_in_clear_lines(installation, case):
    breakage, expected = BROKEN[case]
    breakage(installation)
    done = mcproxy("check", "--config", installation.config)
    lines = done.stderr.splitlines()
    assert done.returncode == 2
    assert done.stdout == ""
    assert all(line.startswith("mcproxy: ") for line in lines), done.stderr
    for part in expected:
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    places = [line for line in lines if any(part in line for part in expected)]
    assert places == lines, "a line that nobody expected"


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))


def test_more_connections_than_file_descriptors(installation):
    done = mcproxy("check", "--config", installation.config, preexec_fn=few_descriptors)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "limits.connections: 4096 connections need " in done.stderr
    assert "the hard limit is 256; write 183 or less, or raise the limit" in done.stderr


COMMAND_LINES: dict[tuple[str, ...], str] = {
    (): "mcproxy: the following arguments are required: COMMAND",
    ("chekc",): "mcproxy: argument COMMAND: invalid choice: 'chekc'",
    ("check", "--confg", "x"): "mcproxy: check: unrecognized arguments: --confg;",
    ("check", "--config"): "mcproxy: check: argument --config: expected one argument",
    ("check", "--conf", "x"): "mcproxy: check: unrecognized arguments: --conf;",
    ("check", "--config", "/nowhere/m.yaml"): "mcproxy: /nowhere/m.yaml: can't be read: No such file or directory",
    ("run", "--config", "/nowhere/m.yaml"): "mcproxy: /nowhere/m.yaml: can't be read: No such file or directory",
    ("user",): "mcproxy: user: the following arguments are required: ACTION",
    ("user", "add"): "mcproxy: user add: the following arguments are required: NAME",
    ("check", "x"): 'mcproxy: check: unrecognized arguments: x; see "mcproxy check --help"',
    ("check", "--port", "1"): 'mcproxy: check: unrecognized arguments: --port; see "mcproxy check --help"',
    ("check", "--config", ""): "mcproxy: check: argument --config: is empty; it must name a file",
    ("user", "list", "--users-file", ""): "mcproxy: user list: argument --users-file: is empty",
    (
        "user",
        "add",
        "a",
        "--generate",
        "--users-file",
        "/nowhere/u",
    ): "mcproxy: there is no directory /nowhere; make it",
    ("user", "list", "--users-file", "/nowhere/u"): "mcproxy: there is no directory /nowhere; make it first",
    ("user", "list", "--users-file", "/dev/null/u"): "mcproxy: there is no directory /dev/null; make it first",
    ("user", "remove", "a", "--users-file", "/nowhere/u"): "mcproxy: there is no directory /nowhere; make it first",
    ("demo", "--directory", "/nowhere/demo"): "mcproxy: no directory could be made: /nowhere/demo: No such file",
    ("demo", "--directory", "/dev"): "mcproxy: /dev exists; name a directory that doesn't",
    ("user", "add", "a b", "--users-file", "/nowhere/u"): 'mcproxy: "a b": a name cannot contain white space',
    ("user", "add", "a", "--users-file", "x", "--config", "y"): "not allowed with argument --users-file",
    ("user", "add", "a", "--generate", "--password-stdin"): "not allowed with argument --generate",
    ("user", "list", "--config", "/nowhere/m.yaml"): "mcproxy: /nowhere/m.yaml: can't be read",
}


@pytest.mark.parametrize("arguments", COMMAND_LINES)
def test_a_wrong_command_line_is_told_in_one_line(arguments):
    done = mcproxy(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert COMMAND_LINES[arguments] in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "user add bob --password hunter2",
        "user add bob --password=hunter2",
        "user add --password hunter2 bob",
        "user add bob --passwd hunter2",
        "user add bob --password-stdin=hunter2",
        "user add bob hunter2",
        "user passwd bob hunter2",
        "user --password hunter2 add bob",
        "--password hunter2 user add bob",
    ],
)
def test_a_password_on_the_command_line_is_not_repeated(arguments):
    done = mcproxy(*arguments.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "hunter2" not in done.stderr
    assert "no password goes on a command line, use --password-stdin" in done.stderr


def test_an_address_in_use_is_a_wrong_configuration(installation):
    """Exit status 2, as docs/configuration.md has it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        installation.settings["listeners"]["plain"]["bind"] = [address]
        installation.write()
        done = mcproxy("run", "--config", installation.config)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("mcproxy: "))
    assert line == f"mcproxy: cannot listen on {address}: another process listens there"


def test_a_pipe_that_nobody_writes_to_does_not_hang(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(source, "PIPE_PATIENCE", 0.05)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main(["check", "--config", str(pipe)]) == 2
    assert f"mcproxy: {pipe}: nothing comes out of it for 0.05 seconds" in capsys.readouterr().err


def test_a_configuration_from_standard_input(installation):
    done = mcproxy("check", "--config", "/dev/stdin", input=installation.config.read_text())
    assert (done.returncode, done.stderr, done.stdout.splitlines()[0]) == (0, "", "ok: /dev/stdin")
