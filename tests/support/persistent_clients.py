"""Clients that never give up, for a machine of a test: eight at a time connect, log in, ask, and connect again.

Run as a program with the standard library alone: `old` ones speak binary to memcached -S at 10.0.0.5:11211, `new` ones
text over TLS to mcproxy at 10.0.0.5:11212. They go on until the file named second is there; then what was counted is
printed.
"""

import collections
import json
import socket
import ssl
import struct
import sys
import threading
import time
from pathlib import Path

HOST = "10.0.0.5"
USER, PASSWORD = b"sammy", b"correct-horse"
CERTIFICATE = Path("/etc/mcproxy/tls/tls.crt")


class Lost(Exception):
    """The other side has closed between two replies, as it may."""


class Old:
    """SASL PLAIN, then NOOPs, in the binary protocol."""

    port = 11211

    def connect(self, raw: socket.socket) -> socket.socket:
        return raw

    def log_in(self, connection: socket.socket) -> bool:
        response = b"\0" + USER + b"\0" + PASSWORD
        return self._ask(connection, 0x21, b"PLAIN", response) == 0

    def request(self, connection: socket.socket) -> bool:
        return self._ask(connection, 0x0A, b"", b"") == 0

    def _ask(self, connection: socket.socket, opcode: int, key: bytes, value: bytes) -> int:
        head = struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), 0, 0, 0, len(key) + len(value), 0, 0)
        connection.sendall(head + key + value)
        reply = receive(connection, 24)
        receive(connection, int.from_bytes(reply[8:12], "big"))
        return int.from_bytes(reply[6:8], "big")


class New:
    """The token, then `get`s, in text over TLS."""

    port = 11212

    def __init__(self) -> None:
        self._context = ssl.create_default_context(cafile=str(CERTIFICATE))

    def connect(self, raw: socket.socket) -> socket.socket:
        return self._context.wrap_socket(raw, server_hostname=HOST)

    def log_in(self, connection: socket.socket) -> bool:
        token = USER + b" " + PASSWORD
        connection.sendall(b"set login 0 0 %d\r\n%s\r\n" % (len(token), token))
        return receive(connection, 8) == b"STORED\r\n"

    def request(self, connection: socket.socket) -> bool:
        connection.sendall(b"get nothing\r\n")
        answer = receive(connection, 5)
        if answer == b"END\r\n":
            return True
        while not answer.endswith(b"\r\n"):
            answer += receive(connection, 1)
        return False


def receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        try:
            piece = connection.recv(size - len(received))
        except (ConnectionError, ssl.SSLEOFError):
            piece = b""
        if not piece:
            raise Lost
        received += piece
    return received


def client(kind: "Old | New", counts: "collections.Counter[str]", end: Path) -> None:
    """Counts: connections; requests answered; errors, answers that say no; refused, and failed, connections."""
    while not end.exists():
        try:
            raw = socket.create_connection((HOST, kind.port), timeout=30)
        except OSError:
            counts["refused"] += 1
            time.sleep(0.05)
            continue
        with raw:
            try:
                connection = kind.connect(raw)
                logged_in = kind.log_in(connection)
            except (OSError, Lost):
                counts["failed"] += 1
                continue
            with connection:
                counts["connections" if logged_in else "failed"] += 1
                try:
                    while logged_in and not end.exists():
                        counts["requests" if kind.request(connection) else "errors"] += 1
                        time.sleep(0.02)
                except Lost:
                    pass
                except OSError:
                    pass  # the next request met a connection that is closed already


def main() -> None:
    kind = {"old": Old, "new": New}[sys.argv[1]]()
    counts = collections.Counter(dict.fromkeys(("connections", "requests", "errors", "refused", "failed"), 0))
    threads = [threading.Thread(target=client, args=(kind, counts, Path(sys.argv[2]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
