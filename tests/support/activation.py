"""A parent that keeps listening sockets and hands them over, as systemd's socket units do (sd_listen_fds(3))."""

import socket
from collections.abc import Mapping

from tests.support.proxy import Proxy


def hand_over(program: Proxy, sockets: Mapping[str, socket.socket]) -> None:
    """Have a program that is still to be started inherit these, each with its name."""
    numbers = [sock.fileno() for sock in sockets.values()]
    # They must have the numbers from 3 on, and LISTEN_PID is known to nobody but the process itself. First out of the
    # way: one may have another's number.
    moves = [f"{spare}<&{number}" for spare, number in enumerate(numbers, 200)]
    places = [f"{place}<&{spare}" for place, spare in enumerate(range(200, 200 + len(numbers)), 3)]
    closes = [f"{spare}<&-" for spare in range(200, 200 + len(numbers))]
    script = (
        f"exec {' '.join(moves)} && exec {' '.join(places)} && exec {' '.join(closes)} && "
        f'LISTEN_PID=$$ LISTEN_FDS={len(numbers)} LISTEN_FDNAMES={":".join(sockets)} exec "$@"'
    )
    # Not sh: dash knows descriptors of one digit only.
    program.runner = ["bash", "-c", script, "bash"]
    program.inherited = numbers


def listening(family: socket.AddressFamily = socket.AF_INET, address: object = ("127.0.0.1", 0)) -> socket.socket:
    """A listening stream socket."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind(address)  # type: ignore[arg-type]  # a path or a pair, as the family has it
    sock.listen(128)
    return sock
