"""SIGHUP at odd times: while it starts, while it stops, in the middle of a login, and a hundred times at once."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import scramp

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, configuration, write_configuration, write_users
from tests.support.conversation import play
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace, users_text
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.support.workers import worker_processes


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_at_once(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    """They are few reloads, in their order, and the last one sees the last state of the files."""
    program = start_proxy(tap.address, workers=workers, watch_files=False)
    reloads = Reloads(program)
    connection = program.logged_in("root")
    root = next(line for line in reloads.users.read_text().splitlines() if line.startswith("root:"))
    for number in range(100):
        replace(reloads.users, f"{root}\n{users_text({f'user{number}': 'x'})}")
        os.kill(program.pid, signal.SIGHUP)
    eventually("the last user can log in", lambda: logs_in(program, "user99"), within=20)
    assert not logs_in(program, "user98")
    play(connection, b"get app:none\r\n", b"END\r\n")
    generations = [record["generation"] for record in program.events("reloaded")]
    assert generations == sorted(generations)
    assert len(generations) <= 100
    last = generations[-1]
    eventually("it says so", lambda: program.metric("mcproxy_generation") >= last)


def logs_in(program: Proxy, user: str) -> bool:
    with program.connect(source=f"10.0.0.{2 + hash(os.urandom(8)) % 250}") as connection:
        connection.send(token(user, "x"))
        return connection.line() == b"STORED\r\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_while_it_stops(start_proxy: StartProxy, tap: Tap, workers: int) -> None:
    program = start_proxy(tap.address, workers=workers, watch_files=False)
    assert program.process is not None
    program.process.terminate()
    for _ in range(10):
        program.process.send_signal(signal.SIGHUP)
    assert program.stop() == 0
    assert not program.events("reload_failed")


def test_while_it_starts(short_path: Callable[[], Path], certificates: Certificates, tap: Tap) -> None:
    """From the first moment at which the program can know of signals: it neither ends nor forgets."""
    directory = short_path()
    write_users(directory / "users", PASSWORDS)
    path = directory / "mcproxy.yaml"
    write_configuration(path, configuration(directory, tap.address, certificates, watch_files=False))
    script = (
        "import os, signal, sys\n"
        "from mcproxy.server import signals\n"
        "made = signals.LateSignals.__init__\n"
        "def make(self):\n"
        "    made(self)\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "signals.LateSignals.__init__ = make\n"
        "from mcproxy.cli.main import main\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", script, "run", "--config", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if '"reloaded"' in line:
                    break
            assert '"changed": "nothing"' in lines[-1].replace('":"', '": "'), lines
        finally:
            process.terminate()
            process.stderr.read()
        assert process.wait(10) == 0


def test_before_most_of_it_is_imported(short_path: Callable[[], Path], certificates: Certificates, tap: Tap) -> None:
    """It would end the program: nothing else handles it yet."""
    directory = short_path()
    write_users(directory / "users", PASSWORDS)
    path = directory / "mcproxy.yaml"
    write_configuration(path, configuration(directory, tap.address, certificates, watch_files=False))
    script = (
        "import os, signal, sys\n"
        "from mcproxy.cli.main import main\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", script, "run", "--config", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert any('"reloaded"' in line for line in process.stderr)
        finally:
            process.terminate()
            process.stderr.read()
        assert process.wait(10) == 0


def test_a_login_that_is_half_done_is_held_to_the_new_users(start_proxy: StartProxy, tap: Tap) -> None:
    listener = {
        "bind": ["127.0.0.1:0"],
        "allow": ["127.0.0.0/8"],
        "authentication": ["sasl"],
        "mechanisms": ["SCRAM-SHA-256"],
    }
    program = start_proxy(tap.address, watch_files=False, listeners={"scram": listener})
    reloads = Reloads(program)
    client = scramp.ScramClient(["SCRAM-SHA-256"], "sammy", PASSWORDS["sammy"])
    with program.connect("scram") as connection:
        first = packets.packet(packets.AUTH, b"SCRAM-SHA-256", client.get_client_first().encode())
        answer = connection.ask(first)
        assert answer.status == packets.AUTH_CONTINUE
        client.set_server_first(answer.value.decode())
        replace(reloads.users, users_text({"sammy": "a new one"}))
        reloads.sighup()
        final = packets.packet(packets.STEP, b"SCRAM-SHA-256", client.get_client_final().encode())
        assert connection.ask(final).status == packets.AUTH_ERROR


def test_a_configuration_from_a_pipe_is_kept_and_its_files_are_read_again(
    short_path: Callable[[], Path], certificates: Certificates, tap: Tap
) -> None:
    directory = short_path()
    write_users(directory / "users", PASSWORDS)
    program = Proxy(directory, configuration(directory, tap.address, certificates, watch_files=False), certificates)
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    whole = directory / "whole.yaml"
    write_configuration(whole, program.settings)
    program.configuration_path = pipe
    with subprocess.Popen([shutil.which("cp") or "cp", str(whole), str(pipe)]) as writer:
        start_with_pipe(program)
        assert writer.wait(10) == 0
    try:
        reloads = Reloads(program)
        replace(reloads.users, users_text({"newcomer": "x"}))
        assert reloads.sighup()["changed"] == "users_file"
        assert logs_in(program, "newcomer")
    finally:
        program.assert_good_end()


def start_with_pipe(program: Proxy) -> None:
    """Without writing the configuration, which somebody else does."""
    import tests.support.proxy as module

    write, module.write_configuration = module.write_configuration, lambda *_: None
    try:
        program.start()
    finally:
        module.write_configuration = write


def test_a_worker_that_hangs_is_named_and_gets_the_newest_afterwards(start_proxy: StartProxy, tap: Tap) -> None:
    program = start_proxy(tap.address, workers=2, watch_files=False)
    reloads = Reloads(program)
    process = worker_processes(program)[2]
    sessions = [program.logged_in("reader") for _ in range(12)]
    others = [line for line in reloads.users.read_text().splitlines() if not line.startswith("reader:")]
    os.kill(process, signal.SIGSTOP)
    try:
        replace(reloads.users, "\n".join(others) + "\n")
        record = reloads.sighup()
        assert record["late_workers"] == "2"
        assert 0 < record["connections_ended"] < len(sessions)
    finally:
        os.kill(process, signal.SIGCONT)
    for session in sessions:
        assert session.rest() == b""
    eventually("it serves the newest", lambda: program.metric("mcproxy_generation") == 2)
    [record] = program.events("late_worker_reloaded")
    assert (record["worker"], record["generation"]) == (2, 2)
