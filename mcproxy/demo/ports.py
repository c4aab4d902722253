"""Ports that are known beforehand where that is possible: what is printed today can be pasted again tomorrow."""

import errno
import os
import socket

from mcproxy.cli.errors import CommandError


def choose_port(wanted: int | None, usual: int, option: str) -> int:
    """The port of 127.0.0.1 to listen on, 0 for any: the one that was asked for, else the usual one if it is free.

    Raises CommandError if the one that was asked for can't be had.
    """
    port = usual if wanted is None else wanted
    with socket.socket() as probe:
        # As the server does: a connection of the last demonstration may still be in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as failure:
            if wanted is None and failure.errno == errno.EADDRINUSE:
                print(f"Port {usual} is taken; using another one ({option} chooses it).", flush=True)
                return 0
            raise CommandError(f"{option} {port}: {os.strerror(failure.errno or 0)}; name another one") from None
    return port
