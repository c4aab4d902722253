"""The key beside the users file: made once, read strictly."""

import os
import stat
import threading
from base64 import b64encode

import pytest

from mcproxy.files.stand_in_key import (
    StandInKeyError,
    read_or_make_stand_in_key,
    read_stand_in_key,
    stand_in_key_path,
)

KEY = bytes(range(32))


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    path.touch(mode=0o600)
    return path


@pytest.fixture
def key_file(users):
    path = users.with_name("users.key")
    path.touch(mode=0o600)
    path.write_bytes(b64encode(KEY) + b"\n")
    return path


def test_it_is_made_once_and_stays(users):
    key = read_or_make_stand_in_key(users)
    path = stand_in_key_path(users)
    assert path == users.with_name("users.key")
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b64encode(key) + b"\n"
    assert read_or_make_stand_in_key(users) == key
    assert read_stand_in_key(users) == key


def test_another_place_has_another(users, tmp_path):
    assert read_or_make_stand_in_key(users) != read_or_make_stand_in_key(tmp_path / "others")


def test_none_is_made_by_looking(users):
    assert read_stand_in_key(users) is None
    assert not stand_in_key_path(users).exists()


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_line_ends(users, key_file, end):
    key_file.write_bytes(b64encode(KEY) + end)
    assert read_stand_in_key(users) == KEY


def test_the_group_may_read_it(users, key_file):
    key_file.chmod(0o640)
    assert read_stand_in_key(users) == KEY


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b64encode(KEY[:31]),
        b64encode(KEY + b"x"),
        b64encode(KEY) + b"\n\n",
        b64encode(KEY) + b"\nmore",
        b64encode(KEY)[:-1] + b"B",
        b" " + b64encode(KEY),
        b"\xff" * 44,
        b"A" * 10_000,
        KEY,
    ],
)
@pytest.mark.parametrize("read", [read_stand_in_key, read_or_make_stand_in_key])
def test_what_is_no_key_is_not_replaced(users, key_file, content, read):
    key_file.write_bytes(content)
    with pytest.raises(StandInKeyError, match="does not hold a key") as caught:
        read(users)
    assert str(key_file) in str(caught.value)
    assert key_file.read_bytes() == content


@pytest.mark.parametrize(("mode", "can"), [(0o604, "read"), (0o602, "changed"), (0o666, "read")])
def test_a_key_for_everybody(users, key_file, mode, can):
    key_file.chmod(mode)
    with pytest.raises(StandInKeyError, match=rf"can be {can} by everybody .* run: chmod o= "):
        read_or_make_stand_in_key(users)


def test_a_pipe_and_a_directory_are_refused_at_once(users, tmp_path):
    os.mkfifo(tmp_path / "users.key", 0o600)
    with pytest.raises(StandInKeyError, match="is not a regular file"):
        read_or_make_stand_in_key(users)
    (tmp_path / "users.key").unlink()
    (tmp_path / "users.key").mkdir(0o700)
    with pytest.raises(StandInKeyError, match="is not a regular file"):
        read_or_make_stand_in_key(users)


def test_where_it_can_not_be_made(users, monkeypatch):
    def refused(*arguments, **more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("mcproxy.files.whole.tempfile.mkstemp", refused)
    with pytest.raises(StandInKeyError, match=r"can't be made: Read-only file system; .*openssl rand -base64 32"):
        read_or_make_stand_in_key(users)


def test_where_there_is_no_directory(tmp_path):
    with pytest.raises(StandInKeyError, match="can't be made: No such file or directory"):
        read_or_make_stand_in_key(tmp_path / "missing" / "users")


def test_all_who_make_it_at_once_get_the_same(users):
    keys = []
    together = threading.Barrier(8)

    def make():
        together.wait()
        keys.append(read_or_make_stand_in_key(users))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert sorted(path.name for path in users.parent.iterdir()) == ["users", "users.key"]
