"""Pipelined load on the program, as a process of its own: `python -m tests.support.load HOST PORT PASSWORD`.

Twenty connections of sammy's keep 100 gets of app:load in flight each. Prints "running" once all have logged in; when
standard input ends, prints a JSON object with the number of replies and of those that were wrong.
"""

import json
import os
import select
import socket
import sys

CONNECTIONS = 20
IN_FLIGHT = 100
# Spelled so that the proxy has more to do than this process: every line has to be made canonical.
BATCH = b"get  app:load\r\n" * IN_FLIGHT
EXPECTED = (b"VALUE app:load 0 100\r\n" + b"v" * 100 + b"\r\nEND\r\n") * IN_FLIGHT


def main(host: str, port: int, password: str) -> None:
    os.nice(5)  # the test's own clients, which are measured, come first
    token = f"sammy {password}".encode()
    connections: dict[int, tuple[socket.socket, bytearray]] = {}
    poll = select.poll()
    for _ in range(CONNECTIONS):
        connection = socket.create_connection((host, port), 10)
        connection.sendall(b"set _ 0 0 %d\r\n%s\r\n" % (len(token), token))
        assert connection.recv(100) == b"STORED\r\n"
        connection.sendall(BATCH)
        connections[connection.fileno()] = (connection, bytearray())
        poll.register(connection, select.POLLIN)
    poll.register(0, select.POLLIN)
    print("running", flush=True)
    replies = wrong = 0
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == 0:
                for connection, _ in connections.values():
                    connection.close()
                print(json.dumps({"replies": replies, "wrong": wrong}), flush=True)
                return
            connection, received = connections[descriptor]
            data = connection.recv(1 << 16)
            assert data, "the proxy closed a connection"
            received += data
            if len(received) >= len(EXPECTED):
                replies += IN_FLIGHT
                wrong += received != EXPECTED
                received.clear()
                connection.sendall(BATCH)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
