"""Two network namespaces joined by one cable, and a record of every byte that goes over it."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.support.waiting import eventually

NEAR_ADDRESS = "10.64.0.1"
FAR_ADDRESS = "10.64.0.2"
_INTERFACE = "cable"
_DISCARD = 9
"""The port of the discard service (RFC 863), to which the mark at the end of a capture is sent."""

_SEND = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), (sys.argv[2], %d))"


class Namespaces:
    """A context manager. `near` and `far` are names of namespaces with a loopback and one end of the cable each.

    Neither has a route to anything but the other's address. Everything is gone afterwards, whatever happened.
    """

    def __init__(self) -> None:
        self.near = f"mcproxy-{os.getpid()}-near"
        self.far = f"mcproxy-{os.getpid()}-far"
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            pytest.skip("only root can make network namespaces")
        with self._ends as ends:
            for name in (self.near, self.far):
                ip("netns", "add", name)
                ends.callback(ip, "netns", "delete", name)
            # Deleted with their namespaces. Made inside them, they never show in the machine's own.
            cable = ["link", "add", _INTERFACE, "type", "veth", "peer", "name", _INTERFACE, "netns", self.far]
            ip("-netns", self.near, *cable)
            for name, address in ((self.near, NEAR_ADDRESS), (self.far, FAR_ADDRESS)):
                ip("-netns", name, "address", "add", f"{address}/30", "dev", _INTERFACE)
                for interface in ("lo", _INTERFACE):
                    ip("-netns", name, "link", "set", interface, "up")
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def routes(self, name: str) -> list[str]:
        """The routes of a namespace, loopback's own apart."""
        versions = (ip("-netns", name, version, "route") for version in ("-4", "-6"))
        return [line.split()[0] for found in versions for line in found.splitlines()]

    def listening(self, name: str) -> set[str]:
        """Addresses and ports at which anything in a namespace listens for TCP, or receives UDP."""
        command = [*inside(name), "ss", "--no-header", "--numeric", "--listening", "--tcp", "--udp"]
        return {line.split()[4] for line in _run(*command).splitlines()}


class Capture:
    """tshark at the near end of the cable, from `__enter__` to `finish`, into `file`."""

    def __init__(self, namespaces: Namespaces, file: Path) -> None:
        self.file = file
        self._namespaces = namespaces
        self._log = file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [*inside(self._namespaces.near), _tshark(), "-n", "-i", _INTERFACE, "-w", str(self.file)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=_environment()
            )
        # It may say that it captures before it does: what is seen of a mark shows that it does.
        eventually("the capture has begun", lambda: self._alive() and self._sees("the-capture-begins"), every=0.05)
        return self

    def finish(self) -> bytes:
        """End it once all that was sent before this call has been recorded; the bytes of the file."""
        eventually("the capture is whole", lambda: self._alive() and self._sees("the-capture-ends"), every=0.05)
        self._stop()
        return self.file.read_bytes()

    def fields(self, condition: str, *fields: str) -> list[tuple[str, ...]]:
        """What tshark reads in the packets of the file that meet its `condition`: a tuple for each."""
        command = [_tshark(), "-n", "-r", str(self.file), "-Y", condition, "-T", "fields"]
        for field in fields:
            command += ["-e", field]
        return [tuple(line.split("\t")) for line in _run(*command).splitlines()]

    def _sees(self, mark: str) -> bool:
        """Send a mark over the cable; whether one is in the file."""
        _run(*inside(self._namespaces.near), sys.executable, "-c", _SEND % _DISCARD, mark, FAR_ADDRESS)
        return self.file.exists() and mark.encode() in self.file.read_bytes()

    def _alive(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"tshark has ended:\n{self._log.read_text()}"
        return True

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def __exit__(self, *_: object) -> None:
        self._stop()


def inside(name: str) -> list[str]:
    """The words in front of a command line that run it in a namespace."""
    return ["ip", "netns", "exec", name]


def ip(*arguments: str) -> str:
    """iproute2's `ip`; what it prints. Raises AssertionError with its complaint if it fails."""
    return _run("ip", *arguments)


def _tshark() -> str:
    program = shutil.which("tshark")
    assert program is not None, "tshark is not installed: apt-get install --no-install-recommends tshark"
    return program


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env=_environment(), check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}"
    return done.stdout


def _environment() -> dict[str, str]:
    """Nobody's settings of tshark count, and Debian's own place for `ip` and `ss` is looked in."""
    return os.environ | {
        "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin",
        "WIRESHARK_CONFIG_DIR": "/nonexistent",
    }
