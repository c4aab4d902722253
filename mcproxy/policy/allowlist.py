"""Source addresses: who may connect at all, and what an address is granted.

IPv4-mapped IPv6 (`::ffff:10.0.0.5`, RFC 4291 section 2.5.5.2) is IPv4 here, in lists and as peers: a dual-stack
socket must not open a door that the IPv4 rules closed. So `::/0` says nothing about IPv4. Scope ids
(`fe80::1%eth0`) name an interface, not an address, and are left out of the comparison.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Generic, TypeVar

Network = IPv4Network | IPv6Network
T = TypeVar("T")

_MAPPED = IPv6Network("::ffff:0:0/96")


class AddressTable(Generic[T]):
    """A value for each of many networks; the most specific network that holds an address wins.

    One dictionary per prefix length that occurs, so a lookup takes at most 33 probes for IPv4 and 129 for IPv6,
    however many networks there are. Raises ValueError when two entries are the same network with different values
    (`10.0.0.0/8` and `::ffff:10.0.0.0/104` are the same).
    """

    def __init__(self, values: Mapping[Network, T] | Iterable[tuple[Network, T]]) -> None:
        tables: dict[int, dict[int, dict[int, T]]] = {4: {}, 6: {}}
        for written, value in values.items() if isinstance(values, Mapping) else values:
            network = canonical_network(written)
            table = tables[network.version].setdefault(network.prefixlen, {})
            prefix = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            if table.setdefault(prefix, value) != value:
                raise ValueError(f"{written} is listed twice, with different values")
        # Shift and dictionary, longest prefix first.
        self._tables = {
            version: [(width - length, tables[version][length]) for length in sorted(tables[version], reverse=True)]
            for version, width in ((4, 32), (6, 128))
        }

    def most_specific(self, address: str) -> T | None:
        """The value of the longest prefix that holds the address; None for no entry or what is no address."""
        parsed = canonical_address(address)
        if parsed is None:
            return None
        number = int(parsed)
        for shift, table in self._tables[parsed.version]:
            value = table.get(number >> shift)
            if value is not None:
                return value
        return None


class Allowlist:
    """The source addresses that may connect. An empty list admits nobody, and so does what is no address."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = AddressTable((network, True) for network in networks)

    def admits(self, address: str) -> bool:
        return self._networks.most_specific(address) is True


@lru_cache(maxsize=4096)
def canonical_address(address: str) -> IPv4Address | IPv6Address | None:
    """IPv4 for an IPv4-mapped address; None for what is no address. Remembered: each login asks several times."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def canonical_network(network: Network) -> Network:
    """IPv4 for a network of IPv4-mapped addresses alone."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - 96))
    return network
