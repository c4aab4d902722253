"""Everything that is listened on: what a parent has handed over, and for the rest what is bound here."""

import contextlib
import socket
from collections.abc import Iterator
from typing import NamedTuple

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.schema import Settings
from mcproxy.observe.log import get_logger
from mcproxy.server import sockets
from mcproxy.server.inherited import InheritedSockets

log = get_logger()
Addresses = dict[str, list[str]]


class Listening(NamedTuple):
    """A socket of a listener, "admin" or "health".

    `shared`: other workers accept from it too. `lasting`: it was inherited, and goes on when this process ends.
    """

    name: str
    sock: socket.socket
    shared: bool = False
    lasting: bool = False


class Opened(NamedTuple):
    """`of_each` worker what it accepts from, all the same for sockets that are shared; `admin` by "admin" and "health".

    They close with the stack that they were opened with; `own` closes those of `of_each` that are not lasting.
    """

    of_each: list[list[Listening]]
    admin: dict[str, list[socket.socket]]
    own: contextlib.ExitStack
    inherited: frozenset[socket.socket]

    def addresses(self) -> Addresses:
        """Those of each, the admin port's two among them."""
        addresses: Addresses = {}
        for name, sock in self._each():
            addresses.setdefault(name, []).append(sockets.describe(sock))
        return addresses

    def log(self) -> None:
        """Say where each listens: ports may be the kernel's choice."""
        for name, sock in self._each():
            from_parent = {"inherited": True} if sock in self.inherited else {}
            log.info("listening", listener=name, address=sockets.describe(sock), **from_parent)

    def _each(self) -> Iterator[tuple[str, socket.socket]]:
        # What workers have on one address, each his own, is told once.
        for name, sock, _, _ in self.of_each[0]:
            yield name, sock
        for name, of_name in self.admin.items():
            for sock in of_name:
                yield name, sock


def open_listeners(
    settings: Settings, inherited: InheritedSockets, stack: contextlib.ExitStack, *, workers: int = 1
) -> Opened:
    """Raises BindError; what was opened until then closes with the stack."""
    stack.callback(inherited.close)
    inherited.assign(settings)
    own = stack.enter_context(contextlib.ExitStack())
    of_each: list[list[Listening]] = [[] for _ in range(workers)]
    for name, listener in settings.listeners.items():
        for address in listener.bind:
            if handed_over := inherited.take(name, address):
                for sock in handed_over:
                    for mine in of_each:
                        mine.append(Listening(name, sock, shared=workers > 1, lasting=True))
                continue
            opened = _open(address, listener.mode, listener.group, workers)
            for sock in dict.fromkeys(opened):
                own.callback(sockets.close, sock)
            shared = workers > 1 and isinstance(address, UnixAddress)
            for mine, sock in zip(of_each, opened, strict=True):
                mine.append(Listening(name, sock, shared))
    admin = {}
    for name, bound in (("admin", settings.admin.bind), ("health", settings.admin.health_bind)):
        if bound is not None:
            admin[name] = list(inherited.take(name, bound))
            if not admin[name]:
                sock = sockets.listen(bound)
                stack.callback(sockets.close, sock)
                admin[name] = [sock]
    return Opened(of_each, admin, own, inherited.sockets)


def _open(address: TcpAddress | UnixAddress, mode: int, group: str | int | None, workers: int) -> list[socket.socket]:
    """A socket for each worker. On a TCP address each has one of its own, a unix socket is the same for all."""
    if isinstance(address, TcpAddress) and workers > 1:
        return sockets.listen_apart(address, workers)
    return [sockets.listen(address, mode, group)] * workers
