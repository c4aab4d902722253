"""Sockets that a parent hands over: which are taken, for what, and what is said of those that don't fit."""

import os
import socket
from pathlib import Path

import pytest

from mcproxy.config.load import loads
from mcproxy.server import inherited
from mcproxy.server.inherited import InheritedSockets
from mcproxy.server.sockets import BindError


@pytest.fixture
def make():
    """Makes listening sockets that are closed at the end."""
    made = []

    def listen(address=("127.0.0.1", 0), family=socket.AF_INET, kind=socket.SOCK_STREAM, *, listens=True):
        sock = socket.socket(family, kind)
        made.append(sock)
        sock.bind(address)
        if listens:
            sock.listen()
        return sock

    yield listen
    for sock in made:
        sock.close()


def settings(binds, admin="127.0.0.1:1", **listener):
    """A listener `app` with these addresses, and `other`."""
    listeners = {
        "app": {"bind": binds, "authentication": ["none"], **listener},
        "other": {"bind": ["127.0.0.1:2"], "allow": ["127.0.0.1"], "authentication": ["none"]},
    }
    if not binds[0].startswith("unix:"):
        listeners["app"]["allow"] = ["127.0.0.1"]
    text = str({"listeners": listeners, "upstream": {"address": "unix:/upstream"}, "admin": {"bind": admin}})
    return loads(text, Path("/nowhere/mcproxy.yaml"), check_machine=False)


def port(sock):
    return sock.getsockname()[1]


def test_one_stands_for_the_address_that_it_is_bound_to(make):
    one, two = make(), make()
    wanted = settings([f"127.0.0.1:{port(two)}", f"127.0.0.1:{port(one)}"])
    handed = InheritedSockets([("", one), ("mcproxy.socket", two)])
    handed.assign(wanted)
    first, second = wanted.listeners["app"].bind
    assert handed.take("app", first) == [two]
    assert handed.take("app", second) == [one]
    assert handed.take("other", wanted.listeners["other"].bind[0]) == []


def test_a_name_tells_whose_port_of_the_kernels_it_is(make):
    sock = make()
    wanted = settings(["127.0.0.1:0"])
    handed = InheritedSockets([("app", sock)])
    handed.assign(wanted)
    assert handed.take("app", wanted.listeners["app"].bind[0]) == [sock]


def test_the_admin_port_may_be_one_of_them(make):
    sock = make()
    wanted = settings(["127.0.0.1:0"], admin=f"127.0.0.1:{port(sock)}")
    handed = InheritedSockets([("", sock)])
    handed.assign(wanted)
    assert handed.take("admin", wanted.admin.bind) == [sock]


def test_several_may_stand_for_one_address(make):
    sock = make()
    with sock.dup() as again:
        handed = InheritedSockets([("", sock), ("", again)])
        wanted = settings([f"127.0.0.1:{port(sock)}"])
        handed.assign(wanted)
        assert handed.take("app", wanted.listeners["app"].bind[0]) == [sock, again]


@pytest.mark.parametrize("name", ["", "mcproxy.socket"])
def test_one_that_is_no_address_of_the_configuration_is_named(make, name):
    sock = make()
    with pytest.raises(BindError, match=f"127.0.0.1:{port(sock)}.* is no address of the configuration"):
        InheritedSockets([(name, sock)]).assign(settings(["127.0.0.1:3"]))


def test_one_that_has_another_listeners_name_is_refused(make):
    """It would let in by another's rules."""
    sock = make()
    wanted = settings([f"127.0.0.1:{port(sock)}"])
    with pytest.raises(BindError, match=rf"127.0.0.1:{port(sock)} \(named \"other\"\) is none of other's addresses"):
        InheritedSockets([("other", sock)]).assign(wanted)


def test_an_abstract_socket_stands_for_nothing(make):
    name = f"\0mcproxy-test-{os.getpid()}"
    with pytest.raises(BindError, match=f"unix:@{name[1:]} is no address"):
        InheritedSockets([("", make(name, socket.AF_UNIX))]).assign(settings([f"unix:/{name[1:]}"]))


def test_a_unix_socket_may_not_let_in_more_than_the_configuration(make, short_directory):
    path = short_directory / "socket"
    sock = make(str(path), socket.AF_UNIX)
    path.chmod(0o666)
    with pytest.raises(BindError, match=r"has mode 0666, and listeners.app.mode is 0660; set SocketMode="):
        InheritedSockets([("", sock)]).assign(settings([f"unix:{path}"], mode="0660"))
    path.chmod(0o600)
    wanted = settings([f"unix:{path}"], mode="0660")
    handed = InheritedSockets([("", sock)])
    handed.assign(wanted)
    assert handed.take("app", wanted.listeners["app"].bind[0]) == [sock]


