"""Who listens on this machine: /proc/net/tcp, tcp6, udp, udp6 and unix, and the processes that hold these sockets."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcproxy.doctor.addresses_here import PROC

_LISTENING, _UDP_UNCONNECTED = "0A", "07"  # include/net/tcp_states.h: TCP_LISTEN; UDP shows TCP_CLOSE
_ACCEPTS = 1 << 16  # include/linux/net.h: __SO_ACCEPTCON
_UNIX_ROW = re.compile("[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]+) [0-9A-F]+ [0-9A-F]+ +([0-9]+) (.*)")
_INODE = re.compile(r"socket:\[([0-9]+)\]")


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that TCP connections or UDP datagrams come to. `address` is `0.0.0.0` or `::` for all of them."""

    kind: str
    address: str
    port: int
    inode: int

    @property
    def beyond_loopback(self) -> bool:
        return not ipaddress.ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return (
            f"{self.kind} [{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.kind} {self.address}:{self.port}"
        )


def bound_sockets(proc: Path = PROC) -> list[Bound]:
    """Of this network namespace. Raises OSError."""
    found = []
    for kind, state in (("tcp", _LISTENING), ("udp", _UDP_UNCONNECTED)):
        for table in (proc / f"net/{kind}", proc / f"net/{kind}6"):
            if table.exists():
                found += list(_rows(table.read_text(), kind, state))
    return found


@dataclass(frozen=True, slots=True)
class BoundPath:
    """A unix socket that connections come to. `path` is as it was bound: it may be relative, and abstract ones begin
    with `@`. Whoever binds a path with a line end in it makes a row that isn't true."""

    path: str
    inode: int

    def __str__(self) -> str:
        return f"unix:{self.path}"


def bound_paths(proc: Path = PROC) -> list[BoundPath]:
    """Of this network namespace. Raises OSError."""
    text = (proc / "net/unix").read_text(errors="backslashreplace")
    rows = [row for line in text.split("\n") if (row := _UNIX_ROW.fullmatch(line)) is not None]
    return [BoundPath(row[3], int(row[2])) for row in rows if int(row[1], 16) & _ACCEPTS]


def listening_process(path: str, patience: float) -> int | None:
    """The number of the process that listens on a unix socket, as the kernel tells whoever connects (unix(7),
    SO_PEERCRED); None if nobody does, or it is of another process namespace. Blocks for `patience` seconds at most."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            connection.connect(path)
            pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return pid or None


def _rows(text: str, kind: str, state: str) -> Iterator[Bound]:
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[3] == state:
            host, _, port = fields[1].rpartition(":")
            yield Bound(kind, _address(host), int(port, 16), int(fields[9]))


def _address(digits: str) -> str:
    """The kernel prints 32-bit words in the machine's own byte order."""
    raw = bytes.fromhex(digits)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that could be looked into: `inodes` are its sockets."""

    pid: int
    name: str
    inodes: frozenset[int]


def processes(wanted: str | None = None, proc: Path = PROC) -> list[Process]:
    """The processes whose sockets may be seen: all of them for root, else one's own; `wanted` is a name to keep to."""
    found = []
    for directory in proc.iterdir():
        if directory.name.isdigit():
            # They come and go while they are looked at.
            with contextlib.suppress(OSError):
                name = (directory / "comm").read_text().removesuffix("\n")
                if wanted in (None, name):
                    found.append(Process(int(directory.name), name, _inodes(directory / "fd")))
    return found


def _inodes(descriptors: Path) -> frozenset[int]:
    inodes = set()
    for entry in descriptors.iterdir():
        with contextlib.suppress(OSError):
            found = _INODE.fullmatch(str(entry.readlink()))
            if found is not None:
                inodes.add(int(found[1]))
    return frozenset(inodes)
