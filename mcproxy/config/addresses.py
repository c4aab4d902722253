"""Addresses to bind and connect to, and the networks of allowlists and grants.

`ipaddress` takes `::ffff:10.0.0.5` for IPv6; a peer of a dual-stack socket shows up that way. Addresses and networks
are normalised to IPv4 here, so that they compare equal to a peer that was normalised the same way.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 1035 section 2.3.4 has the lengths. Each label but the last ends in a dot: if that could be left out, a long label
# could be read as several, in more ways than can be tried.
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*{_LABEL}\.?")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
LONGEST_UNIX_PATH = 107  # sun_path of unix(7) holds 108 bytes with the NUL at its end


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (an IP address; a name for the upstream only) and a port."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether this can't leave the machine. A name counts as loopback only if it is `localhost` (RFC 6761, 6.3)."""
        address = parse_ip(self.host)
        return self.host.lower() == "localhost" if address is None else address.is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The absolute path of a unix socket."""

    path: str

    @property
    def is_loopback(self) -> bool:
        """Always: a unix socket can't leave the machine."""
        return True

    def __str__(self) -> str:
        return f"unix:{self.path}"


def parse_ip(text: str) -> Address | None:
    """An IP address, IPv4-mapped IPv6 as IPv4; None if the text is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_host_name(text: str) -> bool:
    """Whether the text has the form of a host's name."""
    return _HOST_NAME.fullmatch(text) is not None


def overlap(one: TcpAddress | UnixAddress, other: TcpAddress | UnixAddress) -> bool:
    """Whether both can't be listened on at once. `[::]` takes IPv4 too (server/sockets.py); port 0 is any free port."""
    if isinstance(one, UnixAddress) or isinstance(other, UnixAddress):
        return one == other
    if one.port != other.port or one.port == 0:
        return False
    hosts = {one.host, other.host}
    return len(hosts) == 1 or "::" in hosts or ("0.0.0.0" in hosts and not any(":" in host for host in hosts))  # noqa: S104


def parse_bind(value: Any) -> TcpAddress | UnixAddress:
    """`"10.0.0.5:11211"`, `"[fd00::5]:11211"`, `"unix:/path"`; port 0 lets the kernel choose. Raises ValueError."""
    address = _parse(value, lowest_port=0)
    if isinstance(address, TcpAddress) and parse_ip(address.host) is None:
        if address.host == "*":
            raise ValueError(f'"{value}": for every address write "0.0.0.0:{address.port}" or "[::]:{address.port}"')
        if address.host.lower() == "localhost":
            raise ValueError(f'"{value}": write "127.0.0.1:{address.port}" or "[::1]:{address.port}"')
        raise ValueError(f'"{value}": a host name can\'t be bound to; write an IP address')
    return address


def parse_destination(value: Any) -> TcpAddress | UnixAddress:
    """As parse_bind, but host names are welcome and port 0 is not. Raises ValueError."""
    address = _parse(value, lowest_port=1)
    if isinstance(address, TcpAddress) and parse_ip(address.host) is None and not is_host_name(address.host):
        raise ValueError(f'"{value}": "{address.host}" is neither an IP address nor a host name')
    return address


def _parse(value: Any, lowest_port: int) -> TcpAddress | UnixAddress:
    if isinstance(value, TcpAddress | UnixAddress):
        return value
    form = 'write "host:port", "[IPv6]:port" or "unix:/path"'
    if not isinstance(value, str):
        raise ValueError(f"this is not an address; {form}, in quotes")
    if value.startswith("unix:"):
        return UnixAddress(_unix_path(value))
    if value.startswith("/"):
        raise ValueError(f'"{value}": for a unix socket write "unix:{value}"')
    host, colon, port = value.rpartition(":")
    if not colon or (not host.startswith("[") and parse_ip(value) is not None):
        shown = f"[{value}]" if ":" in value else value or "127.0.0.1"
        raise ValueError(f'"{value}" has no port; write "{shown}:11211"')
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host or parse_ip(host) is None:
            raise ValueError(f'"{value}": "{host}" is not an IPv6 address')
    elif ":" in host:
        raise ValueError(f'"{value}": an IPv6 address needs brackets: "[{host}]:{port}"')
    if not host:
        raise ValueError(f'"{value}" has no host; for every address write "0.0.0.0:{port}" or "[::]:{port}"')
    if not re.fullmatch("[0-9]{1,5}", port) or not lowest_port <= int(port) <= 65535:
        raise ValueError(f'"{value}": the port must be a number from {lowest_port} to 65535')
    if re.fullmatch("[0-9.]+", host) and parse_ip(host) is None:
        raise ValueError(f'"{value}": "{host}" is not an IPv4 address')
    return TcpAddress(str(parse_ip(host) or host), int(port))


def _unix_path(value: str) -> str:
    path = value.removeprefix("unix:")
    if not path.startswith("/"):
        raise ValueError(f'"{value}": a unix socket needs an absolute path, such as "unix:/run/mcproxy/memcached.sock"')
    if "\0" in path or path.endswith("/"):
        raise ValueError(f'"{value}" is not the path of a socket')
    if len(path.encode()) > LONGEST_UNIX_PATH:
        raise ValueError(f'"{value}": the path of a unix socket has at most {LONGEST_UNIX_PATH} bytes')
    return path


def parse_network(value: Any) -> Network:
    """`"10.0.0.0/24"`, `"192.168.7.12"`, IPv4-mapped IPv6 as IPv4. Raises ValueError, naming the right network if
    bits of the host are set: `10.0.0.5/24` may mean one machine or two hundred."""
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError('this is not a network; write "10.0.0.0/24" or "192.168.7.12", in quotes')
    if value in ("*", "all", "any"):
        raise ValueError(f'"{value}" is not a network; every address is "0.0.0.0/0" and "::/0"')
    try:
        if re.search("/.*[^0-9]", value):  # ipaddress reads "/255.255.255.0" and "/0.0.0.255" too
            raise ValueError
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f'"{value}" is not a network; write "10.0.0.0/24" or "192.168.7.12"') from None
    address = ipaddress.ip_address(value.partition("/")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise ValueError(f'"{value}": a network has no interface; leave out "%{address.scope_id}"')
    if address != network.network_address:
        host = f"{address}/{address.max_prefixlen}"
        raise ValueError(f'"{value}" is an address inside a network; write "{network}" for all of it or "{host}"')
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        packed = network.network_address.packed[12:]
        return ipaddress.IPv4Network((packed, network.prefixlen - _MAPPED.prefixlen))
    return network
