"""The real memcached, as a child process that only the tests can reach; plain, or as it is secured (-S, -Y, -Z)."""

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.support.certificates import Certificates
from tests.support.waiting import eventually


class Memcached:
    """Debian's memcached on a unix socket, or on a port of 127.0.0.1 that the kernel chose.

    `options` go to memcached as they are (`"-I", "8m"`). Use it as a context manager, or call `start` and `stop`;
    it may be started again after a stop and then listens on the same unix socket, empty. `environment` is added to
    its own; `tls` is what `connect` uses where the options ask for it.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        tcp: bool = False,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.directory = directory
        self.options = options
        self.tcp = tcp
        self.threads = threads
        self.environment = dict(environment or {})
        self.tls = tls
        self.socket_path = directory / "m"  # short: see short_path
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
        environment = {**os.environ, **self.environment}
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

    def kill(self) -> None:
        """End it at once. A memcached that is asked to takes a second, if it has had clients."""
        if self.process is not None:
            self.process.kill()
            self.stop()

    def connect(self) -> socket.socket:
        """A plain connection to it, past every proxy and tap."""
        if self.tcp:
            raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
            return self.tls.wrap_socket(raw, server_hostname="localhost") if self.tls else raw
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


def with_sasl(
    directory: Path,
    passwords: Mapping[str, str],
    *options: str,
    mechanisms: str = "PLAIN SCRAM-SHA-256",
    certificates: Certificates | None = None,
) -> Memcached:
    """A memcached -S whose users are in a sasldb2, and -Z with `certificates`, of which clients must show one then.

    The users' realm is this machine's name, which memcached looks for as well.
    """
    database = directory / "sasldb2"
    for name, password in passwords.items():
        cyrus = ["saslpasswd2", "-p", "-a", "memcached", "-c", "-f", str(database), name]
        subprocess.run(cyrus, input=password.encode(), check=True)
    settings = f"mech_list: {mechanisms}\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
    (directory / "memcached.conf").write_text(settings)
    secured = ["-S", *options]
    if certificates is not None:
        secured += ["-Z", "-o", f"{_tls(certificates)},ssl_verify_mode=2"]
    tls = certificates.client_context(with_certificate=True) if certificates else None
    return Memcached(directory, *secured, tcp=True, environment={"SASL_CONF_PATH": str(directory)}, tls=tls)


def with_token(
    directory: Path, passwords: Mapping[str, str], *options: str, certificates: Certificates | None = None
) -> Memcached:
    """A memcached -Y, whose users log in over the text protocol, and -Z with `certificates`."""
    users = directory / "users"
    users.write_text("".join(f"{name}:{password}\n" for name, password in passwords.items()))
    secured = ["-Y", str(users), *options]
    if certificates is not None:
        secured += ["-Z", "-o", _tls(certificates)]
    tls = certificates.client_context() if certificates else None
    return Memcached(directory, *secured, tcp=True, tls=tls)


def _tls(certificates: Certificates) -> str:
    """The options of -Z, for -o."""
    files = f"ssl_chain_cert={certificates.server_certificate},ssl_key={certificates.server_key}"
    return f"{files},ssl_ca_cert={certificates.authority}"
