"""Signals before the program serves: it ends in order, with no traceback, or has them remembered."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, configuration, write_configuration, write_users
from tests.support.proxy import BAD_SIGNS, Proxy

# The program gets the signal when the line `where` has been run, which comes before the program does anything.
SCRIPT = """
import os, signal, sys

def send(*_, **__):
    os.kill(os.getpid(), signal.{signal})

def before(function):
    def sent(*arguments, **named):
        send()
        return function(*arguments, **named)
    return sent

{where}
from mcproxy.cli.main import main
sys.exit(main())
"""
IMPORTING = "from mcproxy.cli.main import main; send()"
IN_AN_IMPORT = """
class Found:
    def find_spec(self, name, *_):
        if name == "trio":
            try:
                send()
            except BaseException:
                pass  # as an import may lose it
from mcproxy.cli.main import main
sys.meta_path.insert(0, Found())
"""
BEFORE_TRIO = "import trio; trio.run = before(trio.run)"
IN_TRIO = "import trio; trio.open_signal_receiver = before(trio.open_signal_receiver)"


@pytest.mark.parametrize(
    ("where", "name", "workers", "events"),
    [
        (IMPORTING, "SIGINT", 1, []),
        (IN_AN_IMPORT, "SIGTERM", 1, []),
        (BEFORE_TRIO, "SIGINT", 1, ["stopping", "draining", "drained", "stopped"]),
        (IN_TRIO, "SIGTERM", 1, ["stopping", "draining", "drained", "stopped"]),
        (IN_TRIO, "SIGTERM", 2, ["stopping", "stopped"]),
    ],
    ids=["importing", "in an import", "before trio", "in trio", "in trio, with workers"],
)
def test_told_to_stop_while_it_starts(
    short_path: Callable[[], Path], certificates: Certificates, where: str, name: str, workers: int, events: list[str]
) -> None:
    directory = short_path()
    write_users(directory / "users", PASSWORDS)
    path = directory / "mcproxy.yaml"
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        # One that takes connections and says nothing: there is no first link.
        address = "{}:{}".format(*upstream.getsockname())
        write_configuration(path, configuration(directory, address, certificates, workers=workers))
        script = SCRIPT.format(signal=name, where=where)
        ended = subprocess.run(
            [sys.executable, "-c", script, "run", "--config", str(path)], capture_output=True, text=True, timeout=20
        )
    assert ended.returncode == 0, ended.stderr
    assert not any(sign in ended.stderr for sign in BAD_SIGNS), ended.stderr
    told = [event for event in (*events, "started") if f'"event":"{event}"' in ended.stderr.replace('": "', '":"')]
    assert told == events, ended.stderr


def test_signals_that_the_parent_has_blocked_are_heeded(
    short_path: Callable[[], Path], certificates: Certificates
) -> None:
    directory = short_path()
    program = Proxy(directory, configuration(directory, "127.0.0.1:1", certificates, watch_files=False), certificates)
    block = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    program.runner = [sys.executable, "-c", block]
    try:
        program.start()
    finally:
        program.assert_good_end()
    assert program.log_contains("stopping", signal=signal.SIGTERM.name)
