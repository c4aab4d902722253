"""The real memcached, as a child process that only the tests can reach."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.support.waiting import eventually


class Memcached:
    """Debian's memcached on a unix socket, or on a port of 127.0.0.1 that the kernel chose.

    `options` go to memcached as they are (`"-I", "8m"`). Use it as a context manager, or call `start` and `stop`;
    it may be started again after a stop and then listens on the same unix socket, empty.
    """

    def __init__(self, directory: Path, *options: str, tcp: bool = False, threads: int = 1) -> None:
        self.directory = directory
        self.options = options
        self.tcp = tcp
        self.threads = threads
        self.socket_path = directory / "memcached.sock"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The address as the configuration file writes it."""
        return f"127.0.0.1:{self.port}" if self.tcp else f"unix:{self.socket_path}"

    def start(self) -> Self:
        """Start it and return when it accepts connections."""
        assert self.process is None, "already started"
        program = shutil.which("memcached", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
        assert program is not None, "memcached is not installed: apt-get install memcached"
        command = [program, "-U", "0", "-t", str(self.threads), *self.options]
        environment = dict(os.environ)
        port_file = self.directory / "memcached.port"
        if os.geteuid() == 0:
            command += ["-u", "root"]  # it refuses to run as root unless told so
        if self.tcp:
            port_file.unlink(missing_ok=True)
            environment["MEMCACHED_PORT_FILENAME"] = str(port_file)
            command += ["-l", "127.0.0.1", "-p", "-1"]
        else:
            self.socket_path.unlink(missing_ok=True)
            command += ["-s", str(self.socket_path), "-a", "0700"]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        if self.tcp:
            eventually("memcached wrote its port", lambda: self._alive() and port_file.exists())
            self.port = int(port_file.read_text().split()[2])
        eventually("memcached accepts", self._accepts)
        return self

    def stop(self) -> None:
        """End it by its process id and wait until it is gone."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=10)
            self.process = None

    def connect(self) -> socket.socket:
        """A plain connection to it, past every proxy and tap."""
        if self.tcp:
            return socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        try:
            connection.connect(str(self.socket_path))
        except OSError:
            connection.close()
            raise
        return connection

    def statistics(self) -> dict[str, str]:
        """What `stats` says."""
        received = b""
        with self.connect() as connection:
            connection.sendall(b"stats\r\n")
            while not received.endswith(b"END\r\n"):
                received += connection.recv(65536)
        rows = [line.split(" ", 2) for line in received.decode().splitlines() if line.startswith("STAT ")]
        return {name: value for _, name, value in rows}

    def _alive(self) -> bool:
        assert self.process is not None
        status = self.process.poll()
        assert status is None, f"memcached ended with status {status}"
        return True

    def _accepts(self) -> bool:
        self._alive()
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
