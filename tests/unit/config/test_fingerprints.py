"""What tells that a file is another one, and what doesn't."""

import os
from pathlib import Path

import pytest

from mcproxy.config.fingerprints import fingerprints
from mcproxy.config.load import Reading

CERTIFICATE, KEY = "listeners.a.tls.certificate", "listeners.a.tls.key"
TEXT = """
listeners: {a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [none], tls: {certificate: crt, key: key}}}
upstream: {address: "127.0.0.1:2"}
roles: {reader: {commands: [read], keys: ["*"]}}
default_roles: [reader]
"""


@pytest.fixture
def path(tmp_path: Path, certificates) -> Path:
    (tmp_path / "crt").write_bytes(certificates.server_certificate.read_bytes())
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_bytes(certificates.server_key.read_bytes())
    return tmp_path / "mcproxy.yaml"


def taken(path: Path, text: str = TEXT) -> dict[str, str]:
    reading = Reading(text, path)
    return fingerprints(reading.material(), reading.look)


def put(path: Path, content: bytes) -> None:
    """As `mv` and `rsync -t` do, with the time that the one before has."""
    status = path.stat()
    other = path.with_name("other")
    other.touch(mode=0o600)
    other.write_bytes(content)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def test_every_file_has_one(path):
    assert taken(path).keys() == {"configuration", CERTIFICATE, KEY}


def test_the_same_content_of_what_is_public_is_the_same(path):
    before = taken(path)
    put(path.with_name("crt"), path.with_name("crt").read_bytes())
    path.with_name("key").chmod(0o640)
    assert taken(path) == before


def test_other_content_is_another_however_old_the_file_says_that_it_is(path):
    before = taken(path)
    put(path.with_name("crt"), path.with_name("crt").read_bytes() + b"\n")
    put(path.with_name("key"), path.with_name("key").read_bytes())
    after = taken(path, TEXT + "# and a comment\n")
    assert {key for key in before if before[key] != after[key]} == {"configuration", CERTIFICATE, KEY}


def test_of_a_secret_the_content_is_not_in_it(path, certificates):
    """Of another one that takes its place in the same file, of the same size and time, it is the same."""
    before = taken(path)
    key = path.with_name("key")
    status = key.stat()
    with key.open("r+b") as file:
        file.write(b"\n" + key.read_bytes()[:-1])
    os.utime(key, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert taken(path) == before
