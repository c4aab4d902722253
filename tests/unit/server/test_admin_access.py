"""Who may ask the admin port: names that it has, and the token."""

import base64
import hashlib

import h11
import pytest

from mcproxy.config.schema import Admin
from mcproxy.observe import log
from mcproxy.server import admin_access
from mcproxy.server.admin_access import AdminMaterial, Guard

TOKEN = "correct-horse-battery-staple"
DIGEST = hashlib.sha256(TOKEN.encode()).digest()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def asked(host=b"localhost", authorization=(), version=b"1.1"):
    headers = [] if host is None else [(b"Host", host)]
    headers += [(b"Authorization", value) for value in authorization]
    return h11.Request(method=b"GET", target=b"/metrics", headers=headers, http_version=version)


def guard_of(*, token=None, hosts=(), clock=None):
    material = AdminMaterial(Admin(hosts=list(hosts)), token=token)
    return Guard(lambda: material, clock or Clock())


def status(reply):
    return None if reply is None else reply.status


def by_host(host, *, local="127.0.0.1", path=b"/metrics", hosts=(), version=b"1.1"):
    return status(guard_of(hosts=hosts).refusal(asked(host, version=version), path, local, "127.0.0.1"))


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LOCALHOST:9156",
        b"localhost.",
        b"127.0.0.1:9156",
        b"127.0.0.1",
        b"[::1]:9156",
        b"127.1.2.3",
        b"localhost:",
    ],
)
def test_names_of_this_machine_are_its_own(host):
    assert by_host(host) is None


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:9156",
        b"localhost.evil.example",
        b"evil.localhost",
        b"127.0.0.1.evil.example",
        b"10.0.0.5",
        b"169.254.169.254",
        b"[fd00::5]",
        b"",
        b"localhost:9156:9156",
        b"localhost, evil.example",
        b"user@localhost",
        b"127.0.0.1%00",
        b"[localhost]",
        b"0x7f000001",
        b"2130706433",
        b"0",
        b"loc\xc3\xa4lhost",
        b"a" * 5000,
    ],
)
def test_other_names_are_refused(host):
    assert by_host(host) == 421
    assert by_host(host, path=b"/healthz") == 421


def test_an_address_that_was_connected_to_is_its_own():
    assert by_host(b"10.0.0.5:9156", local="10.0.0.5") is None
    assert by_host(b"[fd00::5]:9156", local="fd00::5") is None
    assert by_host(b"10.0.0.5", local="::ffff:10.0.0.5") is None
    assert by_host(b"10.0.0.6", local="10.0.0.5") == 421


def test_hosts_are_further_names():
    assert by_host(b"cache-1.Example.com:443", hosts=["cache-1.example.com"]) is None
    assert by_host(b"cache-2.example.com", hosts=["cache-1.example.com"]) == 421
    assert by_host(b"10.9.9.9", hosts=["10.9.9.9"]) is None


def test_without_a_host_there_are_health_checks_alone():
    assert by_host(None, version=b"1.0") == 400
    assert by_host(None, path=b"/healthz", version=b"1.0") is None


def test_no_web_page_reaches_a_unix_socket():
    assert status(guard_of().refusal(asked(b"anything"), b"/metrics", None, "unix")) is None


class Tries:
    """Requests to one guard with a token."""

    def __init__(self):
        self.clock = Clock()
        self.guard = guard_of(token=DIGEST, clock=self.clock)

    def __call__(self, *authorization, source="10.0.0.9", path=b"/metrics"):
        self.reply = self.guard.refusal(asked(authorization=authorization), path, "127.0.0.1", source)
        return status(self.reply)


def basic(user, password):
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


@pytest.fixture
def tries():
    return Tries()


def test_the_token_opens(tries):
    assert tries(b"Bearer " + TOKEN.encode()) is None
    assert tries(b"bearer  " + TOKEN.encode()) is None
    assert tries(basic("anybody", TOKEN)) is None
    assert tries(basic("", TOKEN)) is None


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        (b"",),
        (b"Bearer",),
        (b"Bearer " + TOKEN.encode()[:-1],),
        (b"Bearer " + TOKEN.encode() + b"x",),
        (b"Bearer " + DIGEST.hex().encode(),),
        (TOKEN.encode(),),
        (b"Basic " + TOKEN.encode(),),
        (b"Basic !!!",),
        (basic(TOKEN, ""),),
        (b"Digest " + TOKEN.encode(),),
        (b"Bearer wrong", b"Bearer " + TOKEN.encode()),
        (b"Bearer " + TOKEN.encode(), b"Bearer " + TOKEN.encode()),
    ],
)
def test_anything_else_does_not(tries, authorization):
    assert tries(*authorization) == 401
    challenges = [value for name, value in tries.reply.all_headers() if name == "WWW-Authenticate"]
    assert [challenge.split()[0] for challenge in challenges] == ["Bearer", "Basic"]


def test_health_needs_no_token(tries):
    assert tries(path=b"/healthz") is None
    assert tries(path=b"/readyz") is None


def test_a_guesser_is_held_up_and_nobody_else(tries):
    for _ in range(10):
        assert tries(b"Bearer wrong") == 401
    assert tries(b"Bearer wrong") == 429
    assert ("Retry-After", "1") in tries.reply.all_headers()
    # Who has the right one may come from the same address.
    assert tries(b"Bearer " + TOKEN.encode()) is None
    assert tries(b"Bearer " + TOKEN.encode(), b"Bearer " + TOKEN.encode()) == 429
    assert tries(b"Bearer wrong") == 429
    assert tries(b"Bearer wrong", source="10.0.0.10") == 401
    assert tries() == 401
    tries.clock.now = 300.0
    assert tries(b"Bearer wrong") == 401


def test_neighbours_of_one_network_of_ipv6_are_one(tries):
    for number in range(10):
        tries(b"Bearer wrong", source=f"fd00::{number}")
    assert tries(b"Bearer wrong", source="fd00::99") == 429
    assert tries(b"Bearer wrong", source="fd00:0:0:1::1") == 401


def test_only_so_many_sources_are_remembered(tries, monkeypatch):
    monkeypatch.setattr(admin_access, "SOURCES", 3)
    for _ in range(10):
        tries(b"Bearer wrong", source="10.0.0.1")
    for number in range(2, 5):
        tries(b"Bearer wrong", source=f"10.0.0.{number}")
    assert tries(b"Bearer wrong", source="10.0.0.1") == 401


def test_a_failed_try_is_logged_without_what_was_shown(tries, capfd):
    log.configure()
    tries(b"Bearer not-quite-the-token")
    written = capfd.readouterr()
    assert "wrong token" in written.out + written.err
    assert "not-quite" not in written.out + written.err


def test_no_secret_is_shown_with_the_material():
    assert "context" not in repr(AdminMaterial(Admin(), token=DIGEST))
    assert str(DIGEST) not in repr(AdminMaterial(Admin(), token=DIGEST))
