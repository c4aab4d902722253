"""Clients that go on through restarts: `python -m tests.support.reconnecting PASSWORD AUTHORITY PLAIN_PORT TLS_PORT`.

Each has a counter of its own and adds to it in pipelines, beside gets. What a connection that closes between replies
has not answered is asked again on the next one: a proxy may close at any time, but what it has read it answers, so what
it has not answered it has not done. Each reply to an `incr` must be one more than the last: a request that was done and
not answered, or done twice, shows at once. Prints "running" once all have logged in; when standard input ends, prints
what came of it as a JSON object.
"""

import json
import socket
import ssl
import sys
import threading
from collections import Counter
from typing import Final

KEEPING: Final = 12
"""Clients on each port that keep their connection, with a pipeline in flight."""
COMING: Final = 4
"""Clients on each port that connect anew for each request."""
PIPELINE: Final = 20
KEEPING_PAUSE: Final = 0.01
COMING_PAUSE: Final = 0.05
"""Seconds between the rounds of a client: the proxy is to be busy, not the machine."""
PATIENCE: Final = 20.0
_GET: Final = b"get app:none\r\n"
_MISS: Final = b"END\r\n"


class Clients:
    def __init__(self, password: str, authority: str) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stop = threading.Event()
        self.token = b"set _ 0 0 %d\r\nsammy %s\r\n" % (len(password) + 6, password.encode())
        self.context = ssl.create_default_context(cafile=authority)
        self._lock = threading.Lock()

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def connect(self, port: int, tls: bool) -> socket.socket:
        """Logged in. A connection that is refused or reset before its login is answered is counted, and tried again."""
        while True:
            try:
                raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
            except OSError as error:
                self.count("refused connections")
                self.failures.append(f"connecting: {error}")
                raise
            try:
                connection = self.context.wrap_socket(raw, server_hostname="localhost") if tls else raw
                connection.sendall(self.token)
                answer = connection.recv(100)
            except TimeoutError:
                raise
            except OSError:
                answer = b""
            if answer == b"STORED\r\n":
                self.count("logins")
                return connection
            raw.close()
            assert not answer, f"the login was answered {answer!r}"
            self.count("logins cut")

    def live(self, key: bytes, port: int, tls: bool, keeps: bool, running: threading.Barrier) -> None:
        try:
            connection = self.connect(port, tls)
            running.wait()
            value = 0
            while not self.stop.wait(KEEPING_PAUSE if keeps else COMING_PAUSE):
                value, open_still = self._round(connection, key, value, PIPELINE if keeps else 1)
                if not open_still or not keeps:
                    connection.close()
                    connection = self.connect(port, tls)
            connection.close()
        except Exception as failure:
            self.failures.append(f"{key.decode()}: {type(failure).__name__}: {failure}")
            self.stop.set()
            running.abort()

    def _round(self, connection: socket.socket, key: bytes, value: int, size: int) -> tuple[int, bool]:
        """The counter's value, and whether the connection is open still."""
        received = bytearray()
        open_still = True
        try:
            connection.sendall((b"incr %s 1\r\n" % key + _GET) * size)
        except TimeoutError:
            raise
        except OSError:
            open_still = False  # what was answered before can be read all the same
        answered = 0
        while answered < size:
            at = received.find(_MISS)
            if at >= 0:
                reply = bytes(received[: at + len(_MISS)])
                expected = b"%d\r\n" % (value + 1) + _MISS
                assert reply == expected, f"{reply!r} instead of {expected!r}"
                del received[: len(reply)]
                value += 1
                answered += 1
                continue
            try:
                data = connection.recv(65536)
            except TimeoutError:
                raise
            except OSError:
                data = b""
            if not data:
                open_still = False
                break
            received += data
        if received:
            # The reply to the incr alone may have come: then the incr is done, and the get is to be asked again.
            assert bytes(received) == b"%d\r\n" % (value + 1), f"the end of a connection: {bytes(received)!r}"
            value += 1
        self.count("requests", 2 * answered + bool(received))
        if answered < size:
            self.count("asked again", 2 * (size - answered) - bool(received))
        if not open_still:
            self.count("closed between replies")
        return value, open_still


def main(password: str, authority: str, plain: int, tls: int) -> None:
    clients = Clients(password, authority)
    threads = []
    running = threading.Barrier(2 * (KEEPING + COMING) + 1)
    for port, encrypted in ((plain, False), (tls, True)):
        for number in range(KEEPING + COMING):
            key = b"app:%d-%d" % (port, number)
            with clients.connect(port, encrypted) as connection:
                connection.sendall(b"set %s 0 0 1\r\n0\r\n" % key)
                assert connection.recv(100) == b"STORED\r\n"
            how = (key, port, encrypted, number < KEEPING, running)
            threads.append(threading.Thread(target=clients.live, args=how, daemon=True))
    for thread in threads:
        thread.start()
    running.wait(PATIENCE)
    print("running", flush=True)
    sys.stdin.read()
    clients.stop.set()
    for thread in threads:
        thread.join(PATIENCE)
        if thread.is_alive():
            clients.failures.append("a client hangs")
    print(json.dumps({**clients.counts, "failures": clients.failures[:20]}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
