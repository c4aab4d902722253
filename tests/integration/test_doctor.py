"""`mcproxy doctor` finds each planted fault, says so in that fault's examination, and finds nothing in a sound one."""

import datetime
import hashlib
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mcproxy.auth.verifiers import DEFAULT_ITERATIONS
from mcproxy.doctor.package_fixes import Program, package_of
from mcproxy.doctor.registry import EXAMINATIONS
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, write_configuration, write_users
from tests.support.memcached import Memcached
from tests.support.namespaces import NEAR_ADDRESS, Namespaces
from tests.support.old_memcached import old_memcached
from tests.support.sound_deployment import ADMIN_PORT, MEMCACHED_PORT, USER, SoundDeployment
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sound(certificates: Certificates) -> Iterator[SoundDeployment]:
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as outer:
        Path(outer).chmod(0o711)  # the proxy's user passes through
        directory = Path(outer, "doctor")
        directory.mkdir()
        with Namespaces() as namespaces, SoundDeployment(directory, certificates, namespaces) as deployment:
            yield deployment


class Fault(NamedTuple):
    """`plant` makes it and takes it away again; `examination` must find it, in words that hold `seen`.

    `besides` are examinations that may find something too, beside the one that compares what runs with the disk, where
    most faults are planted.
    """

    name: str
    plant: Callable[[SoundDeployment], AbstractContextManager[object]]
    examination: str
    seen: str
    besides: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    password: str = ""

    def __str__(self) -> str:
        return self.name


def upstream(address: str) -> dict[str, Any]:
    return {"upstream": {"address": address}}


@contextmanager
def around(sound: SoundDeployment, *options: str) -> Iterator[None]:
    listening = sound.memcached("-p", str(MEMCACHED_PORT), *options, user=False)
    with listening, sound.changed(**upstream(f"127.0.0.1:{MEMCACHED_PORT}")):
        yield


@contextmanager
def mode(path: Path, planted: int) -> Iterator[None]:
    before = path.stat().st_mode & 0o7777
    path.chmod(planted)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def open_socket(sound: SoundDeployment) -> Iterator[None]:
    with mode(sound.directory, 0o711), mode(sound.directory / "memcached.sock", 0o777):
        yield


@contextmanager
def replaced(path: Path) -> Iterator[None]:
    """Something else may be put in a file's place; then it is there again, the very same."""
    before = path.rename(path.with_name("before"))
    try:
        yield
    finally:
        before.rename(path)


@contextmanager
def weak_passwords(sound: SoundDeployment) -> Iterator[None]:
    with replaced(sound.users_file):
        write_users(sound.users_file, PASSWORDS, 4096)
        os.chown(sound.users_file, USER, USER)
        yield


@contextmanager
def older_users(sound: SoundDeployment) -> Iterator[None]:
    """As a backup is put back: the time that it has is long before the start."""
    with replaced(sound.users_file):
        write_users(sound.users_file, {"sammy": "another"}, DEFAULT_ITERATIONS)
        os.chown(sound.users_file, USER, USER)
        os.utime(sound.users_file, (0, 0))
        yield


@contextmanager
def older_configuration(sound: SoundDeployment) -> Iterator[None]:
    with sound.changed(default_roles=["app"]):
        os.utime(sound.configuration, (0, 0))
        yield


@contextmanager
def strangers_socket(sound: SoundDeployment) -> Iterator[None]:
    path = sound.directory / "side.sock"
    side = {"bind": [f"unix:{path}"], "authentication": ["peer"]}
    grants = [*sound.settings["grants"], {"peer": {"uid": 1000}, "as": "side", "roles": ["app"]}]
    with socket.socket(socket.AF_UNIX) as server, sound.changed(listeners={"side": side}, grants=grants):
        server.bind(str(path))
        os.chown(path, STRANGER, STRANGER)
        try:
            yield
        finally:
            path.unlink()


def certificate(sound: SoundDeployment, **how: Any) -> AbstractContextManager[object]:
    issued = sound.server_certificate("planted", **how)
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)}
    return sound.changed(listeners={"private": {"tls": tls}})


def stale_list(sound: SoundDeployment) -> AbstractContextManager[object]:
    crl = sound.certificates.revocation_list("stale", ends=-datetime.timedelta(minutes=1))
    tls = sound.settings["listeners"]["private"]["tls"]
    more = {"client_ca": str(sound.certificates.authority), "crl": str(crl), "client_certificate": "optional"}
    return sound.changed(listeners={"private": {"tls": {**tls, **more}}})


