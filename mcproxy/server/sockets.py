"""Listening sockets: bound, with the right modes, before anybody can connect."""

import errno
import grp
import os
import socket
import stat
import struct
from array import array
from contextlib import suppress
from pathlib import Path
from typing import Final

from mcproxy.config.addresses import TcpAddress, UnixAddress

BACKLOG = 4096
# <asm-generic/socket.h>; the socket module has no name for it.
_SO_ATTACH_FILTER: Final = 26
# Classic BPF of <linux/filter.h>, as struct sock_filter: drop a segment with SYN and without ACK, pass everything else.
# It sees the TCP header, whose flags are byte 13.
_NO_NEW_CONNECTIONS: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the flags
        (0x54, 0, 0, 0x12),  # of them SYN and ACK
        (0x15, 0, 1, 0x02),  # only SYN?
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # pass
    )
)


class BindError(Exception):
    """An address cannot be listened on. The message is one line that says which and why."""


def listen(address: TcpAddress | UnixAddress, mode: int = 0o600, group: str | int | None = None) -> socket.socket:
    """A non-blocking listening socket; `mode` and `group` are those of a unix socket's file. Raises BindError."""
    try:
        if isinstance(address, UnixAddress):
            return _listen_unix(address.path, mode, group)
        return _listen_tcp(address)
    except (OSError, KeyError) as error:
        raise BindError(f"cannot listen on {address}: {_explain(error, group)}") from None


def listen_apart(address: TcpAddress, count: int) -> list[socket.socket]:
    """`count` listening sockets on one address, among which the kernel spreads connections. Raises BindError.

    SO_REUSEPORT would also let another process of this user in, a second proxy started by mistake, say; so whether the
    address is free is found out without it.
    """
    try:
        if address.port:
            _bind_tcp(address).close()
        first = _listen_tcp(address, apart=True)
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {_explain(error, None)}") from None
    listening = [first]
    bound = TcpAddress(address.host, first.getsockname()[1])
    try:
        for _ in range(count - 1):
            listening.append(_listen_tcp(bound, apart=True))
    except OSError as error:
        for sock in listening:
            sock.close()
        raise BindError(f"cannot listen on {bound}: {_explain(error, None)}") from None
    return listening


def _listen_tcp(address: TcpAddress, *, apart: bool = False) -> socket.socket:
    listener = _bind_tcp(address, apart=apart)
    try:
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_tcp(address: TcpAddress, *, apart: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if apart:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # [::] is every address of the machine; its IPv4 peers show up as IPv4-mapped and are judged as IPv4.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address.host != "::"))
        listener.bind((address.host, address.port))
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_unix(path: str, mode: int, group: str | int | None) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.bind(path)
        # Nobody can connect before listen(), so the mode is right from the first connection on.
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid if isinstance(group, str) else group)
        Path(path).chmod(mode)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is gone. Raises OSError if somebody listens there or it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "a file that is not a socket is in the way")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        # EAGAIN: somebody listens whose queue is full.
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            Path(path).unlink()
            return
    raise OSError(errno.EADDRINUSE, "another process listens there")


def stop_queueing(listener: socket.socket) -> None:
    """Have the kernel queue no new connections for a TCP socket that is about to be closed; handshakes that have begun
    get to their end. Without it whoever comes between the last accept and the close is reset.

    New ones are passed over in silence, and their kernel asks again after a second: then the next program listens, or
    nobody does. Where the kernel has no socket filters, nothing changes. A filter needs no privilege (socket(7)).
    """
    if listener.family == socket.AF_UNIX:
        return
    # struct sock_fprog: how many instructions, and where in memory they are.
    program = array("B", _NO_NEW_CONNECTIONS)
    count = len(_NO_NEW_CONNECTIONS) // struct.calcsize("HBBI")
    described = struct.pack("HP", count, program.buffer_info()[0])
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def close(listener: socket.socket) -> None:
    """Stop listening; a unix socket's file goes with it. Once more changes nothing."""
    if listener.fileno() < 0:
        return
    name = listener.getsockname() if listener.family == socket.AF_UNIX else None
    listener.close()
    if name:
        with suppress(OSError):
            Path(name).unlink()


def describe(listener: socket.socket) -> str:
    """The address as it is written in the configuration, with the port that the kernel gave."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return str(TcpAddress(name[0], name[1]))


def _explain(error: OSError | KeyError, group: str | int | None) -> str:
    if isinstance(error, KeyError):
        return f"there is no group {group!r}"
    if error.errno == errno.EADDRINUSE and error.strerror == os.strerror(errno.EADDRINUSE):
        return "another process listens there"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no interface of this machine has that address"
    return error.strerror or str(error)
