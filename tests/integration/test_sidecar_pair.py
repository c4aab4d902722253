"""A gateway beside the application and a guard before memcached, with nothing but one cable between them.

The cable is recorded: what goes over it holds no key, value, name or password in clear. The same conversation without
TLS, recorded in the same way, shows all of them; so the search would find what there is.
"""

import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pymemcache  # type: ignore[import-untyped]
import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import server_tls, write_users
from tests.support.memcached import Memcached
from tests.support.namespaces import FAR_ADDRESS, NEAR_ADDRESS, Capture, Namespaces, inside
from tests.support.proxy import Proxy

USER = "sidecar-of-the-shop"
PASSWORD = "Grosser-Panda-4711"
KEYS = ["app:basket-of-heidi", "app:basket-of-ueli", "app:basket-of-vreni"]
VALUES = [b"twelve-eggs-and-flour", b"one-pound-of-gruyere", b"a-bell-for-the-goat"]
CONVERSATION = [word.encode() for word in KEYS] + VALUES
LOGIN = [USER.encode(), PASSWORD.encode()]

TLS_1_3 = "0x0304"
SERVER_HELLO = "2"
CHANGE_CIPHER_SPEC, HANDSHAKE, APPLICATION_DATA = 20, 22, 23
"""Content types of records (RFC 8446, section 5.1); the first is for middleboxes, and empty of meaning."""

_VERSION = "tls.handshake.extensions.supported_version"


@pytest.fixture(scope="module")
def namespaces() -> Iterator[Namespaces]:
    with Namespaces() as both:
        yield both


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as name:
        yield Path(name)


@contextmanager
def pair(
    directory: Path,
    namespaces: Namespaces,
    certificates: Certificates,
    memcached: Memcached,
    guarded: dict[str, Any],
    upwards: dict[str, Any],
) -> Iterator[tuple[Proxy, Proxy]]:
    """Gateway and guard, each in its place. `guarded` is of the guard's listener, `upwards` the other's upstream."""
    role = {"app": {"commands": ["read", "write"], "keys": ["app:*"]}}
    guard_settings = {
        "listeners": {
            "guard": {
                "bind": [f"{FAR_ADDRESS}:0"],
                "allow": [f"{NEAR_ADDRESS}/32"],
                "authentication": ["sasl"],
                **guarded,
            }
        },
        "upstream": {"address": memcached.address},
        "users_file": str(directory / "guard" / "users"),
        "roles": role,
        "grants": [{"user": USER, "roles": ["app"]}],
        "admin": {"bind": f"unix:{directory}/guard/admin.sock"},
    }
    with ExitStack() as ends:

        def start(name: str, namespace: str, settings: dict[str, Any]) -> Proxy:
            program = Proxy(directory / name, settings, certificates)
            program.directory.mkdir(exist_ok=True)
            write_users(program.directory / "users", {USER: PASSWORD})
            program.runner = inside(namespace)
            try:
                program.start()
            except BaseException:
                if program.process is not None:
                    program.kill()
                raise
            ends.callback(program.assert_good_end)
            return program

        guard = start("guard", namespaces.far, guard_settings)
        password = directory / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD + "\n")
        login = {"method": "sasl", "username": USER, "password_file": str(password), **upwards.pop("login")}
        gateway_settings = {
            "listeners": {"beside": {"bind": [f"unix:{directory}/beside.sock"], "authentication": ["peer"]}},
            "upstream": {"address": guard.address("guard"), "login": login, **upwards},
            "roles": role,
            "grants": [{"peer": {"uid": os.getuid()}, "as": "shop", "roles": ["app"]}],
            "admin": {"bind": f"unix:{directory}/gateway-admin.sock"},
        }
        yield start("gateway", namespaces.near, gateway_settings), guard


def shop(directory: Path) -> None:
    """What the application does, with a client that can neither encrypt nor log in here."""
    client = pymemcache.Client(f"unix:{directory}/beside.sock", timeout=10)
    for key, value in zip(KEYS, VALUES, strict=True):
        assert client.set(key, value, noreply=False)
    assert client.get(KEYS[0]) == VALUES[0]
    assert client.get_many([*KEYS, "app:missing"]) == dict(zip(KEYS, VALUES, strict=True))
    with pytest.raises(pymemcache.exceptions.MemcacheClientError, match="access denied"):
        client.get("another")
    client.close()