def role(sound: SoundDeployment, command_class: str) -> AbstractContextManager[object]:
    roles = {**sound.settings["roles"], "planted": {"commands": [command_class], "keys": ["*"]}}
    grants = [*sound.settings["grants"], {"user": "root", "roles": ["planted"]}]
    return sound.changed(roles=roles, grants=grants)


def without_tls(sound: SoundDeployment) -> AbstractContextManager[object]:
    plain = {key: value for key, value in sound.settings["listeners"]["private"].items() if key != "tls"}
    listeners = {**sound.settings["listeners"], "private": {**plain, "plaintext": True, "plaintext_passwords": True}}
    return sound.replaced(listeners=listeners)


def by_address(sound: SoundDeployment) -> AbstractContextManager[object]:
    grants = [*sound.settings["grants"], {"address": "10.64.0.0/30", "as": "planted", "roles": ["app"]}]
    return sound.changed(listeners={"private": {"authentication": ["address", "sasl"]}}, grants=grants)


@contextmanager
def broken_reload(sound: SoundDeployment) -> Iterator[None]:
    """The file is whole again by the time that the doctor comes: what tells is the proxy."""
    sound.configuration.write_text("listeners: [\n")
    reload(sound, "reload_failed")
    write_configuration(sound.configuration, sound.settings)
    yield
    reload(sound, "reloaded")


def reload(sound: SoundDeployment, event: str) -> None:
    before = len(sound.proxy.events(event))
    os.kill(sound.proxy.pid, signal.SIGHUP)
    eventually(event, lambda: len(sound.proxy.events(event)) > before)


@contextmanager
def old(sound: SoundDeployment, version: str) -> Iterator[None]:
    """No such old one can be had to run here, so this one only says that it is."""
    path = sound.directory / "old.sock"
    with old_memcached(path, version), sound.changed(**upstream(f"unix:{path}")):
        yield


def telling(sound: SoundDeployment) -> AbstractContextManager[object]:
    admin = {"bind": f"unix:{sound.directory}/admin.sock", "health_bind": f"127.0.0.1:{ADMIN_PORT}"}
    return sound.changed(admin=admin)


TLS, DISK = "tls", "same-as-disk"
STRANGER = USER + 1

FAULTS = [
    Fault("memcached-bound-everywhere", lambda s: around(s, "-l", "0.0.0.0"), "around", f"{NEAR_ADDRESS}:11211 ans"),
    Fault("udp", lambda s: around(s, "-l", "127.0.0.1", "-U", "11211"), "udp", "UDP is on: 127.0.0.1:11211"),
    Fault("socket-for-everybody", open_socket, "upstream-socket", "every user of this machine can open"),
    Fault("dump-commands", lambda s: role(s, "inspect"), "dump-commands", "user root may list every key"),
    Fault("old-memcached", lambda s: old(s, "1.5.5"), "version", "CVE-2018-1000115", ("around", "udp")),
    Fault("users-file-for-everybody", lambda s: mode(s.users_file, 0o644), "files", "every user can read"),
    Fault("strangers-socket", strangers_socket, "sockets", f"belongs to user id {STRANGER}"),
    Fault("changeable-directory", lambda s: mode(s.directory, 0o777), "files", "every user can change the directory",
          ("upstream-socket",)),
    Fault("certificate-near-its-end", lambda s: certificate(s, ends=datetime.timedelta(days=3)), "expiry", "in 3 days",
          (TLS,)),
    Fault("certificate-for-no-name", lambda s: certificate(s, ends=datetime.timedelta(days=90), names=[]),
          "certificates", "it is for no name", (TLS,)),
    Fault("certificate-not-reloaded", lambda s: certificate(s, ends=datetime.timedelta(days=90)), TLS,
          "shows another certificate"),
    Fault("stale-revocation-list", stale_list, "expiry", "revocation list has expired"),
    Fault("allowlist-too-wide", lambda s: s.changed(listeners={"private": {"allow": ["0.0.0.0/0"]}}), "allowlist",
          "every address of IPv4"),
    Fault("passwords-without-tls", without_tls, "clear-passwords", "token and PLAIN without TLS"),
    Fault("known-by-address-alone", by_address, "ways-in", "an address is all that is asked"),
    Fault("weak-passwords", weak_passwords, "passwords", "as few as 4096 iterations"),
    Fault("admin-granted", lambda s: role(s, "admin"), "grants", "user root may change memcached's own settings"),
    Fault("wrong-password", lambda s: ExitStack(), "login", "the login of sammy by SCRAM-SHA-256 is refused",
          options=("--user", "sammy", "--password-stdin"), password="wrong"),
    Fault("unlisted-address-let-in", lambda s: s.changed(listeners={"private": {"allow": ["10.64.0.2/32"]}}),
          "unlisted", f"from {NEAR_ADDRESS}: let in, though it is not in allow"),
    Fault("health-port-that-tells", telling, "health-port", "serves /metrics, and should say nothing"),
    Fault("older-configuration", older_configuration, DISK, "another configuration than"),
    Fault("older-users-file", older_users, DISK, "(users_file) has been changed or replaced"),
    Fault("reload-failed", broken_reload, DISK, "the last reload failed"),
]  # fmt: skip


