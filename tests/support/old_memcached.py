"""What an old memcached says of itself. No such one can be had where the tests run, so this only claims to be one."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import packets

STATISTICS = {"settings": {"udpport": "11211", "domain_socket": "here", "auth_enabled_sasl": "no", "inter": "NULL"}}


@contextmanager
def old_memcached(path: Path, version: str) -> Iterator[None]:
    """Answers `version`, no-op and `stats` in both protocols, on a unix socket; it knows no meta commands."""
    statistics = {"": {"version": version, "pid": "0"}, **STATISTICS}

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(4096):
                answer = _in_binary(data, statistics) if data[0] == 0x80 else _in_text(data, statistics)
                self.request.sendall(answer)

    with socketserver.ThreadingUnixStreamServer(str(path), Conversation) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(10)
            path.unlink()


def _in_text(data: bytes, statistics: dict[str, dict[str, str]]) -> bytes:
    answer = b""
    for line in data.splitlines():
        command, _, group = line.decode().partition(" ")
        if command == "version":
            answer += f"VERSION {statistics['']['version']}\r\n".encode()
        elif command == "stats":
            answer += "".join(f"STAT {name} {value}\r\n" for name, value in statistics[group].items()).encode()
            answer += b"END\r\n"
        else:
            answer += b"ERROR\r\n"
    return answer


def _in_binary(data: bytes, statistics: dict[str, dict[str, str]]) -> bytes:
    answer = b""
    while data:
        _, opcode, _, _, _, _, length, opaque, cas = packets.HEADER.unpack(data[:24])
        body, data = data[24 : 24 + length], data[24 + length :]
        rows = {}
        if opcode == packets.STAT:
            rows = statistics[body.decode()]
        elif opcode == packets.VERSION:
            body = statistics[""]["version"].encode()
            answer += packets.HEADER.pack(0x81, opcode, 0, 0, 0, 0, len(body), opaque, cas) + body
            continue
        for name, value in {**rows, "": ""}.items():
            header = (0x81, opcode, len(name), 0, 0, 0, len(name) + len(value), opaque, cas)
            answer += packets.HEADER.pack(*header) + name.encode() + value.encode()
    return answer
