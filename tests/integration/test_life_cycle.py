"""What a service manager, a container and an operator have of the program: sockets, notifications, signals, its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.activation import hand_over, listening
from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.conversation import play
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy, token
from tests.support.waiting import eventually
from tests.support.workers import restarted, worker_processes


class Manager:
    """Takes what the program tells its service manager. `lines` are all of it, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[str] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(path))
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while message := self._sock.recv(4096):
            self.lines += message.decode().split("\n")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join(10)
        self._sock.close()


@pytest.fixture
def make(
    short_path: Callable[[], Path], certificates: Certificates, memcached: Memcached
) -> Iterator[Callable[..., Proxy]]:
    """Makes programs that the test starts, and that must end well."""
    with ExitStack() as ends:

        def make(**changes: Any) -> Proxy:
            directory = short_path()
            program = Proxy(
                directory, configuration(directory, memcached.address, certificates, **changes), certificates
            )
            ends.callback(lambda: program.process and program.assert_good_end())
            return program

        yield make


@contextmanager
def manager(program: Proxy, **environment: str) -> Iterator[Manager]:
    told = Manager(program.directory / "notify")
    words = [f"{name}={value}" for name, value in environment.items()]
    program.runner = ["env", f"NOTIFY_SOCKET={told.path}", *words]
    try:
        yield told
    finally:
        told.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_manager_is_told_of_its_life(make: Callable[..., Proxy], workers: int) -> None:
    program = make(workers=workers)
    with manager(program, WATCHDOG_USEC="400000") as told:
        program.start()
        eventually("it says that it is up", lambda: "READY=1" in told.lines)
        eventually("and ready", lambda: "STATUS=Ready" in told.lines)
        eventually("its heart beats", lambda: told.lines.count("WATCHDOG=1") > 2)
        program.process.send_signal(signal.SIGHUP)
        eventually("it has reloaded", lambda: told.lines.count("READY=1") == 2)
        assert [line for line in told.lines if line in ("RELOADING=1", "READY=1")] == [
            "READY=1",
            "RELOADING=1",
            "READY=1",
        ]
        assert program.stop() == 0
        eventually("it says that it ends", lambda: "STOPPING=1" in told.lines)
        assert f"EXTEND_TIMEOUT_USEC={(10 + 5) * 1_000_000}" in told.lines


def test_no_heartbeat_while_a_worker_is_stuck(make: Callable[..., Proxy]) -> None:
    program = make(workers=2)
    with manager(program, WATCHDOG_USEC="400000") as told:
        program.start()
        stuck = worker_processes(program)[2]
        os.kill(stuck, signal.SIGSTOP)
        try:
            eventually("it is withheld", lambda: program.log_contains("watchdog_withheld"), within=20)
            before = told.lines.count("WATCHDOG=1")
            assert program.http("/healthz")[0] == 503
            assert told.lines.count("WATCHDOG=1") == before
        finally:
            os.kill(stuck, signal.SIGCONT)
        eventually("it is well again", lambda: told.lines.count("WATCHDOG=1") > before)


