"""Passwords that are typed, at a real terminal."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from mcproxy.auth.users import parse_users

from .running import ENVIRONMENT, FEW, mcproxy


@pytest.fixture
def users(tmp_path):
    return tmp_path / "users"


def test_without_a_terminal_nobody_is_asked(users):
    done = mcproxy("user", "add", "sammy", "--users-file", users, input="secret\n")
    assert done.returncode == 2
    assert done.stderr == "mcproxy: no terminal to ask for a password; use --password-stdin or --generate\n"
    assert not users.exists()


def at_a_terminal(users, *answers):
    """Type answers, each after its prompt (None: SIGINT instead); exit status and all that the terminal showed."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "mcproxy", "user", "add", "sammy", "--iterations", FEW, "--users-file", users]
    # A session of its own: getpass finds no other terminal than this one.
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=ENVIRONMENT, start_new_session=True
    )
    os.close(terminal)
    shown = b""
    prompts = [b"Password for sammy: ", b"Once more: "]
    answers = list(answers)
    try:
        while chunk := os.read(master, 1024):
            shown += chunk
            if prompts and answers and shown.endswith(prompts[0]):
                prompts.pop(0)
                answer = answers.pop(0)
                process.send_signal(signal.SIGINT) if answer is None else os.write(master, answer)
    except OSError:  # EIO: the other end is closed
        pass
    finally:
        os.close(master)
    return process.wait(timeout=60), shown.decode()


def test_a_password_typed_twice_and_never_shown(users):
    status, shown = at_a_terminal(users, b"hunter2\n", b"hunter2\n")
    assert (status, "hunter2" in shown) == (0, False)
    (verifier,) = parse_users(users.read_text()).password_verifiers("sammy")
    assert verifier.matches("hunter2")


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((b"one\n", b"two\n"), "the two passwords differ; nothing was changed"),
        ((b"\n",), "the password is empty; nothing was changed"),
        ((b"\x04",), "no password was typed; nothing was changed"),
    ],
)
def test_a_password_that_was_not_typed_right(users, answers, message):
    status, shown = at_a_terminal(users, *answers)
    assert status == 1
    assert f"mcproxy: {message}" in shown
    assert "Traceback" not in shown
    assert not users.exists()


def test_an_interrupt_at_the_prompt(users):
    status, shown = at_a_terminal(users, None)
    assert (status, shown) == (130, "Password for sammy: ")
    assert not users.exists()
