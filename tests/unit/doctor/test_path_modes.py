"""Who besides its owner can change a file, or put another one in its place."""

import os
from pathlib import Path

import pytest

from mcproxy.doctor.path_modes import Who, changeable, directories_above, lone_group, replaceable

MINE = frozenset({os.geteuid()})
STRANGER = 64_321


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners_and_groups_who_are_nobody_known(file):
    os.chown(file, STRANGER, STRANGER)
    file.chmod(0o660)
    assert [lapse.who for lapse in changeable(file, MINE)] == [Who.GROUP, Who.OWNER]
    assert [lapse.who for lapse in changeable(file, MINE | {STRANGER})] == [Who.GROUP]
    os.chown(file.parent, STRANGER, STRANGER)
    assert list(replaceable(file, MINE)) == []  # whoever owns the file may own its directory
    os.chown(file, 0, 0)
    assert [lapse.who for lapse in replaceable(file, MINE)] == [Who.OWNER]


def test_the_group_of_root_is_alone_and_one_without_a_name_is_not():
    assert lone_group(0, frozenset())
    assert not lone_group(STRANGER, MINE)
