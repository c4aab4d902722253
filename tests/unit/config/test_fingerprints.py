"""What tells that a file is another one, what doesn't, and that no secret can be searched for by it."""

import os
import shutil
from pathlib import Path

import pytest

from mcproxy.config import fingerprints as module
from mcproxy.config.fingerprints import ServedFiles, fingerprints
from mcproxy.config.load import Reading
from mcproxy.config.stand_in import stand_in_key
from tests.support.configuration import write_users

CERTIFICATE, KEY, USERS = "listeners.a.tls.certificate", "listeners.a.tls.key", "users_file"
BESIDE = "the key beside users_file"
TEXT = """
listeners: {a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [sasl], tls: {certificate: crt, key: key}}}
upstream: {address: "127.0.0.1:2"}
users_file: users
"""


@pytest.fixture
def path(tmp_path: Path, certificates) -> Path:
    (tmp_path / "crt").write_bytes(certificates.server_certificate.read_bytes())
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(certificates.server_key.read_bytes())
    write_users(tmp_path / "users", {"sammy": "secret"}, 4096)
    return tmp_path / "mcproxy.yaml"


def served(path: Path, text: str = TEXT) -> ServedFiles:
    return ServedFiles(Reading(text, path, stand_in_key=stand_in_key).material())


def unchanged(files: ServedFiles) -> dict[object, object]:
    return {row["key"]: row["unchanged"] for row in files.rows() if "unchanged" in row}


def put(path: Path, content: bytes) -> None:
    """As `mv` and `rsync -t` do, with the time that the one before has."""
    status = path.stat()
    other = path.with_name("other")
    other.touch(mode=0o600)
    other.write_bytes(content)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def test_every_file_has_a_row_and_no_secret_more_than_that(path):
    files = served(path)
    fingerprinted = [row["key"] for row in files.rows() if isinstance(row.get("fingerprint"), str)]
    assert fingerprinted == ["configuration", CERTIFICATE]
    secret = [row for row in files.rows() if row["key"] not in fingerprinted]
    assert secret == [{"key": key, "unchanged": True} for key in (KEY, USERS, BESIDE)]


def test_other_content_of_what_is_public_is_another(path):
    before = fingerprints(Reading(TEXT, path).material())
    put(path.with_name("crt"), path.with_name("crt").read_bytes())
    assert fingerprints(Reading(TEXT, path).material()) == before
    put(path.with_name("crt"), path.with_name("crt").read_bytes() + b"\n")
    after = fingerprints(Reading(TEXT + "# and a comment\n", path).material())
    assert [key for key in before if before[key] != after[key]] == ["configuration", CERTIFICATE]


def test_a_certificate_with_its_key_in_the_file_is_secret(path):
    crt = path.with_name("crt")
    crt.write_bytes(crt.read_bytes() + path.with_name("key").read_bytes())
    crt.chmod(0o600)
    assert unchanged(served(path))[CERTIFICATE] is True
    assert CERTIFICATE not in fingerprints(Reading(TEXT, path).material())


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("certificate: crt", "certificate: key")])
def test_one_file_for_both_is_secret(path, text):
    key = path.with_name("key")
    key.write_bytes(path.with_name("crt").read_bytes() + key.read_bytes())
    assert unchanged(served(path, text))[KEY] is True
    assert unchanged(served(path, text)).get(CERTIFICATE) is (True if text != TEXT else None)


@pytest.mark.parametrize(("name", "key"), [("key", KEY), ("users", USERS), ("users.key", BESIDE)])
def test_another_secret_is_seen_however_old_its_file_says_that_it_is(path, name, key):
    files, secret = served(path), path.with_name(name)
    before = secret.read_bytes()
    put(secret, b"another" + before)
    assert unchanged(files) == {KEY: True, USERS: True, BESIDE: True, key: False}
    put(secret, before)
    assert all(unchanged(files).values())
    secret.unlink()
    assert unchanged(files)[key] is False


def test_one_written_in_place_whose_time_is_set_back_is_seen(path):
    files, key = served(path), path.with_name("key")
    assert all(unchanged(files).values())
    status = key.stat()
    with key.open("r+b") as file:
        file.write(b"#")
    os.utime(key, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert unchanged(files)[KEY] is False


def test_the_same_secrets_in_another_directory_are_the_same(path):
    """As Kubernetes swaps ..data."""
    files, users = served(path), path.with_name("users")
    shutil.copytree(path.parent, path.parent / "next")
    users.unlink()
    users.symlink_to("next/users")
    path.with_name("key").chmod(0o640)
    assert all(unchanged(files).values())


def test_what_looks_as_before_is_not_read_again(path, monkeypatch):
    files = served(path)
    rows = files.rows()
    monkeypatch.setattr(module, "read_regular_file", None)
    assert files.rows() == rows


def test_nothing_is_compared_where_a_disk_hangs(path):
    assert {row["unchanged"] for row in served(path).rows(compared=False) if "unchanged" in row} == {None}
