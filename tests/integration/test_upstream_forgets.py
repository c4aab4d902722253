"""Upstream forgets in mid-session who we are (case 26), in both protocols, with memcacheds that want a login.

What forgets stands before the memcached: it goes on with another connection to it, on which nobody has logged in.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.support.certificates import Certificates
from tests.support.gateway import PASSWORD, USER, gateway, sasl_login, secret_file, token_login
from tests.support.memcached import Memcached, with_sasl, with_token
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

HIT = b"VALUE k 0 5\r\nvalue\r\nEND\r\n"
LOST = b"SERVER_ERROR upstream connection lost\r\n"
ASKING = {"get": b"get k\r\n", "set": b"set k 0 0 5\r\nvalue\r\n", "mg": b"mg k v\r\n", "delete": b"delete none\r\n"}


class Forgetful:
    """Passes bytes on to `memcached` and back."""

    def __init__(self, memcached: Memcached) -> None:
        self._memcached = memcached
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._ways_up: dict[socket.socket, socket.socket] = {}
        self.connections = 0

    @property
    def address(self) -> str:
        """The address as the configuration file writes it."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def forget(self) -> None:
        """To be called while nothing is in flight."""
        for down, up in list(self._ways_up.items()):
            self._ways_up[down] = self._memcached.connect()
            self._spawn(self._downward, down, self._ways_up[down])
            close(up)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._ways_up, *self._ways_up.values()):
            close(each)
        for thread in self._threads:
            thread.join(timeout=10)
            assert not thread.is_alive()

    def _spawn(self, function: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                down, _ = self._listener.accept()
                self._ways_up[down] = self._memcached.connect()
                self.connections += 1
                self._spawn(self._downward, down, self._ways_up[down])
                self._spawn(self._upward, down)

    def _upward(self, down: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := down.recv(1 << 16):
                self._ways_up[down].sendall(data)
        close(self._ways_up.pop(down))
        down.close()

    def _downward(self, down: socket.socket, up: socket.socket) -> None:
        with contextlib.suppress(OSError):
            up.settimeout(None)
            while data := up.recv(1 << 16):
                down.sendall(data)
        if self._ways_up.get(down) is up:
            close(down)
        up.close()


def close(connection: socket.socket) -> None:
    """Also for whoever is reading from it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.fixture(scope="module", params=["text", "binary"])
def running(
    request: pytest.FixtureRequest, short_path: Callable[[], Path], certificates: Certificates
) -> Iterator[tuple[Proxy, Forgetful]]:
    directory, file = short_path(), secret_file(short_path())
    users = {USER: PASSWORD}
    text = request.param == "text"
    with (
        with_token(directory, users) if text else with_sasl(directory, users) as memcached,
        Forgetful(memcached) as way,
    ):
        login = token_login(file) if text else sasl_login("PLAIN", file)
        upstream = {"address": way.address, "protocol": request.param, "login": login}
        program = gateway(short_path(), certificates, {"cache": upstream}, ["text"])
        try:
            yield program.start(), way
        finally:
            program.assert_good_end()


@pytest.mark.parametrize("asked", ASKING)
def test_one_new_login_and_no_word_of_it(running: tuple[Proxy, Forgetful], asked: str) -> None:
    """The client whose request found it out gets SERVER_ERROR, and its session goes on."""
    program, way = running
    with program.connect("cache-none") as connection:

        def served() -> bool:
            connection.send(b"set k 0 0 5\r\nvalue\r\n")
            return connection.line() == b"STORED\r\n"

        eventually("there is a link", served)
        before, lost = way.connections, len(program.events("upstream_link_lost"))
        way.forget()
        connection.send(ASKING[asked])
        assert connection.line() == LOST
        eventually("it has logged in again", served)
        connection.send(b"get k\r\n")
        assert connection.receive(len(HIT)) == HIT
    assert way.connections == before + 1
    (line,) = program.events("upstream_link_lost")[lost:]
    assert line["reason"] == "upstream asks for a login"
    assert program.events("upstream_unavailable") == []
