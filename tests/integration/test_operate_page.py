"""The small parent of docs/operate.md, as the page has it: it keeps a socket through the program's restarts."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, configuration, write_configuration, write_users
from tests.support.conversation import Connection, play
from tests.support.memcached import Memcached
from tests.support.program_log import ProgramLog
from tests.support.proxy import token
from tests.support.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
TOLD_TOO_EARLY = """
import os, runpy, signal, sys
fork, forked = os.fork, []

def fork_and_tell():
    child = fork()
    forked.append(child)
    # Not the first one, whose parent may not be ready for signals itself.
    if child == 0 and len(forked) == 2:
        os.write(1, b"told\\n")
        os.kill(os.getpid(), signal.SIGTERM)
    return child

os.fork = fork_and_tell
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0])
"""
"""Runs a script whose second child gets SIGTERM as soon as it is there."""


def parent_in(directory: Path) -> Path:
    """The page's script, as a file."""
    [script] = [block.partition("```")[0] for block in PAGE.read_text().split("```python\n")[1:]]
    (directory / "keep-listening.py").write_text(script)
    return directory / "keep-listening.py"


def children(parent: subprocess.Popen[str]) -> list[str]:
    return Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()


def test_it_ends_at_once_while_it_waits_for_another_try(tmp_path: Path) -> None:
    command = [sys.executable, str(parent_in(tmp_path)), "127.0.0.1", "0", "sh", "-c", "echo tried; exit 3"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert parent.stdout is not None
    with parent:
        assert parent.stdout.readline() == "tried\n"
        eventually("its child has ended", lambda: not children(parent))
        parent.terminate()
        assert parent.stdout.read() == ""
    assert parent.returncode == 3


def test_a_child_that_is_told_to_end_before_it_is_the_program(tmp_path: Path) -> None:
    """The signal is for the child alone, not for whoever is in the same process group."""
    # The first child ends well, so that the second follows at once.
    command = [sys.executable, "-c", TOLD_TOO_EARLY, str(parent_in(tmp_path)), "127.0.0.1", "0", "true"]
    with subprocess.Popen(["sleep", "60"], process_group=0) as bystander:
        try:
            parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=bystander.pid)
            assert parent.stdout is not None
            with parent:
                assert parent.stdout.readline() == "told\n"
                eventually("the child has ended", lambda: not children(parent))
                parent.terminate()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_the_page_s_parent_keeps_the_socket(
    short_path: Callable[[], Path], certificates: Certificates, memcached: Memcached
) -> None:
    directory = short_path()
    write_users(directory / "users", PASSWORDS)
    # An address of this test's own: the page's script wants a number, and no port is free for sure.
    process = os.getpid()
    host = f"127.{64 + (process >> 16) % 64}.{(process >> 8) % 256}.{process % 256}"
    listener = {"bind": [f"{host}:11212"], "allow": ["127.0.0.0/8"], "authentication": ["token"]}
    listeners = {"plain": listener, "tls": None, "socket": None}
    write_configuration(
        directory / "mcproxy.yaml", configuration(directory, memcached.address, certificates, listeners=listeners)
    )
    command = [sys.executable, str(parent_in(directory)), host, "11212"]
    command += [sys.executable, "-m", "mcproxy", "run", "--config", str(directory / "mcproxy.yaml")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert parent.stdout is not None
    log = ProgramLog()
    log.follow(parent.stdout)
    try:
        for number in (1, 2):

            def has_started(times: int = number) -> bool:
                return sum(record["event"] == "started" for record in log.records) == times

            eventually("it has started", has_started, within=20)
            with Connection(socket.create_connection((host, 11212), 10)) as client:
                client.send(token("sammy"))
                assert client.line() == b"STORED\r\n", log.lines
                play(client, b"get app:none\r\n", b"END\r\n")
            if number == 1:
                [child] = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
                os.kill(int(child), signal.SIGTERM)
        parent.terminate()
        assert parent.wait(20) == 0
    finally:
        parent.kill()
        parent.wait()
        log.finish(5)
        parent.stdout.close()
    assert len([record for record in log.records if record["event"] == "stopped"]) == 2