@pytest.mark.parametrize("workers", [1, 2])
def test_before_it_drains_it_serves_on_while_it_is_not_ready(make: Callable[..., Proxy], workers: int) -> None:
    program = make(workers=workers, limits={"drain_delay": "60s"}).start()
    eventually("it is ready", lambda: program.http("/readyz")[0] == 200)
    with program.logged_in("sammy") as before:
        program.process.terminate()
        eventually("it is not ready", lambda: program.http("/readyz") == (503, "draining\n"))
        assert program.http("/healthz")[0] == 200
        with program.logged_in("sammy", "tls") as newcomer:
            play(newcomer, b"get app:none\r\n", b"END\r\n")
            play(before, b"get app:none\r\n", b"END\r\n")
            # A second signal within half a second would be the same one.
            eventually(
                "another is heeded", lambda: not program.process.terminate() and program.log_contains("draining")
            )
            assert before.rest() == b""
            assert newcomer.rest() == b""
    assert program.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_what_it_has_inherited_stays(make: Callable[..., Proxy], workers: int) -> None:
    """TCP and unix sockets, the admin port and what else is bound; and between two programs the clients wait."""
    program = make(workers=workers)
    path = program.directory / "mcproxy.sock"
    with ExitStack() as stack:
        sockets = {"plain": listening(), "socket": listening(socket.AF_UNIX, str(path)), "admin": listening()}
        for sock in sockets.values():
            stack.enter_context(sock)
        path.chmod(0o600)
        hand_over(program, sockets)
        program.start()
        told = {record["listener"]: "inherited" in record for record in program.events("listening")}
        assert told == {"plain": True, "tls": False, "socket": True, "admin": True}
        for name in ("plain", "socket"):
            with program.logged_in("sammy", name) as client:
                play(client, b"get app:none\r\n", b"END\r\n")
        assert program.host_and_port("admin")[1] == sockets["admin"].getsockname()[1]
        assert program.http("/healthz") == (200, "ok\n")
        assert program.stop() == 0
        assert path.exists()
        with program.connect_raw("plain") as waiting:
            waiting.sendall(token("sammy"))
            following = Proxy(program.directory, program.settings, program.certificates)
            hand_over(following, sockets)
            following.start()
            assert waiting.recv(100) == b"STORED\r\n"
        following.assert_good_end()


def test_one_that_it_has_no_use_for_is_an_error(make: Callable[..., Proxy]) -> None:
    program = make()
    with listening() as sock:
        hand_over(program, {"mcproxy.socket": sock})
        with pytest.raises(AssertionError, match="ended with status 2"):
            program.start()
        address = "{}:{}".format(*sock.getsockname())
        assert any(
            f'{address} (named "mcproxy.socket") is no address of the configuration' in line for line in program.log
        )
    program.kill()
    program.process = None


@pytest.mark.parametrize("workers", [1, 2])
def test_debugging_by_signal(start_proxy: StartProxy, memcached: Memcached, workers: int) -> None:
    program = start_proxy(memcached.address, workers=workers)

    def debug_lines() -> int:
        with program.logged_in("sammy"):
            pass
        return len(program.events("connection_accepted"))

    eventually("it is up", lambda: program.http("/readyz")[0] == 200)
    assert debug_lines() == 0
    program.process.send_signal(signal.SIGUSR1)
    eventually("it says so", lambda: program.log_contains("debugging_on"))
    eventually("connections are told of", debug_lines)
    if workers == 2:
        for number, process in worker_processes(program).items():
            os.kill(process, signal.SIGKILL)
            restarted(program, number, process)
        before = len(program.events("connection_accepted"))
        eventually("new workers do so too", lambda: debug_lines() > before)
    # A reload doesn't change it.
    program.process.send_signal(signal.SIGHUP)
    eventually("it has reloaded", lambda: program.log_contains("reloaded"))
    assert debug_lines() > 0
    program.process.send_signal(signal.SIGUSR1)
    eventually("it says that it is off", lambda: program.log_contains("debugging_off"))
    eventually("it is quiet", lambda: debug_lines() == debug_lines())


def test_as_process_1_it_ends_in_order_and_sees_off_orphans(make: Callable[..., Proxy]) -> None:
    program = make()
    program.runner = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    program.start()
    [child] = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    enter = ["nsenter", "--pid", "--mount", "--target", child]
    # A process whose parent ends before it: it becomes process 1's.
    subprocess.run([*enter, "sh", "-c", "sleep 0.1 & exit 0"], check=True)
    eventually("there is no zombie", lambda: "Z" not in states(enter))
    with program.logged_in("sammy") as client:
        play(client, b"get app:none\r\n", b"END\r\n")
        subprocess.run([*enter, "kill", "-TERM", "1"], check=True)
        assert client.rest() == b""
    assert program.process.wait(15) == 0


def states(enter: list[str]) -> str:
    """Those of all processes but this look itself, once there are no more than the program."""
    script = "import glob; print(*(open(f).read().rpartition(') ')[2][0] for f in glob.glob('/proc/[0-9]*/stat')))"
    return subprocess.run([*enter, sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
