"""The real haproxy as a load balancer, as a child process on ports that the kernel chose."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

BALANCER = "127.0.0.2"
"""The address that haproxy connects from."""

DOCUMENTED = Path(__file__).parents[2] / "config/haproxy.cfg"
"""What users are told to begin with."""

_HEAD = """\
global
    maxconn 200
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout check 5s
    default-server inter 100ms fall 1000
"""


@dataclass(frozen=True)
class Frontend:
    """Where haproxy passes connections on to, and the options of its server line, such as `send-proxy`.

    `listen` is the address to listen on, `more` further lines of the section. `others` are addresses and options of
    further servers, among which it chooses.
    """

    address: str
    options: str
    listen: str = "127.0.0.1"
    more: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()


class Haproxy:
    """A context manager. haproxy inherits its listening sockets, so no port is chosen by anybody but the kernel."""

    def __init__(self, directory: Path, frontends: Mapping[str, Frontend]) -> None:
        self._directory = directory
        self._frontends = dict(frontends)
        self._ends = ExitStack()
        self._ports: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        program = shutil.which("haproxy", path="/usr/sbin:" + os.environ.get("PATH", ""))
        assert program is not None, "haproxy is not installed: apt-get install haproxy"
        sections = [_HEAD]
        with self._ends as ends:
            listening = {name: ends.enter_context(_listener(front.listen)) for name, front in self._frontends.items()}
            for name, front in self._frontends.items():
                self._ports[name] = listening[name].getsockname()[:2]
                lines = [f"listen {name}", f"    bind fd@{listening[name].fileno()}"]
                lines += [f"    {line}" for line in front.more]
                for number, (address, options) in enumerate([(front.address, front.options), *front.others]):
                    lines.append(f"    server program{number} {address} source {BALANCER} {options}")
                sections.append("\n".join(lines) + "\n")
            configuration = self._directory / "haproxy.cfg"
            configuration.write_text("".join(sections))
            process = subprocess.Popen(
                [program, "-q", "-db", "-f", str(configuration)],
                stdin=subprocess.DEVNULL,
                pass_fds=[sock.fileno() for sock in listening.values()],
            )
            ends.callback(_end, process)
            self._ends = ends.pop_all()
        return self

    def connect(self, name: str, source: str | None = None) -> socket.socket:
        """A client's socket; whoever calls this closes it. It may connect at once: the socket listens already."""
        return socket.create_connection(self._ports[name], 10.0, (source, 0) if source else None)

    def __exit__(self, *_: object) -> None:
        self._ends.close()


def documented() -> tuple[str, ...]:
    """The lines of its section `listen`, but for those with addresses, which tests have their own of."""
    section = DOCUMENTED.read_text().partition("\nlisten ")[2].splitlines()[1:]
    lines = [line.partition(" #")[0].strip() for line in section]
    return tuple(
        line for line in lines if line and line[0] != "#" and line.split()[0] not in ("bind", "source", "server")
    )


def _listener(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.bind((host, 0))
    sock.listen(128)
    return sock


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    assert process.wait(10) is not None
