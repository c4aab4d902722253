"""The real twemproxy (Debian's nutcracker) in front of real memcacheds, as a child process on unix sockets."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import yaml

from tests.support.memcached import Memcached
from tests.support.waiting import eventually

DOCUMENTED = Path(__file__).parents[2] / "config/nutcracker.yml"
"""What users are told to begin with; tests put their own addresses in it."""


class Twemproxy:
    """A context manager: the set-up of config/nutcracker.yml over `servers`, which listen on unix sockets."""

    def __init__(self, directory: Path, servers: Sequence[Memcached]) -> None:
        self._directory = directory
        self._servers = servers
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_path = directory / "twemproxy.sock"

    @property
    def address(self) -> str:
        """The address as the configuration file writes it."""
        return f"unix:{self.socket_path}"

    def start(self) -> Self:
        """Start it and return when it accepts connections."""
        program = shutil.which("nutcracker", path="/usr/sbin:" + os.environ.get("PATH", ""))
        assert program is not None, "nutcracker is not installed: apt-get install nutcracker"
        documented = yaml.safe_load(DOCUMENTED.read_text())
        (pool,) = documented.values()
        pool["listen"] = f"{self.socket_path} 0600"
        pool["servers"] = [f"{server.socket_path}:1 memcached{n}" for n, server in enumerate(self._servers)]
        configuration = self._directory / "nutcracker.yml"
        configuration.write_text(yaml.safe_dump(documented))
        self.socket_path.unlink(missing_ok=True)
        command = [program, "--conf-file", str(configuration), "--output", str(self._directory / "nutcracker.log")]
        # Its statistics cannot be switched off, and have no unix socket: on a loopback address of this process's own.
        command += ["--stats-addr", _own_loopback(), "--stats-port", "22222"]
        command += ["--pid-file", str(self._directory / "nutcracker.pid")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        eventually("twemproxy accepts", self._accepts)
        return self

    def stop(self) -> None:
        """End it by its process id and wait until it is gone."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._process = None

    def _accepts(self) -> bool:
        assert self._process is not None
        status = self._process.poll()
        assert status is None, f"twemproxy ended with status {status}"
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.socket_path)) == 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _own_loopback() -> str:
    """An address of 127.0.0.0/8 that no other test process has, as process ids are below 2^22."""
    process = os.getpid()
    return f"127.{64 + (process >> 16)}.{process >> 8 & 255}.{process & 255}"
