"""A deployment that nothing was asked of, for examinations that look at the configuration or at one address alone."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mcproxy.auth.users import Users
from mcproxy.config.addresses import TcpAddress, parse_ip
from mcproxy.config.load import Reading
from mcproxy.config.material import Material
from mcproxy.doctor.deployment import Asked, Deployment
from mcproxy.doctor.upstream_facts import UpstreamFacts
from mcproxy.doctor.verdicts import Result

LISTENER = {"bind": ["10.0.0.5:11212"], "allow": ["10.0.0.0/24"], "authentication": ["sasl"], "plaintext": True}


def deployment(
    listener: dict[str, Any] | None = None,
    *,
    users: Users | None = None,
    facts: UpstreamFacts | None = None,
    status: dict[str, Any] | None = None,
    addresses: tuple[str, ...] = ("127.0.0.1", "10.0.0.5"),
    sources: tuple[str, ...] = (),
    user: str | None = None,
    password: str | None = None,
    **sections: Any,
) -> Deployment:
    """With one listener called `private`, an upstream on loopback, and these sections; no file is looked at."""
    settings: dict[str, Any] = {
        "listeners": {"private": {**LISTENER, **(listener or {})}},
        "upstream": {"address": "127.0.0.1:11211"},
        "users_file": "/nonexistent/users",
        **sections,
    }
    path = Path("/nonexistent/mcproxy.yaml")
    text = yaml.safe_dump({key: value for key, value in settings.items() if value is not None})
    material = Reading(text, path, files={}, check_machine=False, stand_in_key=lambda _: None).material()
    if users is not None:
        material = Material(path, text, {}, material.settings, users, None)
    known = {"upstream": UpstreamFacts() if facts is None else facts}
    asked = Asked(path, user, password, sources)
    addresses_up = [one.address for one in material.settings.all_upstreams.values()]
    literal = [one.host for one in addresses_up if isinstance(one, TcpAddress) and parse_ip(one.host) is not None]
    hosts = {host: (host,) for host in literal}
    return Deployment(asked, material, (), status, "it was not asked", known, addresses, (), (), hosts)


def told(results: list[Result]) -> list[tuple[str, str]]:
    """Verdict and what was seen."""
    return [(str(result.verdict), result.seen) for result in results]


@contextmanager
def answering(talk: Callable[[socket.socket], None], most: int = 1) -> Iterator[TcpAddress]:
    """Somebody who talks to `most` connections, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(most):
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield TcpAddress("127.0.0.1", listener.getsockname()[1])
        thread.join(10)


def says(words: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(words)

    return talk
