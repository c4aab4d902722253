"""Who listens on the proxy's sockets, and which memcacheds are no upstream."""

import dataclasses
import os
import socket

import pytest

from mcproxy.config.addresses import UnixAddress
from mcproxy.doctor import deployment as gathering
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.running import running_process
from mcproxy.doctor.sockets_here import Bound, BoundPath, Process, bound_paths, listening_process
from mcproxy.doctor.upstream_facts import UpstreamFacts
from mcproxy.doctor.upstream_sockets import other_memcacheds
from tests.unit.doctor.examining import deployment, told


def test_a_unix_socket_is_found_with_its_process(tmp_path):
    path = tmp_path / "a b.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert listening_process(str(path), 5) is None
        listening.listen()
        inode = os.fstat(listening.fileno()).st_ino
        assert BoundPath(str(path), inode) in bound_paths()
        assert listening_process(str(path), 5) == os.getpid()
    assert str(path) not in {one.path for one in bound_paths()}
    assert listening_process(str(path), 5) is None


def test_a_proxy_on_unix_sockets_alone_is_found(tmp_path):
    path = tmp_path / "admin.sock"
    listeners = {"local": {"bind": [f"unix:{path}.not"], "authentication": ["sasl"]}}
    examined = deployment(None, listeners=listeners, admin={"bind": f"unix:{path}"})
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        _, bound, paths, processes_there, processes = gathering._machine(examined.settings)
    looked = dataclasses.replace(examined, bound=bound, paths=paths, listening=processes_there, processes=processes)
    found = running_process(looked)
    assert found is not None
    assert found.pid == os.getpid()


FORGED = "0: 1 0 00010000 0001 01 99 /run/mcproxy/admin.sock"
TABLE = f"""Num       RefCount Protocol Flags    Type St Inode Path
0000000028066b9c: 00000003 00000000 00000000 0001 03    12 /run/connected
0000000028066b9c: 00000002 00000000 00010000 0001 01    34 /run/with a space
0000000028066b9c: 00000002 00000000 00010000 0001 01 25236751 @abstract
0000000028066b9c: 00000002 00000000 00010000 0001 01    35 /tmp/x
{FORGED}
"""


def test_the_table_of_unix_sockets(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net/unix").write_text(TABLE)
    shown = [(one.path, one.inode) for one in bound_paths(tmp_path)]
    assert shown[:3] == [("/run/with a space", 34), ("@abstract", 25236751), ("/tmp/x", 35)]


@pytest.mark.parametrize(("listening", "expected"), [({"/run/a.sock": 7}, 7), ({"/run/a.sock": 8}, None), ({}, None)])
def test_what_others_write_into_the_table_is_not_believed(listening, expected):
    """A path with a line end in it makes a row of any path: but the kernel's word is whose it is."""
    examined = dataclasses.replace(
        deployment(),
        processes=(Process(7, "mcproxy", frozenset({1})), Process(9, "stranger", frozenset({2}))),
        paths=(BoundPath("/run/a.sock", 2), BoundPath("/run/a.sock", 1)),
        listening=listening,
    )
    holder = examined.holder(UnixAddress("/run/a.sock"))
    assert (None if holder is None else holder.pid) == expected


def test_sockets_that_systemd_listens_on_for_the_proxy():
    examined = dataclasses.replace(
        deployment(),
        processes=(Process(1, "systemd", frozenset({1, 2})), Process(70, "mcproxy", frozenset({1}))),
        paths=(BoundPath("/run/a.sock", 1), BoundPath("/run/b.sock", 2)),
        listening={"/run/a.sock": 1},
    )
    holder = examined.holder(UnixAddress("/run/a.sock"))
    assert holder is not None
    assert holder.pid == 70


def with_memcacheds(upstream: str, pid: str, *found: Process) -> Deployment:
    return dataclasses.replace(
        deployment(upstream={"address": upstream}, facts=UpstreamFacts(statistics={"pid": pid} if pid else {})),
        processes=found,
        bound=(
            Bound("tcp", "127.0.0.1", 11211, 1),
            Bound("tcp", "10.0.0.5", 11211, 2),
            Bound("udp", "0.0.0.0", 11299, 3),
        ),
        paths=(BoundPath("/run/up.sock", 4), BoundPath("/run/other.sock", 5)),
    )


@pytest.mark.parametrize(
    ("upstream", "pid", "inode", "seen"),
    [
        ("127.0.0.1:11211", "7", 2, "tcp 10.0.0.5:11211"),  # the same port, and another memcached
        ("127.0.0.1:11211", "7", 3, "udp 0.0.0.0:11299"),
        ("127.0.0.1:11211", "", 5, "unix:/run/other.sock"),
        ("unix:/run/up.sock", "7", 5, "unix:/run/other.sock"),
        ("unix:/run/up.sock", "", 1, "tcp 127.0.0.1:11211"),
    ],
)
def test_another_memcached(upstream, pid, inode, seen):
    own = Process(7, "memcached", frozenset({4 if upstream.startswith("unix") else 1}))
    examined = with_memcacheds(upstream, pid, own, Process(8, "memcached", frozenset({inode})))
    expected = f"another memcached listens, which no upstream is: {seen} (process 8)"
    assert told(other_memcacheds(examined)) == [("note", expected)]
    assert [one.verdict for one in other_memcacheds(with_memcacheds(upstream, pid, own))] in (["ok"], ["note"])
    assert "another" not in told(other_memcacheds(with_memcacheds(upstream, pid, own)))[0][1]


def test_of_many_some_are_named():
    many = [Process(number, "memcached", frozenset({3})) for number in range(10, 30)]
    [(_, seen)] = told(other_memcacheds(with_memcacheds("127.0.0.1:11211", "", *many)))
    assert seen.endswith(" and 12 more")