def test_nothing_goes_over_the_cable_in_clear(
    directory: Path, namespaces: Namespaces, certificates: Certificates
) -> None:
    """Must be TLS 1.3 from the first byte to the last, in both directions."""
    secured = {"tls": server_tls(certificates, minimum_version="1.3"), "mechanisms": ["SCRAM-SHA-256"]}
    trusting = {"ca": str(certificates.authority), "server_name": "localhost", "minimum_version": "1.3"}
    upwards = {"tls": trusting, "login": {"mechanism": "SCRAM-SHA-256"}}
    with Memcached(directory) as memcached, Capture(namespaces, directory / "cable.pcapng") as capture:
        with pair(directory, namespaces, certificates, memcached, secured, upwards) as (gateway, guard):
            shop(directory)
            port = guard.address("guard").rpartition(":")[2]
            assert_nothing_else_is_reachable(namespaces, guard)
            assert guard.log_contains("logged_in", principal=f"user:{USER}", source=NEAR_ADDRESS), f"{guard}"
            assert gateway.log_contains("logged_in", principal="peer:shop"), f"{gateway}"
        recorded = capture.finish()
        for word in (*CONVERSATION, *LOGIN):
            assert word not in recorded, f"{word!r} went over the cable in clear"
        assert not any(PASSWORD in line for program in (gateway, guard) for line in program.log)
        assert_tls_1_3(capture, int(port))


def assert_tls_1_3(capture: Capture, port: int) -> None:
    """In both directions of every connection: a hello, and after it nothing but encrypted records, several of them."""
    sent: dict[tuple[str, str], bytes] = {}
    versions = []
    fields = ("tcp.stream", "ip.src", "tcp.port", "tcp.payload", "tls.handshake.type", _VERSION)
    for stream, source, ports, payload, messages, version in capture.fields("tcp.len > 0", *fields):
        assert str(port) in ports.split(","), f"what goes over the cable beside the guard's port: {ports}"
        sent[stream, source] = sent.get((stream, source), b"") + bytes.fromhex(payload)
        if SERVER_HELLO in messages.split(","):
            versions.append(version)
    assert versions
    assert set(versions) == {TLS_1_3}
    assert {source for _, source in sent} == {NEAR_ADDRESS, FAR_ADDRESS}
    most = {NEAR_ADDRESS: 0, FAR_ADDRESS: 0}
    for (_, source), data in sent.items():
        kinds = list(records(data))
        assert kinds[0] == HANDSHAKE
        assert set(kinds[1:]) <= {CHANGE_CIPHER_SPEC, APPLICATION_DATA}, f"{source} sent {kinds}"
        most[source] = max(most[source], kinds.count(APPLICATION_DATA))
    assert min(most.values()) >= len(KEYS) + 2, f"records of application data: {most}"


def records(data: bytes) -> Iterator[int]:
    """The content types of TLS records that stand one behind the other, and nothing else between or behind them."""
    while data:
        kind, _, length = struct.unpack_from(">BHH", data)
        assert len(data) >= 5 + length, "a record that is cut short"
        yield kind
        data = data[5 + length :]


def test_the_record_shows_what_goes_in_clear(
    directory: Path, namespaces: Namespaces, certificates: Certificates
) -> None:
    """The control: without TLS and with PLAIN, each of the words is found."""
    open_listener = {"plaintext": True, "plaintext_passwords": True, "mechanisms": ["PLAIN"]}
    upwards = {"plaintext": True, "plaintext_passwords": True, "login": {"mechanism": "PLAIN"}}
    with Memcached(directory) as memcached, Capture(namespaces, directory / "cable.pcapng") as capture:
        with pair(directory, namespaces, certificates, memcached, open_listener, upwards):
            shop(directory)
        recorded = capture.finish()
        for word in (*CONVERSATION, *LOGIN):
            assert word in recorded, f"{word!r} was not found, though it went over the cable in clear"


def assert_nothing_else_is_reachable(namespaces: Namespaces, guard: Proxy) -> None:
    """From beside the application there is a way to the guard's port and to nothing else: memcached has no other."""
    for name in (namespaces.near, namespaces.far):
        routes = [route for route in namespaces.routes(name) if not route.startswith("fe80::")]
        assert routes == ["10.64.0.0/30"], "no way out"
    assert namespaces.listening(namespaces.far) == {guard.address("guard")}
    assert namespaces.listening(namespaces.near) == set()
