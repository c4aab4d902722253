"""Who besides its owner can change a file, or put another one in its place."""

import os
import pwd
import socket
from pathlib import Path

import pytest

from mcproxy.doctor.path_modes import (
    Lapse,
    Who,
    changeable,
    directories_above,
    lone_group,
    readable,
    replaceable,
    unclaimed,
)

MINE = frozenset({os.geteuid()})
STRANGER = 64_321
by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inner" / "users"
    path.parent.mkdir(mode=0o755)
    path.touch(mode=0o600)
    return path


def test_a_file_that_is_safe(file):
    assert list(changeable(file, MINE)) == []
    assert list(replaceable(file, MINE)) == []


def test_one_that_everybody_can_change(file):
    file.chmod(0o666)
    assert [lapse.who for lapse in changeable(file, MINE)] == [Who.EVERYBODY]


def test_a_directory_in_which_everybody_can_replace_it(file):
    file.parent.chmod(0o777)
    assert [(lapse.who, lapse.path) for lapse in replaceable(file, MINE)] == [(Who.EVERYBODY, file.parent)]


def test_in_a_sticky_one_nobody_can(file):
    file.parent.chmod(0o1777)
    assert list(replaceable(file, MINE)) == []


def test_a_directory_behind_a_link_counts(file, tmp_path):
    link = tmp_path / "users"
    link.symlink_to(file)
    file.parent.chmod(0o777)
    assert file.parent in directories_above(link)
    assert [lapse.path for lapse in replaceable(link, MINE)] == [file.parent]


@by_root
def test_owners_and_groups_who_are_nobody_known(file):
    os.chown(file, STRANGER, STRANGER)
    file.chmod(0o660)
    assert [lapse.who for lapse in changeable(file, MINE)] == [Who.GROUP, Who.OWNER]
    assert [lapse.who for lapse in changeable(file, MINE | {STRANGER})] == [Who.GROUP]
    os.chown(file.parent, STRANGER, STRANGER)
    assert list(replaceable(file, MINE)) == []  # whoever owns the file may own its directory
    os.chown(file, 0, 0)
    assert [lapse.who for lapse in replaceable(file, MINE)] == [Who.OWNER]


def found(lapses: list[Lapse]) -> list[tuple[Who, Path, str]]:
    return [(lapse.who, lapse.path, lapse.remedy.partition(": ")[2].split("/")[0].strip()) for lapse in lapses]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory where everybody makes files, and nobody removes others'."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o1777)
    return path


@by_root
@pytest.mark.parametrize("what", ["users", ""], ids=["to the file", "to its directory"])
def test_a_link_of_somebody_else_can_be_replaced_in_a_sticky_directory_too(file, shared, what):
    link = shared / "link"
    link.symlink_to(file if what else file.parent)
    path = link if what else link / "users"
    assert found([*replaceable(path, MINE)]) == []
    os.lchown(link, STRANGER, STRANGER)
    assert found([*replaceable(path, MINE)]) == [(Who.OWNER, link, "chown -h root")]
    assert found([*replaceable(path, MINE | {STRANGER})]) == []


def test_every_link_of_a_chain_counts(file, tmp_path):
    middle = tmp_path / "middle"
    middle.mkdir(mode=0o755)
    (middle / "second").symlink_to(f"../inner/../inner/{file.name}")
    (tmp_path / "first").symlink_to(middle / "second")
    middle.chmod(0o777)
    assert {middle, file.parent} <= {*directories_above(tmp_path / "first")}
    assert found([*replaceable(tmp_path / "first", MINE)]) == [(Who.EVERYBODY, middle, "chmod go-w")]


def test_links_without_an_end_are_an_error_and_no_endless_walk(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(OSError, match="Too many levels"):
        directories_above(tmp_path / "one")


@by_root
def test_the_group_of_a_secret_may_read_it_if_nobody_else_is_in_it(file):
    other = next(user for user in pwd.getpwall() if user.pw_uid and user.pw_gid)
    file.chmod(0o640)
    os.chown(file, 0, other.pw_gid)
    (lapse,) = readable(file, MINE)
    assert lapse.who is Who.GROUP
    assert other.pw_name in lapse.words
    members = {user.pw_uid for user in pwd.getpwall() if user.pw_gid == other.pw_gid}
    assert list(readable(file, MINE | members)) == []
    os.chown(file, 0, STRANGER)  # a group without a name, as Kubernetes gives it
    assert list(readable(file, MINE)) == []
    os.chown(file, 0, 0)
    assert list(readable(file, MINE)) == []
    file.chmod(0o604)
    assert [lapse.who for lapse in readable(file, MINE)] == [Who.EVERYBODY]


@by_root
def test_what_a_stranger_made_where_everybody_may(shared):
    path = shared / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    assert list(unclaimed(path, MINE)) == []
    os.chown(path, STRANGER, STRANGER)
    assert [lapse.path for lapse in unclaimed(path, MINE)] == [path]
    assert list(unclaimed(path, MINE | {STRANGER})) == []
    link = shared / "link"
    link.symlink_to("socket")
    assert [lapse.path for lapse in unclaimed(link, MINE)] == [path]
    inner = shared / "inner"
    inner.mkdir(mode=0o755)
    path = path.rename(inner / "socket")
    assert list(unclaimed(path, MINE)) == []  # memcached's own user, in a directory that was made for it
    os.chown(inner, STRANGER, STRANGER)
    assert [lapse.path for lapse in unclaimed(path, MINE)] == [inner]


def test_the_group_of_root_is_alone_and_one_without_a_name_is_not():
    assert lone_group(0, frozenset())
    assert not lone_group(STRANGER, MINE)