def findings(document: dict[str, Any]) -> list[dict[str, str]]:
    return [one for one in document["results"] if one["verdict"] == "finding"]


def mended() -> bool:
    """Whether this machine's memcached is Debian's with its last fixes; one that is only unpacked is nobody's."""
    path = Path("/usr/bin/memcached")
    digest = hashlib.md5(path.read_bytes()).hexdigest() if path.exists() else ""
    package = package_of(Program(str(path), False, digest), "1.6.18")
    return package is not None and "CVE-2026-47784" in package.fixes


def test_nothing_is_found_where_all_is_well(sound):
    status, document = sound.doctor("--user", "sammy", "--password-stdin", password=PASSWORDS["sammy"])
    # Of the memcached that this machine has, whatever it is, the doctor has to tell what is known.
    found = [one for one in findings(document) if one["examination"] != "version" or mended()]
    assert found == []
    assert (status, document["sound"]) == ((0, True) if not findings(document) else (1, False))
    assert document["counts"]["could not tell"] == 0
    assert {one["examination"] for one in document["results"]} == {one.name for one in EXAMINATIONS}


def test_people_get_a_table(sound):
    status, table = sound.table()
    assert status == (0 if mended() else 1)
    assert ", 0 could not tell, " in table.splitlines()[-1]
    assert "do:  start memcached with -X" in table


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found(sound, fault):
    with fault.plant(sound):
        status, document = sound.doctor(*fault.options, password=fault.password)
    found = findings(document)
    assert status == 1
    mine = [one for one in found if one["examination"] == fault.examination]
    assert any(fault.seen in one["seen"] for one in mine), f"not found; what was: {found}"
    assert all(one["remedy"] for one in mine)
    others = {one["examination"] for one in found} - {fault.examination, *fault.besides}
    # What is on disk is not what runs: that is told as well; and of this machine's memcached what is known.
    expected = {DISK} if mended() else {DISK, "version"}
    assert others <= expected, f"found besides: {[one for one in found if one['examination'] in others]}"


def test_a_proxy_that_is_gone_is_not_taken_for_well(sound):
    """What has taken its place is a memcached, which asks nobody; what could not be looked at is said to be so."""
    with (
        sound.changed(listeners={"local": {"bind": ["127.0.0.1:11299"]}}, admin={"bind": "127.0.0.1:9199"}),
        sound.memcached("-p", "11299", "-l", "127.0.0.1", user=False),
    ):
        status, document = sound.doctor()
    seen = {(one["examination"], one["verdict"]) for one in document["results"]}
    assert status == 1
    assert ("unauthenticated", "finding") in seen
    assert {(DISK, "could not tell"), ("admin-port", "could not tell")} <= seen


def test_a_proxy_of_root_is_found(sound):
    """By the process that listens on the admin port: here the one that is asked about is a memcached of root's."""
    with sound.changed(admin={"bind": "127.0.0.1:9198"}), sound.memcached("-p", "9198", "-l", "127.0.0.1", user=False):
        _, document = sound.doctor()
    assert any("runs as root" in one["seen"] for one in findings(document))


def test_nothing_of_it_reaches_the_cache(sound):
    """What it asks without a login, and with keys that are none, ends at the proxy. Of two doctors' one login fails."""
    before = len(sound.proxy.events("login_failed"))
    for _ in range(2):
        sound.doctor("--user", "sammy", "--password-stdin", password=PASSWORDS["sammy"])
    memcached = Memcached(sound.directory)
    memcached.socket_path = sound.directory / "memcached.sock"
    statistics = memcached.statistics()
    assert [statistics[name] for name in ("cmd_get", "cmd_set", "cmd_touch", "cmd_flush")] == ["0"] * 4
    assert len(sound.proxy.events("login_failed")) <= before + 1