def test_a_unix_sockets_group_is_that_of_the_configuration(make, short_directory):
    path = short_directory / "socket"
    sock = make(str(path), socket.AF_UNIX)
    path.chmod(0o660)
    wrong = path.stat().st_gid + 1
    with pytest.raises(BindError, match=f"listeners.app.group is {wrong}; set SocketGroup="):
        InheritedSockets([("", sock)]).assign(settings([f"unix:{path}"], mode="0660", group=wrong))


def test_without_a_group_it_is_our_own(make, short_directory, monkeypatch):
    """Which binding would have given it."""
    path = short_directory / "socket"
    sock = make(str(path), socket.AF_UNIX)
    path.chmod(0o660)
    wanted = settings([f"unix:{path}"], mode="0660")
    InheritedSockets([("", sock)]).assign(wanted)
    other = os.getegid() + 1
    monkeypatch.setattr(os, "getegid", lambda: other)
    with pytest.raises(BindError, match=f"listeners.app.group is not set, which means {other}; set SocketGroup="):
        InheritedSockets([("", sock)]).assign(wanted)
    path.chmod(0o600)  # the group may do nothing
    InheritedSockets([("", sock)]).assign(wanted)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to somebody else, which only root may")
def test_a_unix_socket_belongs_to_root_or_to_us(make, short_directory, monkeypatch):
    path = short_directory / "socket"
    sock = make(str(path), socket.AF_UNIX)
    path.chmod(0o600)
    wanted = settings([f"unix:{path}"])
    os.chown(path, 4321, -1)
    with pytest.raises(BindError, match="belongs to user 4321; set SocketUser= to root or user 0"):
        InheritedSockets([("", sock)]).assign(wanted)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    InheritedSockets([("", sock)]).assign(wanted)
    os.chown(path, 0, -1)
    InheritedSockets([("", sock)]).assign(wanted)


@pytest.mark.parametrize("replace", [Path.touch, lambda path: path.symlink_to(path.with_name("renamed"))])
def test_what_stands_at_its_path_is_a_socket(make, short_directory, replace):
    """Its file may be called otherwise by now, and have any mode."""
    path = short_directory / "socket"
    sock = make(str(path), socket.AF_UNIX)
    path.rename(path.with_name("renamed"))
    replace(path)
    with pytest.raises(BindError, match="what stands at that path is no socket"):
        InheritedSockets([("", sock)]).assign(settings([f"unix:{path}"]))


@pytest.fixture
def short_directory(tmp_path_factory):
    """Its name leaves room for a socket's."""
    import shutil
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="mcproxy-"))
    yield path
    shutil.rmtree(path)


def take(descriptor, monkeypatch, **changes):
    """What is taken over when the environment says that there is this descriptor."""
    monkeypatch.setattr(inherited, "FIRST", descriptor)
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "app", "HOME": "/"} | changes
    handed = InheritedSockets.from_environment(environment)
    assert environment == {"HOME": "/"}, "a child would take them for its own"
    return handed


def test_what_is_handed_over_waits_for_nobody_and_is_not_for_children(make, monkeypatch):
    descriptor = make().detach()
    os.set_inheritable(descriptor, True)
    handed = take(descriptor, monkeypatch)
    [sock] = handed.sockets
    assert sock.fileno() == descriptor
    assert not sock.getblocking()
    assert not os.get_inheritable(descriptor)
    handed.close()
    with pytest.raises(OSError):
        os.fstat(descriptor)


@pytest.mark.parametrize("process", ["1", "", "x"])
def test_what_is_for_another_process_is_left_alone(make, monkeypatch, process):
    descriptor = make().fileno()
    assert not take(descriptor, monkeypatch, LISTEN_PID=process).sockets
    os.fstat(descriptor)


@pytest.mark.parametrize("count", ["x", "-1", "4097", "1.0", "²", "9" * 5000], ids=lambda count: count[:5])
def test_a_count_that_is_none(monkeypatch, count):
    with pytest.raises(BindError, match="LISTEN_FDS is not a number up to 4096"):
        take(3, monkeypatch, LISTEN_FDS=count)


def test_what_is_no_listening_stream_socket(make, monkeypatch, tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(BindError, match=r"\(app\) is not a socket"):
        take(file.fileno(), monkeypatch)
    datagrams = make(kind=socket.SOCK_DGRAM, listens=False)
    with pytest.raises(BindError, match="is not a TCP or unix stream socket; a socket unit has ListenStream="):
        take(datagrams.detach(), monkeypatch)
    with pytest.raises(BindError, match="does not listen; a socket unit must have Accept=no"):
        take(make(listens=False).detach(), monkeypatch)
    closed = make().detach()
    os.close(closed)
    with pytest.raises(BindError, match="can't be used: Bad file descriptor"):
        take(closed, monkeypatch)
