"""What workers are handed: everything that was read, unchangeable, and their part of the memory."""

import os
from dataclasses import replace

import pytest
import yaml

from mcproxy.config.load import loads
from mcproxy.server.build import listener_states
from mcproxy.workers.handover import Handover, OtherVersion
from tests.support.configuration import configuration, write_users


@pytest.fixture
def handover(tmp_path, certificates):
    text = yaml.safe_dump(configuration(tmp_path, "127.0.0.1:1", certificates, workers=4))
    write_users(tmp_path / "users", {"sammy": "x"})
    path = tmp_path / "mcproxy.yaml"
    return Handover.of(loads(text, path), text, path)


def test_it_comes_as_it_was_for_every_worker(handover):
    descriptor = handover.write()
    try:
        for _ in range(2):
            read = Handover.read(descriptor)
            assert read == handover
            assert read.parsed_users().names() == ["sammy"]
    finally:
        os.close(descriptor)


def test_nobody_can_change_it(handover):
    descriptor = handover.write()
    try:
        for change in (lambda: os.pwrite(descriptor, b"x", 0), lambda: os.ftruncate(descriptor, 0)):
            with pytest.raises(PermissionError):
                change()
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_tls_files_are_not_read_again_and_memory_is_divided(handover, tmp_path):
    (tmp_path / "users").unlink()
    settings = handover.settings()
    tls = settings.listeners["tls"].tls
    try:
        assert str(tls.key).startswith("/proc/self/fd/")
        assert str(tls.certificate).startswith("/proc/self/fd/")
        states = listener_states(settings)
        assert states["tls"].context is not None
        assert states["plain"].context is None
        assert settings.limits.total_buffer == 64 * 2**20
        assert settings.limits.connections == 4096, "which is the parent's to count"
    finally:
        for name in (tls.key, tls.certificate):
            os.close(int(name.name))


def test_without_a_users_file_there_are_no_users():
    assert Handover("m", "", "", 2).parsed_users().names() == []


def test_a_program_that_was_replaced_says_so(handover):
    descriptor = replace(handover, version="0.0.1").write()
    try:
        with pytest.raises(OtherVersion, match=r"mcproxy 0\.0\.1 runs and .* is installed: restart mcproxy"):
            Handover.read(descriptor)
    finally:
        os.close(descriptor)
