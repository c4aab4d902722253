"""Listening sockets that are there already: those of systemd's socket units, or of any parent that does as it does.

sd_listen_fds(3): LISTEN_FDS says how many there are, from descriptor 3 on, LISTEN_PID whom they are for, and
LISTEN_FDNAMES what they are called. Such a socket takes the place of binding where it stands for an address of the
configuration. It goes on without us: it is neither shut down, nor is its file removed, and what waits in its queue when
this process ends is for the next.
"""

import os
import socket
import stat
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Final, NamedTuple, Self

from mcproxy.config.addresses import TcpAddress, UnixAddress, parse_ip
from mcproxy.config.schema import Settings
from mcproxy.server.sockets import BindError

FIRST: Final = 3
"""SD_LISTEN_FDS_START."""
MOST: Final = 4096
"""Sockets: more than any service has; the descriptors beyond are not tried one by one."""
Address = TcpAddress | UnixAddress


class _Place(NamedTuple):
    """Where the configuration wants somebody to listen. `mode` and `group` are those of a unix socket's file."""

    name: str
    address: Address
    mode: int
    group: str | int | None


class InheritedSockets:
    """`sockets` by the name that they were given, "" for none; theirs are the addresses that nobody else may bind."""

    def __init__(self, sockets: list[tuple[str, socket.socket]]) -> None:
        self._sockets = sockets
        self._assigned: dict[tuple[str, Address], list[socket.socket]] = {}

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self:
        """Takes the variables out of the environment, and the sockets over. Raises BindError."""
        process = environment.pop("LISTEN_PID", "")
        count = environment.pop("LISTEN_FDS", "")
        names = environment.pop("LISTEN_FDNAMES", "").split(":")
        if process != str(os.getpid()) or not count:
            return cls([])  # they were for a parent of ours
        # Its length first: Python doesn't read numbers of thousands of digits.
        if not (count.isascii() and count.isdigit() and len(count) <= len(str(MOST)) and int(count) <= MOST):
            raise BindError(f"LISTEN_FDS is not a number up to {MOST}")
        found = []
        for index in range(int(count)):
            name = names[index] if index < len(names) else ""
            found.append((name, _take_over(FIRST + index, name)))
        return cls(found)

    def assign(self, settings: Settings) -> None:
        """Find out what each is for. To be called before `take`. Raises BindError for one that fits nowhere."""
        places = list(_places(settings))
        for name, sock in self._sockets:
            place = _place_of(name, sock, places)
            if isinstance(place.address, UnixAddress):
                _check_file(name, sock, place)
            self._assigned.setdefault((place.name, place.address), []).append(sock)

    def take(self, name: str, address: Address) -> list[socket.socket]:
        """The sockets for this address of a listener, "admin" or "health"; none if it is to be bound."""
        return self._assigned.get((name, address), [])

    @property
    def sockets(self) -> frozenset[socket.socket]:
        """All of them."""
        return frozenset(sock for _, sock in self._sockets)

    def close(self) -> None:
        """Give up this process's hold on them."""
        for _, sock in self._sockets:
            sock.close()


def _places(settings: Settings) -> Iterator[_Place]:
    for name, listener in settings.listeners.items():
        for address in listener.bind:
            yield _Place(name, address, listener.mode, listener.group)
    for name, bound in (("admin", settings.admin.bind), ("health", settings.admin.health_bind)):
        if bound is not None:
            yield _Place(name, bound, 0o600, None)


def _take_over(descriptor: int, name: str) -> socket.socket:
    """Raises BindError for what is no listening stream socket."""
    what = f"the inherited descriptor {descriptor}{f' ({name})' if name else ''}"
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise BindError(f"{what} is not a socket")
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise BindError(f"{what} can't be used: {error.strerror}") from None
    sock.setblocking(False)
    if (objection := _objection(sock)) is not None:
        sock.close()
        raise BindError(f"{what} {objection}")
    return sock


