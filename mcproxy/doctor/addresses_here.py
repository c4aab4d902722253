"""The addresses of this machine, as the kernel lists them for this network namespace."""

from __future__ import annotations

import ipaddress
from pathlib import Path

PROC = Path("/proc")


def local_addresses(proc: Path = PROC) -> list[str]:
    """Every IPv4 and IPv6 address; link-local ones with their interface (`fe80::1%eth0`). Raises OSError.

    From /proc/net/fib_trie and /proc/net/if_inet6; the latter is not there without IPv6.
    """
    return [*_version_4((proc / "net/fib_trie").read_text()), *_version_6(proc / "net/if_inet6")]


def _version_4(trie: str) -> list[str]:
    found: dict[str, None] = {}
    last = ""
    for line in trie.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found[last] = None
    return list(found)


def _version_6(table: Path) -> list[str]:
    if not table.exists():
        return []
    addresses = []
    for line in table.read_text().splitlines():
        digits, _, _, scope, _, interface = line.split()
        address = ipaddress.IPv6Address(bytes.fromhex(digits))
        addresses.append(f"{address}%{interface}" if scope == "20" else str(address))
    return addresses


def is_loopback(address: str) -> bool:
    """Whether an address, with or without an interface, can't leave the machine. The unspecified one can."""
    return ipaddress.ip_address(address).is_loopback
