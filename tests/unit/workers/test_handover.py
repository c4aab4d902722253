"""What workers are handed: everything that was read, unchangeable, and nothing that has to be read again."""

import json
import os
import ssl
from pathlib import Path

import pytest
import yaml

from mcproxy.server.generation import generation_of
from mcproxy.server.reload import load_first
from mcproxy.workers.handover import Current, OtherVersion, pack, read, unpack, write
from tests.support.configuration import configuration, write_users


@pytest.fixture
def material(tmp_path, certificates):
    text = yaml.safe_dump(configuration(tmp_path, "127.0.0.1:1", certificates, workers=4))
    write_users(tmp_path / "users", {"sammy": "x"})
    path = tmp_path / "mcproxy.yaml"
    path.write_text(text)
    return load_first(path).material


def test_it_comes_as_it_was_for_every_worker(material):
    current = Current(7, material)
    try:
        for _ in range(2):
            number, given = unpack(read(current.descriptor))
            assert number == 7
            assert given.users.names() == ["sammy"]
            assert given.digests() == material.digests()
            assert given.settings.workers == 4
    finally:
        current.close()


def test_nobody_can_change_it(material):
    descriptor = write(pack(1, material))
    try:
        for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def open_files():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def test_no_file_is_read_again_and_none_is_left_open(material, tmp_path):
    (tmp_path / "users").unlink()
    (tmp_path / "users.key").unlink(missing_ok=True)
    (tmp_path / "mcproxy.yaml").unlink()
    before = open_files()
    generation = generation_of(*unpack(pack(3, material)))
    assert open_files() == before
    assert generation.number == 3
    assert isinstance(generation.listeners["tls"].context, ssl.SSLContext)
    assert generation.listeners["plain"].context is None
    assert generation.settings.listeners["tls"].tls == material.settings.listeners["tls"].tls, "with their own names"


def test_the_stand_ins_are_the_same_in_every_worker(material):
    salts = {unpack(pack(1, material))[1].users.verifiers_or_stand_in("stranger", "SCRAM-SHA-256")[0] for _ in range(3)}
    assert len(salts) == 1


def test_without_a_users_file_there_are_no_users(tmp_path, certificates):
    changes = {
        "users_file": None,
        "listeners": {"plain": {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]}},
    }
    settings = configuration(tmp_path, "127.0.0.1:1", certificates, **changes)
    settings["listeners"] = {"plain": settings["listeners"]["plain"]}
    settings["grants"] = []
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(settings))
    assert unpack(pack(1, load_first(path).material))[1].users.names() == []


def test_a_program_that_was_replaced_says_so(material):
    packed = json.dumps(json.loads(pack(1, material)) | {"version": "0.0.1"}).encode()
    with pytest.raises(OtherVersion, match=r"mcproxy 0\.0\.1 runs and .* is installed: restart mcproxy"):
        unpack(packed)