def _objection(sock: socket.socket) -> str | None:
    is_stream = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or not is_stream:
        return "is not a TCP or unix stream socket; a socket unit has ListenStream= for those"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "does not listen; a socket unit must have Accept=no"
    return None


def _place_of(name: str, sock: socket.socket, places: list[_Place]) -> _Place:
    """Raises BindError."""
    named = [place for place in places if place.name == name]
    # A name that is none of ours (systemd's default is the unit's) says nothing; one that is has to be right.
    fitting = [place for place in named or places if _stands_for(sock, place.address, any_port=bool(named))]
    if fitting:
        return fitting[0]
    called = f' (named "{name}")' if name else ""
    if named:
        wanted = ", ".join(str(place.address) for place in named)
        raise BindError(f"the inherited socket {_shown(sock)}{called} is none of {name}'s addresses: {wanted}")
    raise BindError(
        f"the inherited socket {_shown(sock)}{called} is no address of the configuration; "
        "add it to a listener's bind, or have it not handed over"
    )


def _stands_for(sock: socket.socket, address: Address, *, any_port: bool) -> bool:
    """Whether binding `address` would have made such a socket. `any_port`: port 0 is whatever port it has."""
    bound = sock.getsockname()
    if isinstance(address, UnixAddress):
        return sock.family == socket.AF_UNIX and bound == address.path
    if sock.family == socket.AF_UNIX or str(parse_ip(bound[0])) != address.host:
        return False
    return bool(bound[1] == address.port) or (any_port and address.port == 0)


def _shown(sock: socket.socket) -> str:
    bound = sock.getsockname()
    if sock.family != socket.AF_UNIX:
        return str(TcpAddress(bound[0], bound[1]))
    # The name of an abstract socket is bytes that begin with a NUL.
    return f"unix:{bound}" if isinstance(bound, str) else f"unix:@{bound[1:].decode(errors='replace')}"


def _check_file(name: str, sock: socket.socket, place: _Place) -> None:
    """Whoever made the socket has set its file's owner and mode, which must not let in more than the configuration.

    Raises BindError. systemd's own default, SocketMode=0666, would let in everybody.

    The file is the one that stands at the socket's path now. Whether it still is the one that was bound there, the
    kernel tells only the privileged (SIOCUNIXFILE) and over netlink, which systemd units forbid; whoever could have put
    another in its place may write in that directory, and could have put a server of his own there.
    """
    import grp

    path = str(sock.getsockname())
    try:
        status = Path(path).lstat()
    except OSError:
        return  # it can't be seen from here; so nobody from here can open it
    mode = stat.S_IMODE(status.st_mode)
    which = f"the inherited socket unix:{path}{f' ({name})' if name else ''}"
    if not stat.S_ISSOCK(status.st_mode):
        raise BindError(f"{which}: what stands at that path is no socket; have it bound anew")
    if status.st_uid not in (0, os.geteuid()):
        # He may connect, and let in whomever he likes.
        raise BindError(f"{which} belongs to user {status.st_uid}; set SocketUser= to root or user {os.geteuid()}")
    if mode & ~place.mode:
        key = f"listeners.{place.name}.mode is" if place.name not in ("admin", "health") else "must be"
        raise BindError(f"{which} has mode {mode:04o}, and {key} {place.mode:04o}; set SocketMode= to that")
    if not mode & 0o070:
        return
    if place.group is None:
        # The one that binding would have given it.
        group, wanted = os.getegid(), f"listeners.{place.name}.group is not set, which means {os.getegid()}"
    else:
        wanted = f"listeners.{place.name}.group is {place.group}"
        try:
            group = grp.getgrnam(place.group).gr_gid if isinstance(place.group, str) else place.group
        except KeyError:
            raise BindError(f"{which}: there is no group {place.group!r}") from None
    if status.st_gid != group:
        raise BindError(f"{which} has group {status.st_gid}, and {wanted}; set SocketGroup= to that")
