"""Listening sockets: modes, stale files, others in the way, and what the messages say."""

import grp
import os
import socket
import stat
from pathlib import Path

import pytest

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.server import sockets
from mcproxy.server.sockets import BindError, listen, listen_apart


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777, 0o000])
def test_the_mode_is_set_before_anybody_can_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    path = tmp_path / "socket"
    seen = []
    real = socket.socket.listen

    def noted(self: socket.socket, backlog: int) -> None:
        # Until this call every connect is refused.
        with socket.socket(socket.AF_UNIX) as probe, pytest.raises(OSError):
            probe.connect(str(path))
        seen.append(mode_of(path))
        real(self, backlog)

    monkeypatch.setattr(socket.socket, "listen", noted)
    before = os.umask(0)
    try:
        listener = listen(UnixAddress(str(path)), mode)
    finally:
        os.umask(before)
    assert seen == [mode]
    assert mode_of(path) == mode
    assert not listener.getblocking()
    assert not listener.get_inheritable()
    assert sockets.describe(listener) == f"unix:{path}"
    sockets.close(listener)
    assert not path.exists()


def test_the_group_is_set(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    number = os.getgid()
    for group in (number, grp.getgrgid(number).gr_name):
        listener = listen(UnixAddress(str(path)), 0o660, group)
        assert path.stat().st_gid == number
        sockets.close(listener)
    with pytest.raises(BindError, match="there is no group 'nobody-has-this-group'"):
        listen(UnixAddress(str(path)), 0o660, "nobody-has-this-group")


def test_a_stale_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    assert path.exists()
    sockets.close(listen(UnixAddress(str(path))))


def test_a_live_socket_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = listen(UnixAddress(str(path)))
    with pytest.raises(BindError, match=f"cannot listen on unix:{path}: another process listens there"):
        listen(UnixAddress(str(path)))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    sockets.close(first)


def test_a_live_socket_whose_queue_is_full_is_refused_too(tmp_path: Path) -> None:
    """Somebody listens there who is too busy to accept; asking must not wait for him."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(str(path))
        busy.listen(0)
        waiting = []
        try:
            while True:
                client = socket.socket(socket.AF_UNIX)
                waiting.append(client)
                client.setblocking(False)
                try:
                    client.connect(str(path))
                except BlockingIOError:
                    break
            # Nothing but a time-out of its own would end a connect that blocks.
            before = socket.getdefaulttimeout()
            socket.setdefaulttimeout(0.5)
            try:
                with pytest.raises(BindError, match="another process listens there"):
                    listen(UnixAddress(str(path)))
            finally:
                socket.setdefaulttimeout(before)
        finally:
            for client in waiting:
                client.close()
    assert path.exists()


def test_a_file_in_the_way_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.write_text("precious")
    with pytest.raises(BindError, match="a file that is not a socket is in the way"):
        listen(UnixAddress(str(path)))
    assert path.read_text() == "precious"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(target))
    path = tmp_path / "socket"
    path.symlink_to(target)
    with pytest.raises(BindError, match="a file that is not a socket is in the way"):
        listen(UnixAddress(str(path)))
    assert path.is_symlink()
    assert target.exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "socket"
    with pytest.raises(BindError, match=f"cannot listen on unix:{path}: No such file or directory"):
        listen(UnixAddress(str(path)))


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(BindError, match=r"cannot listen on unix:.*too long"):
        listen(UnixAddress(str(tmp_path / ("x" * 120))))


def test_closing_twice_or_after_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = listen(UnixAddress(str(path)))
    path.unlink()
    sockets.close(listener)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp(host: str) -> None:
    listener = listen(TcpAddress(host, 0))
    port = listener.getsockname()[1]
    assert sockets.describe(listener) == str(TcpAddress(host, port))
    with pytest.raises(BindError, match="another process listens there"):
        listen(TcpAddress(host, port))
    with socket.create_connection((host, port)):
        connection, _ = listener.accept()
        connection.close()
    sockets.close(listener)


def test_any_address_of_ipv6_is_every_address() -> None:
    listener = listen(TcpAddress("::", 0))
    with socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        connection, peer = listener.accept()
        assert peer[0] == "::ffff:127.0.0.1"
        connection.close()
    sockets.close(listener)


def test_one_address_of_ipv6_is_only_that() -> None:
    listener = listen(TcpAddress("::1", 0))
    assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    sockets.close(listener)


def test_an_address_that_this_machine_has_not() -> None:
    with pytest.raises(BindError, match="no interface of this machine has that address"):
        listen(TcpAddress("192.0.2.1", 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", "0.0.0.0"])
def test_sockets_apart_share_the_port_that_the_kernel_chose(host: str) -> None:
    listeners = listen_apart(TcpAddress(host, 0), 3)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
        assert len({listener.fileno() for listener in listeners}) == 3
        assert not any(listener.getblocking() or listener.get_inheritable() for listener in listeners)
    finally:
        for listener in listeners:
            listener.close()


def test_connections_to_sockets_apart_go_to_all_of_them() -> None:
    listeners = listen_apart(TcpAddress("127.0.0.1", 0), 2)
    connections = [socket.create_connection(listeners[0].getsockname()) for _ in range(100)]
    accepted: list[socket.socket] = []
    try:
        for listener in listeners:
            before = len(accepted)
            while len(accepted) - before < 100:
                try:
                    accepted.append(listener.accept()[0])
                except BlockingIOError:
                    break
            assert len(accepted) > before
        assert len(accepted) == 100
    finally:
        for one in (*listeners, *connections, *accepted):
            one.close()


@pytest.mark.parametrize("apart", [False, True])
def test_sockets_apart_do_not_join_those_of_others(apart: bool) -> None:
    """Although SO_REUSEPORT alone would let them, if the others have it too."""
    address = TcpAddress("127.0.0.1", 0)
    others = listen_apart(address, 1) if apart else [listen(address)]
    try:
        taken = TcpAddress("127.0.0.1", others[0].getsockname()[1])
        with pytest.raises(BindError, match=f"^cannot listen on {taken}: another process listens there$"):
            listen_apart(taken, 2)
    finally:
        others[0].close()
    for listener in listen_apart(taken, 2):
        listener.close()
