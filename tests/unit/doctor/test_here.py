"""What the kernel's tables say, read as the kernel means them."""

import os
import socket
from pathlib import Path

import pytest

from mcproxy.doctor.addresses_here import is_loopback, local_addresses
from mcproxy.doctor.sockets_here import bound_sockets, processes

FIB_TRIE = """Main:
  +-- 0.0.0.0/1 2 0 2
     |-- 10.64.0.0
        /30 link UNICAST
     |-- 10.64.0.1
        /32 host LOCAL
     |-- 10.64.0.3
        /32 link BROADCAST
  |-- 127.0.0.0
     /8 host LOCAL
  |-- 127.0.0.1
     /32 host LOCAL
Local:
  |-- 10.64.0.1
     /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
fe80000000000000a8bbccfffedd0011 02 40 20 80     eth0
fd000000000000000000000000000005 02 40 00 80     eth0
"""


def test_the_addresses_of_a_machine(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(FIB_TRIE)
    (tmp_path / "net/if_inet6").write_text(IF_INET6)
    expected = ["10.64.0.1", "127.0.0.1", "::1", "fe80::a8bb:ccff:fedd:11%eth0", "fd00::5"]
    assert local_addresses(tmp_path) == expected


def test_a_machine_without_ipv6(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(FIB_TRIE)
    assert local_addresses(tmp_path) == ["10.64.0.1", "127.0.0.1"]


def test_this_machine_has_loopback():
    assert "127.0.0.1" in local_addresses()


@pytest.mark.parametrize(
    ("address", "loopback"), [("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("::", False)]
)
def test_loopback(address, loopback):
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("family", "kind", "host"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
        (socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        (socket.AF_INET6, socket.SOCK_STREAM, "::1"),
        (socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"),
    ],
)
def test_a_socket_is_found_with_its_process(family, kind, host):
    with socket.socket(family, kind) as bound:
        bound.bind((host, 0))
        if kind == socket.SOCK_STREAM:
            bound.listen()
        port = bound.getsockname()[1]
        name = "tcp" if kind == socket.SOCK_STREAM else "udp"
        found = [one for one in bound_sockets() if (one.kind, one.port) == (name, port)]
        assert [one.address for one in found] == [host]
        assert found[0].beyond_loopback is (host == "0.0.0.0")
        own = next(one for one in processes() if one.pid == os.getpid())
        assert found[0].inode in own.inodes


def test_a_mapped_address_is_that_of_ipv4(tmp_path):
    (tmp_path / "net").mkdir()
    row = "   0: 0000000000000000FFFF00000100007F:2BCB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4711"
    (tmp_path / "net/tcp6").write_text(f"  sl  local_address\n{row}\n")
    assert [(one.address, one.port, one.inode) for one in bound_sockets(tmp_path)] == [("127.0.0.1", 11211, 4711)]


def test_processes_that_end_meanwhile_are_left_out(tmp_path):
    (tmp_path / "12").mkdir()
    assert processes(proc=Path(tmp_path)) == []
