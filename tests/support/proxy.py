"""The real program as a child process: start it, talk to it, read its log and metrics, stop it, and look at its end."""

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, write_configuration, write_users
from tests.support.conversation import TIMEOUT, Connection
from tests.support.haproxy import BALANCER
from tests.support.program_log import ProgramLog
from tests.support.waiting import eventually

BAD_SIGNS = ("Traceback (most recent call last)", "unretrieved", "never retrieved", "ResourceWarning", "never awaited")
"""What no log of the program may hold, whatever a test did to it."""


class Proxy:
    """`python -m mcproxy run` with a configuration and users file of its own in `directory`."""

    def __init__(self, directory: Path, settings: Mapping[str, Any], certificates: Certificates) -> None:
        self.directory = directory
        self.settings = settings
        self.certificates = certificates
        # Words in front of the command line, such as those that run it in another network namespace.
        self.runner: Sequence[str] = ()
        # Descriptors that it inherits.
        self.inherited: Sequence[int] = ()
        self.configuration_path = directory / "mcproxy.yaml"
        self._log = ProgramLog()
        self.process: subprocess.Popen[bytes] | None = None
        self._connections: list[Connection] = []

    def start(self) -> Self:
        """Start it and return when it logs `ready`. Raises AssertionError with its log if it ends instead."""
        if not (self.directory / "users").exists():
            write_users(self.directory / "users", PASSWORDS)
        write_configuration(self.configuration_path, self.settings)
        command = [*self.runner, sys.executable, "-W", "always::ResourceWarning", "-m", "mcproxy", "run"]
        command += ["--config", str(self.configuration_path)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=self.inherited,
        )
        assert self.process.stdout is not None
        self._log.follow(self.process.stdout)
        eventually("the program is ready", lambda: self._running() and self.log_contains("started"), within=20)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def address(self, listener: str, index: int = 0) -> str:
        """Where a listener listens: "127.0.0.1:40001", "[::1]:40001" or "unix:/path"."""
        addresses = [str(record["address"]) for record in self.events("listening", listener=listener)]
        assert len(addresses) > index, f"no listener {listener!r} in the log:\n{self}"
        return addresses[index]

    def host_and_port(self, listener: str, index: int = 0) -> tuple[str, int]:
        host, _, port = self.address(listener, index).rpartition(":")
        return host.strip("[]"), int(port)

    def connect(
        self, listener: str = "plain", *, source: str | None = None, host: str | None = None, certificate: bool = False
    ) -> Connection:
        """A connection to a listener, with TLS where it is configured, which `stop` closes if the test doesn't.

        `source` is the address to come from, `host` another one to connect to, `certificate` shows a client's own. A
        source of 10.0.0.0/8 is what a balancer's PROXY header says, for listeners that have BEHIND.
        """
        raw = self.connect_raw(listener, source=source, host=host)
        if "tls" in self.settings["listeners"][listener]:
            context = self.certificates.client_context(with_certificate=certificate)
            try:
                raw = context.wrap_socket(raw, server_hostname="localhost")
            except OSError:
                raw.close()
                raise
        connection = Connection(raw)
        self._connections.append(connection)
        return connection

    def connect_raw(self, listener: str, *, source: str | None = None, host: str | None = None) -> socket.socket:
        """The bare socket; whoever calls this closes it."""
        address = self.address(listener)
        if address.startswith("unix:"):
            raw = socket.socket(socket.AF_UNIX)
            raw.settimeout(TIMEOUT)
            raw.connect(address.removeprefix("unix:"))
            return raw
        their_host, port = self.host_and_port(listener)
        conveyed = source is not None and source.startswith("10.")
        comes_from = BALANCER if conveyed else source
        raw = socket.create_connection((host or their_host, port), TIMEOUT, (comes_from, 0) if comes_from else None)
        if conveyed:
            raw.sendall(f"PROXY TCP4 {source} 10.255.255.255 1024 {port}\r\n".encode())
        return raw

    def logged_in(self, user: str = "root", listener: str = "plain", **how: Any) -> Connection:
        """A text connection that has logged in with the token."""
        connection = self.connect(listener, **how)
        connection.send(token(user))
        answer = connection.line()
        assert answer == b"STORED\r\n", f"{user} could not log in: {answer!r}\n{self}"
        return connection

    def logged_in_binary(self, user: str = "root", listener: str = "plain", **how: Any) -> Connection:
        """A binary connection that has logged in with SASL PLAIN."""
        connection = self.connect(listener, **how)
        answer = connection.ask(packets.plain(user, PASSWORDS[user]))
        assert answer.status == 0, f"{user} could not log in: {answer}\n{self}"
        return connection

    def events(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The log's records of this event whose fields have these values."""
        return [
            record
            for record in self._log.records
            if record.get("event") == event and all(record.get(name) == value for name, value in fields.items())
        ]

    def records(self) -> list[dict[str, Any]]:
        """The log's records so far."""
        return self._log.records

    @property
    def log(self) -> list[str]:
        """The log's lines so far."""
        return self._log.lines

    def log_contains(self, event: str, **fields: Any) -> bool:
        return bool(self.events(event, **fields))

    def metric(self, name: str, **labels: str) -> float:
        """The sum of this metric's samples that have these labels; 0 if there are none."""
        status, body = self.http("/metrics")
        assert status == 200, f"/metrics answered {status}"
        return sum(
            sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
            if sample.name == name and all(sample.labels.get(label) == value for label, value in labels.items())
        )

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of a GET on the admin port."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{self.address('admin')}{path}", timeout=TIMEOUT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def close_connections(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def stop(self, within: float = 15.0) -> int:
        """SIGTERM, and its exit status. Raises AssertionError if it does not end in time."""
        assert self.process is not None
        self.close_connections()
        # A second one would cut the end short.
        if self.process.poll() is None and not self.log_contains("stopping"):
            self.process.send_signal(signal.SIGTERM)
        return self._wait(within)

    def kill(self) -> None:
        """SIGKILL, for what a test could not stop."""
        assert self.process is not None
        self.close_connections()
        self.process.kill()
        self._wait(10)

    def assert_good_end(self) -> None:
        """Stop it: status 0, and a log without a trace of something unforeseen."""
        try:
            status = self.stop()
        except AssertionError:
            self.kill()
            raise
        assert status == 0, f"exit status {status}\n{self}"
        for sign in BAD_SIGNS:
            assert not any(sign in line for line in self.log), f"{sign!r} in the log\n{self}"

    def _running(self) -> bool:
        assert self.process is not None
        status = self.process.poll()
        if status is not None:
            self._log.finish(5)
        assert status is None, f"the program ended with status {status}\n{self}"
        return True

    def _wait(self, within: float) -> int:
        assert self.process is not None
        start = time.monotonic()
        try:
            status = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running {time.monotonic() - start:.0f} s after SIGTERM\n{self}") from None
        self._log.finish(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def __str__(self) -> str:
        return "the program's log ends with\n  " + "\n  ".join(self.log[-30:])


def token(user: str, password: str | None = None, head: bytes = b"set _ 0 0") -> bytes:
    """The text login: a `set` whose value is name, space, password."""
    value = f"{user} {PASSWORDS[user] if password is None else password}".encode()
    return head + b" %d\r\n%s\r\n" % (len(value), value)
