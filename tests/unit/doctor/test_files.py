"""Which files count as secret, whatever key names them, and memcached's own file of passwords."""

import dataclasses
import os
from pathlib import Path

import pytest

from mcproxy.config.load import Reading
from mcproxy.config.stand_in import stand_in_key
from mcproxy.doctor.breadth import pass_words
from mcproxy.doctor.file_modes import files
from mcproxy.doctor.upstream_facts import UpstreamFacts
from mcproxy.doctor.verdicts import Result
from tests.unit.doctor.examining import deployment

TEXT = """
listeners:
  a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [none], tls: {certificate: both.pem, key: tls.key}}
upstream: {address: "127.0.0.1:2"}
roles: {reader: {commands: [read], keys: ["*"]}}
default_roles: [reader]
"""
CERTIFICATE = "listeners.a.tls.certificate"


@pytest.fixture
def path(tmp_path: Path, certificates) -> Path:
    key = certificates.server_key.read_bytes()
    for name, content in (("both.pem", certificates.server_certificate.read_bytes() + key), ("tls.key", key)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path / "mcproxy.yaml"


def subjects(path: Path, text: str = TEXT) -> list[str]:
    """Those that every user can read."""
    path.write_text(text)
    read = Reading(text, path, stand_in_key=stand_in_key).material().files
    path.with_name("both.pem").chmod(0o644)
    examined = deployment()
    material = Reading(text, path, files=read, check_machine=False).material()
    asked = dataclasses.replace(examined.asked, config=path)
    results = files(dataclasses.replace(examined, asked=asked, material=material))
    return [one.subject for one in results if "every user can read" in one.seen]


def test_a_certificates_file_that_holds_a_key_is_secret(path):
    both = path.with_name("both.pem")
    assert subjects(path) == [f"{CERTIFICATE} (a private key is in it) {both}"]


def test_a_file_that_two_keys_name_is_secret_if_one_of_them_says_so(path):
    both = path.with_name("both.pem")
    assert subjects(path, TEXT.replace("tls.key", "both.pem")) == [f"{CERTIFICATE} (a private key is in it) {both}"]


def test_a_certificates_own_file_is_not(path, certificates):
    path.with_name("both.pem").write_bytes(certificates.server_certificate.read_bytes())
    assert subjects(path) == []


@pytest.mark.parametrize(("mode", "verdict"), [(0o644, "finding"), (0o600, "note")])
def test_memcacheds_file_of_passwords(tmp_path, mode, verdict):
    listed = tmp_path / "passwords"
    listed.touch()
    listed.chmod(mode)
    [one] = kept(listed)
    assert one.verdict == verdict
    assert str(listed) in one.seen
    assert (one.remedy == f"run: chmod o= {listed}") == (verdict == "finding")


def test_one_that_is_not_here_may_be_in_memcacheds_container(tmp_path):
    [one] = kept(tmp_path / "none")
    assert one.verdict == "note"
    assert [one.verdict for one in kept(Path("relative"))] == ["note"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_group_that_may_be_memcacheds(tmp_path):
    listed = tmp_path / "passwords"
    listed.touch(mode=0o640)
    os.chown(listed, 0, 65534)
    assert [one.verdict for one in kept(listed)] == ["could not tell"]


def kept(path: Path) -> list[Result]:
    facts = UpstreamFacts(settings={"auth_enabled_ascii": str(path)})
    return [one for one in pass_words(deployment(facts=facts)) if "upstream" in one.subject]
