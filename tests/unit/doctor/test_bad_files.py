"""Files that are gone, damaged, closed to this user, or pipes: each is told, and none is in the way of others."""

import dataclasses
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.config.addresses import TcpAddress
from mcproxy.doctor import deployment as deployment_module
from mcproxy.doctor import running_status as running_status_module
from mcproxy.doctor import upstream_facts as upstream_facts_module
from mcproxy.doctor.certificates import ends, strength
from mcproxy.doctor.deployment import Asked, Refusal, look_at, read_material, status_remedy
from mcproxy.doctor.file_modes import files
from mcproxy.doctor.processes import same_as_disk
from mcproxy.doctor.running_status import running_status
from mcproxy.doctor.upstream_facts import upstream_facts
from mcproxy.doctor.verdicts import MOST_SHOWN
from tests.support.certificates import SERVER_NAMES, Certificates
from tests.support.configuration import write_configuration, write_users
from tests.unit.doctor.examining import LISTENER, answering, deployment, says, told

NOBODY = 65534
PATIENCE = 5.0


def garbage(path: Path) -> None:
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


def endless(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path, "{}: No such file or directory"),
    (os.mkfifo, "{}: is not a regular file"),
    (os.mkdir, "{}: is not a regular file"),
    (endless, "{}: is too large"),
    (garbage, "{} holds nothing that can be read"),
]


@pytest.fixture(params=BAD, ids=["none", "pipe", "directory", "endless", "garbage"])
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A path, and what is wrong there."""
    make, problem = request.param
    path = tmp_path / "bad.crt"
    make(path)
    return path, problem.format(path)


def test_one_bad_certificate_hides_no_other(certificates: Certificates, bad: tuple[Path, str]) -> None:
    path, problem = bad
    good = certificates.issue("doctors-server", SERVER_NAMES, ExtendedKeyUsageOID.SERVER_AUTH)
    examined = deployment(
        {"tls": {"certificate": str(path), "key": str(good.key)}, "plaintext": False},
        upstream={"address": "10.0.0.9:11211", "tls": {"ca": str(certificates.authority)}},
        admin={"bind": "127.0.0.1:1", "tls": {"certificate": str(good.certificate), "key": str(good.key)}},
    )
    results = ends(examined)
    assert told(results)[0] == ("could not tell", f"until when its certificate is good: {problem}")
    assert [one.subject for one in results] == ["listener private", "upstream upstream", "admin port"]
    assert told(strength(examined))[0] == ("could not tell", f"how strong it is: {problem}")


def test_a_bad_certificate_of_the_admin_port_is_not_for_developers(bad: tuple[Path, str]) -> None:
    path, problem = bad
    examined = deployment(admin={"bind": "127.0.0.1:1", "tls": {"certificate": str(path), "key": str(path)}})
    assert told(ends(examined)) == [("could not tell", f"until when its certificate is good: {problem}")]


def test_a_file_that_is_not_there_is_nothing_for_root() -> None:
    remedies = {result.remedy for result in files(deployment()) if "No such file" in result.seen}
    assert remedies == {"put it right, or name another"}


async def test_a_pipe_in_the_place_of_the_upstreams_authority(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.crt")
    upstream = {"address": "127.0.0.1:1", "tls": {"ca": str(tmp_path / "ca.crt")}}
    with trio.fail_after(PATIENCE):
        facts = await upstream_facts(deployment(upstream=upstream).settings, {})
    assert facts["upstream"].problem == f"its files can't be used: {tmp_path}/ca.crt: is not a regular file"


async def test_a_pipe_in_the_place_of_the_admin_ports_certificate(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "admin.crt")
    with answering(says(b"")) as address:
        with trio.fail_after(PATIENCE):
            status, silence = await running_status(admin(address, tmp_path / "admin.crt"), None, None)
    assert (status, silence) == (None, f"{tmp_path}/admin.crt: is not a regular file")


def admin(address: TcpAddress, certificate: Path) -> Any:
    tls = {"certificate": str(certificate), "key": str(certificate)}
    return deployment(admin={"bind": str(address), "tls": tls}).settings


async def test_files_on_a_disk_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread stays behind; nobody waits for it."""
    ended = threading.Event()

    def hangs(*_: object) -> Any:
        ended.wait(PATIENCE)

    monkeypatch.setattr(upstream_facts_module, "PATIENCE", 0.05)
    monkeypatch.setattr(upstream_facts_module, "_states", hangs)
    monkeypatch.setattr(running_status_module, "_PATIENCE_WITH_FILES", 0.05)
    monkeypatch.setattr(running_status_module, "ask_status", hangs)
    monkeypatch.setattr(deployment_module, "_MACHINE_PATIENCE", 0.05)
    monkeypatch.setattr(deployment_module, "_machine", hangs)
    examined = deployment()
    try:
        with trio.fail_after(PATIENCE - 1):
            facts = await upstream_facts(examined.settings, {})
            status, silence = await running_status(examined.settings, None, None)
            with pytest.raises(TimeoutError, match="tables of sockets were not read within"):
                await look_at(examined.asked, examined.material, ())
    finally:
        ended.set()
    assert facts["upstream"].problem == "its files can't be read within 0.05 s"
    assert (status, silence) == (None, "the admin port's files can't be read within 0.05 s")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads everything. Others are refused by the modes of their own files."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)


