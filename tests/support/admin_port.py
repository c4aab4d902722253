"""Requests to a program's admin port as a browser, a scraper or a stranger may make them."""

import json
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, NamedTuple

from tests.support.conversation import TIMEOUT
from tests.support.proxy import Proxy


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask_admin(
    program: Proxy,
    path: str,
    *,
    method: str = "GET",
    host: str = "localhost",
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """The answer to one request, over TLS with a `context`. Raises OSError where there is none."""
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: {host}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    with connected(program, context) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        body = answer.read()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


def connected(program: Proxy, context: ssl.SSLContext | None = None) -> socket.socket:
    """A connection to the admin port; the handshake of a client's certificate may still fail. Raises OSError."""
    raw = socket.create_connection(program.host_and_port("admin"), TIMEOUT)
    if context is None:
        return raw
    try:
        return context.wrap_socket(raw, server_hostname="localhost")
    except OSError:
        raw.close()
        raise


def status_of(program: Proxy) -> dict[str, Any]:
    """What /status.json holds, of a program whose admin port is open to everybody on this machine."""
    answer = ask_admin(program, "/status.json")
    assert answer.status == 200, answer
    status: dict[str, Any] = json.loads(answer.body)
    return status
