"""Start programs on loopback and end every one of them again, by pid, whatever happens in between."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType


class BenchError(Exception):
    """Something that a person must put right; the message is one line."""


def free_port() -> int:
    """A port of 127.0.0.1 that the kernel just gave, free again. For programs that cannot bind port 0 themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def connect(address: str, timeout: float = 10.0) -> socket.socket:
    """Connect to HOST:PORT or unix:PATH. Raises OSError."""
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout)
        connection.connect(address.removeprefix("unix:"))
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout)


@dataclass(frozen=True)
class Running:
    """A program started here."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """Its pid and those of its descendants, as they are now."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(entry.read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.parent.name))
        found = [self.process.pid]
        for pid in found:
            found.extend(children.get(pid, []))
        return found

    def wait_until_listening(self, address: str, seconds: float = 60.0) -> None:
        """Wait until something accepts at the address. Raises BenchError when the program ends first, or is late."""
        deadline = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise BenchError(f"{self.name} ended at once: {self.last_words()}")
            try:
                connect(address, 1.0).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name} does not listen at {address}: {self.last_words()}") from error
                time.sleep(0.02)
            else:
                return

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").split("\n")
        return " | ".join(line for line in lines if line.strip())[-500:] or "it said nothing"

    def stop(self, seconds: float = 5.0) -> None:
        """Ask it to end, then make it; its descendants too."""
        pids = self.pids() if self.process.poll() is None else []
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            end_orphan(pid, time.monotonic() + seconds)


def status(pid: int, field: str) -> int:
    """A size of /proc/PID/status, such as VmRSS or VmHWM, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise BenchError(f"/proc/{pid}/status has no {field}")


def private_memory(pid: int) -> int:
    """Bytes that a process has for itself alone: not its program's text, nothing of the kernel's."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def forget_peaks(pids: Sequence[int]) -> None:
    """Have VmHWM begin anew at what is resident now (proc(5), /proc/PID/clear_refs)."""
    for pid in pids:
        with contextlib.suppress(OSError):  # hitch's worker is another user's: its peak stays that since its start
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def is_alive(pid: int) -> bool:
    """Whether it still runs; one that only waits to be waited for (state Z, proc(5)) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def end_orphan(pid: int, deadline: float) -> None:
    """End a process whose parent is gone, so that its end can only be looked for. `deadline` is a monotonic time."""
    while is_alive(pid) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


class Processes:
    """Everything that one run of the bench has started; a context that ends it all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.running: list[Running] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.running:
            self.running.pop().stop()

    def start(self, name: str, command: Sequence[str], working_directory: Path | None = None) -> Running:
        """Start a program in a session of its own: a Ctrl-C on the terminal reaches the bench alone, which ends it."""
        log = self.directory / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=working_directory or self.directory,
                    start_new_session=True,
                )
            except OSError as error:
                raise BenchError(f"{name} cannot be started: {error}") from error
        running = Running(name, process, log)
        self.running.append(running)
        return running


def pin(pids: Sequence[int], cores: set[int]) -> None:
    """Bind all threads of the processes to these cores."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)
