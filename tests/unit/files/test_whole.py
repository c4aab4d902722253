"""Files that are whole or not there, whatever comes between."""

import fcntl
import os
import stat
import threading

import pytest

from mcproxy.files.whole import LockedError, locked, make_file, replace_file


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "file"


def test_a_new_file_is_its_owner_s(file):
    replace_file(file, b"content")
    assert (file.read_bytes(), mode(file)) == (b"content", 0o600)


def test_a_replaced_file_keeps_mode_and_owner(file):
    file.write_bytes(b"before")
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 12345, 23456)
    before = file.stat()
    replace_file(file, b"after")
    after = file.stat()
    assert file.read_bytes() == b"after"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.parametrize("write", [replace_file, lambda path, content: make_file(path, content, like=path)])
def test_a_failure_leaves_nothing(file, monkeypatch, write):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mcproxy.files.whole.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(file, b"content")
    assert list(file.parent.iterdir()) == []


def test_a_file_is_made_once(file):
    make_file(file, b"first", like=file.with_name("none"))
    with pytest.raises(FileExistsError):
        make_file(file, b"second", like=file.with_name("none"))
    assert (file.read_bytes(), mode(file)) == (b"first", 0o600)
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(("given", "made"), [(0o600, 0o600), (0o640, 0o640), (0o666, 0o640), (0o400, 0o600)])
def test_a_file_is_made_for_those_who_read_another(file, given, made):
    like = file.with_name("like")
    like.touch()
    like.chmod(given)
    if os.geteuid() == 0:
        os.chown(like, 12345, 23456)
    make_file(file, b"content", like=like)
    assert mode(file) == made
    assert (file.stat().st_uid, file.stat().st_gid) == (like.stat().st_uid, like.stat().st_gid)


def test_a_lock_that_somebody_holds(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(LockedError, match="another process holds the lock"), locked(tmp_path, 0.05):
            pass
    finally:
        os.close(descriptor)
    with locked(tmp_path, 0):
        pass


def test_a_lock_is_waited_for(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    taken = threading.Event()

    def take():
        with locked(tmp_path, 20):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.is_set()
    os.close(descriptor)
    thread.join()
    assert taken.is_set()
