"""Clients that go on while something else happens: some keep their connection, some connect anew each time.

Each stores a value of its own and reads it again, in the text or the binary protocol, over TLS. Anything but the right
answers is a failure, and so is a handshake, a login or a connection that doesn't come about or is closed.
"""

import contextlib
import itertools
import ssl
import threading
from collections.abc import Callable

from tests.support import packets
from tests.support.conversation import Connection
from tests.support.proxy import Proxy, token

GET, SET = 0x00, 0x01


class SteadyClients:
    """Threads, from `start` to the end of the context, all of one user.

    `failures` are what went wrong; `rounds` and `logins` count what didn't.
    """

    def __init__(self, program: Proxy, user: str, password: str) -> None:
        self.failures: list[str] = []
        self.rounds = 0
        self.logins = 0
        self._program = program
        self._user, self._password = user, password
        self._context = program.certificates.client_context()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, *, keeping: int, coming: int) -> "SteadyClients":
        """So many of each protocol that keep their connection, and that come anew."""
        for binary in (False, True):
            for number in range(keeping + coming):
                name = f"{'binary' if binary else 'text'}-{number}"
                thread = threading.Thread(target=self._live, args=(name, binary, number < keeping), daemon=True)
                self._threads.append(thread)
                thread.start()
        return self

    def __enter__(self) -> "SteadyClients":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def _live(self, name: str, binary: bool, keeps: bool) -> None:
        numbers = itertools.count()
        talk: Callable[[Connection, bytes, bytes], None] = in_binary if binary else in_text
        try:
            while not self._stop.is_set():
                with contextlib.closing(self._connect(binary)) as connection:
                    while not self._stop.is_set():
                        number = next(numbers)
                        talk(connection, f"app:{name}".encode(), b"value %d of %s" % (number, name.encode()))
                        with self._lock:
                            self.rounds += 1
                        if not keeps:
                            break
        except Exception as failure:
            self.failures.append(f"{name}: {type(failure).__name__}: {failure}")

    def _connect(self, binary: bool) -> Connection:
        raw = self._program.connect_raw("tls")
        try:
            connection = Connection(self._context.wrap_socket(raw, server_hostname="localhost"))
        except (OSError, ssl.SSLError):
            raw.close()
            raise
        if binary:
            answer = connection.ask(packets.plain(self._user, self._password))
            assert answer.status == 0, f"no login: {answer}"
        else:
            connection.send(token(self._user, self._password))
            assert (line := connection.line()) == b"STORED\r\n", f"no login: {line!r}"
        with self._lock:
            self.logins += 1
        return connection


def in_text(connection: Connection, key: bytes, value: bytes) -> None:
    connection.send(b"set %s 0 0 %d\r\n%s\r\nget %s\r\n" % (key, len(value), value, key))
    expected = b"STORED\r\nVALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value)
    answer = connection.receive(len(expected))
    assert answer == expected, f"{answer!r} instead of {expected!r}"


def in_binary(connection: Connection, key: bytes, value: bytes) -> None:
    stored = connection.ask(packets.store(SET, key, value))
    assert stored.status == 0, f"not stored: {stored}"
    answer = connection.ask(packets.with_key(GET, key))
    assert (answer.status, answer.value) == (0, value), f"{answer} instead of {value!r}"