def test_what_this_user_may_not_read_another_may() -> None:
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as outer:
        directory = Path(outer)
        directory.chmod(0o711)
        write_users(directory / "users", {"sammy": "secret"})
        (directory / "users").chmod(0 if os.geteuid() else 0o600)
        settings = {
            "listeners": {"private": LISTENER},
            "upstream": {"address": "127.0.0.1:11211"},
            "users_file": str(directory / "users"),
            "admin": {"bind": "127.0.0.1:9156", "token_file": str(directory / "none")},
        }
        write_configuration(directory / "mcproxy.yaml", settings)
        (directory / "mcproxy.yaml").chmod(0o644)
        read_material(directory / "mcproxy.yaml")  # has everything imported that nobody might not be able to read
        with as_nobody():
            _, refusals = read_material(directory / "mcproxy.yaml")
    assert [(one.unreadable, f"{directory}/users" in one.problem) for one in refusals] == [(True, True), (False, False)]
    results = same_as_disk(dataclasses.replace(deployment(), refusals=refusals))
    assert [str(result.verdict) for result in results[:2]] == ["could not tell", "finding"]
    assert "run this as root" in results[0].remedy
    assert "run this as root" not in results[1].remedy


def test_what_the_proxys_own_user_may_not_read_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcproxy.doctor.processes.running_user", lambda _: os.geteuid())
    examined = dataclasses.replace(deployment(), refusals=(Refusal("users can't be read", True),))
    assert told(same_as_disk(examined))[0] == ("finding", "users can't be read")


def test_the_admin_port_asks_for_a_certificate() -> None:
    tls = {"certificate": "/none.crt", "key": "/none.key", "client_ca": "/none.ca"}
    examined = deployment(admin={"bind": "127.0.0.1:1", "tls": tls})
    assert "give --certificate FILE" in same_as_disk(examined)[0].remedy
    given = dataclasses.replace(examined, asked=Asked(examined.asked.config, certificate=Path("/mine.crt")))
    assert "give --certificate" not in status_remedy(given)


def test_what_others_say_is_not_shown_at_any_length() -> None:
    problem = "A" * 3_000_000
    status = {"listeners": [], "files": [], "last_reload": {"result": "failure", "problem": problem}}
    seen = same_as_disk(deployment(status=status))[0].seen
    assert len(seen) < MOST_SHOWN + 50
    assert "AAA... (30000" in seen
