"""Every address that a listener listens on, and whether whoever runs this should be let in there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.schema import Listener
from mcproxy.doctor.deployment import Deployment
from mcproxy.policy.allowlist import Allowlist

_EVERY_ADDRESS = {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}  # noqa: S104 - where these are tried
_HEADER = b"PROXY UNKNOWN\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    """One address of a listener, reached from `source` (None: from what the kernel takes).

    `preamble` is what a balancer has to send first: that it speaks for itself.
    """

    name: str
    listener: Listener
    address: TcpAddress | UnixAddress
    source: str | None = None

    @property
    def subject(self) -> str:
        return f"listener {self.name}"

    @property
    def comes_from(self) -> str:
        """The address that we are seen with: of this machine's own addresses the kernel takes the one called."""
        if self.source is not None or isinstance(self.address, UnixAddress):
            return self.source or ""
        return self.address.host

    @property
    def open_to_us(self) -> bool:
        """Whether the allowlist has us."""
        if isinstance(self.address, UnixAddress):
            return True
        return Allowlist(self.listener.allow).admits(self.comes_from)

    @property
    def preamble(self) -> bytes:
        ours = bool(self.listener.proxy_protocol) and Allowlist(self.listener.proxy_protocol).admits(self.comes_from)
        return _HEADER if ours else b""


def may_be_elsewhere(listener: Listener) -> bool:
    """Whether clients may be on other machines: to a loopback address a balancer brings them."""
    return not listener.is_local or bool(listener.proxy_protocol)


def doors(deployment: Deployment) -> Iterator[Door]:
    """Of all listeners. Where the port is the kernel's choice, the running proxy says which it is."""
    for name, listener in deployment.settings.listeners.items():
        for address in _addresses(deployment, name, listener):
            yield Door(name, listener, address)


def other_doors(deployment: Deployment) -> Iterator[Door]:
    """The same from each of the addresses that were asked for."""
    for door in doors(deployment):
        if isinstance(door.address, TcpAddress):
            for source in deployment.asked.sources:
                if (":" in source) == (":" in door.address.host):
                    yield Door(door.name, door.listener, door.address, source)


def _addresses(deployment: Deployment, name: str, listener: Listener) -> Iterator[TcpAddress | UnixAddress]:
    ports = _running_ports(deployment, name)
    for index, address in enumerate(listener.bind):
        if isinstance(address, UnixAddress):
            yield address
            continue
        port = address.port or (ports[index] if index < len(ports) else 0)
        for host in _hosts(address.host, deployment.addresses) if port else ():
            yield TcpAddress(host, port)


def _hosts(bound: str, local: tuple[str, ...]) -> list[str]:
    """Where it is tried. Of every address one of the network's comes first: that is where clients come in."""
    if bound not in _EVERY_ADDRESS:
        return [bound]
    beyond = [one for one in local if "%" not in one and not TcpAddress(one, 0).is_loopback]
    return [*[one for one in beyond if bound == "::" or ":" not in one][:1], *_EVERY_ADDRESS[bound]]


def _running_ports(deployment: Deployment, name: str) -> list[int]:
    for one in (deployment.status or {}).get("listeners", []):
        if isinstance(one, dict) and one.get("name") == name:
            ends = [str(address).rpartition(":")[2] for address in one.get("addresses", [])]
            return [int(end) if end.isdecimal() and len(end) <= 5 else 0 for end in ends]
    return []
