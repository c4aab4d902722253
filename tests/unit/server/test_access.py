"""Who somebody is by the connection alone, and which roles that brings."""

import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mcproxy.auth.principals import Principal
from mcproxy.config.schema import ListenerTls, Settings
from mcproxy.relay.secured import Secured
from mcproxy.server.access import ANONYMOUS, Access, Peer, unix_peer
from mcproxy.server.tls import server_context
from tests.support.certificates import CLIENT_URI, Certificates
from tests.unit.config.building import changed, settings_of
from tests.unit.relay.harness import tls_pair

ROLES = {
    "app": {"commands": ["read"], "keys": ["app:*"]},
    "writer": {"commands": ["write"], "keys": ["write:*"]},
    "common": {"commands": ["read"], "keys": ["common:*"]},
    "everything": {"commands": ["*"], "keys": ["*"]},
}


def settings(methods: list[str], grants: list[dict[str, Any]], default_roles: list[str] | None = None) -> Settings:
    """One unix listener, which any method may be configured for."""
    users = any("user" in grant for grant in grants) or bool({"sasl", "token"} & set(methods))
    listener: dict[str, Any] = {"bind": ["unix:/run/mcproxy/memcached.sock"], "authentication": methods}
    tls = {"certificate": "tls.crt", "key": "tls.key", "client_ca": "ca.crt"}
    if "certificate" in methods or "address" in methods:
        listener |= {"bind": ["10.0.0.5:11211"], "allow": ["10.0.0.0/8"], "tls": tls}
    changes: list[tuple[str, Any]] = [
        ("listeners", {"one": listener}),
        ("roles", ROLES),
        ("grants", grants),
        ("default_roles", default_roles or []),
    ]
    data = changed(*changes)
    if not users:
        del data["users_file"]
    return settings_of(data)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        yield mine, theirs


def identify(settings: Settings, connection: socket.socket | Secured, address: str | None = None) -> Principal | None:
    return Access(settings).identify(settings.listeners["one"], connection, address)


def test_a_peer_is_known_by_its_user_or_group(pair: tuple[socket.socket, socket.socket]) -> None:
    uid, gid = os.getuid(), os.getgid()
    assert (unix_peer(pair[1]).uid, unix_peer(pair[1]).gid) == (uid, gid)
    cases: list[tuple[dict[str, int], bool]] = [
        ({"uid": uid}, True),
        ({"gid": gid}, True),
        ({"uid": uid, "gid": gid}, True),
        ({"uid": uid + 1}, False),
        ({"uid": uid, "gid": gid + 1}, False),
        ({"uid": uid + 1, "gid": gid}, False),
    ]
    for peer, known in cases:
        granted = settings(["peer"], [{"peer": peer, "as": "sidecar", "roles": ["app"]}])
        assert identify(granted, pair[1]) == (Principal("peer", "sidecar") if known else None), peer


def test_the_ids_of_a_peer_have_no_sign() -> None:
    """As containers' users have, which are numbered beyond 2**31 somewhere."""

    class Far(socket.socket):
        def getsockopt(self, *asked: Any) -> bytes:  # type: ignore[override]
            return b"".join(number.to_bytes(4, sys.byteorder) for number in (7, 3_000_000_000, 4_000_000_000))

    with Far(socket.AF_UNIX) as connection:
        assert unix_peer(connection) == Peer(7, 3_000_000_000, 4_000_000_000)
        granted = settings(["peer"], [{"peer": {"uid": 3_000_000_000}, "as": "far", "roles": ["app"]}])
        assert identify(granted, connection) == Principal("peer", "far")


def test_a_method_that_the_listener_has_not_is_not_used(pair: tuple[socket.socket, socket.socket]) -> None:
    grants: list[dict[str, Any]] = [
        {"peer": {"uid": os.getuid()}, "as": "sidecar", "roles": ["app"]},
        {"user": "sammy", "roles": ["app"]},
    ]
    assert identify(settings(["sasl"], grants), pair[1]) is None
    assert identify(settings(["sasl"], grants), pair[1], "127.0.0.1") is None


def test_an_address_gets_its_most_specific_grant(pair: tuple[socket.socket, socket.socket]) -> None:
    granted = settings(
        ["address"],
        [
            {"address": "10.0.0.0/8", "as": "anybody", "roles": ["app"]},
            {"address": "10.0.0.7/32", "as": "legacy", "roles": ["writer"]},
        ],
    )
    assert identify(granted, pair[1], "10.0.0.7") == Principal("address", "legacy")
    assert identify(granted, pair[1], "::ffff:10.0.0.7") == Principal("address", "legacy")
    assert identify(granted, pair[1], "10.0.0.8") == Principal("address", "anybody")
    assert identify(granted, pair[1], "11.0.0.7") is None
    assert identify(granted, pair[1], None) is None
    assert identify(granted, pair[1], "") is None


@pytest.fixture
def with_certificate(certificates: Certificates) -> Iterator[Secured]:
    tls = ListenerTls(
        certificate=certificates.server_certificate, key=certificates.server_key, client_ca=certificates.authority
    )
    mine, theirs = tls_pair(server_context(tls), certificates.client_context(with_certificate=True))
    with mine, theirs.socket:
        yield theirs


def test_a_certificate_is_known_by_its_name(with_certificate: Secured) -> None:
    granted = settings(["certificate"], [{"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}])
    assert identify(granted, with_certificate) == Principal("certificate", "web")
    for other in (CLIENT_URI + "x", CLIENT_URI[:-1], CLIENT_URI + "/*", "spiffe://*", {"dns": "web"}):
        granted = settings(["certificate"], [{"certificate": other, "as": "web", "roles": ["app"]}])
        assert identify(granted, with_certificate) is None, other
    for other in ("spiffe://test/*", {"uri": CLIENT_URI}, {"subject": "CN=test client"}):
        granted = settings(["certificate"], [{"certificate": other, "as": "web", "roles": ["app"]}])
        assert identify(granted, with_certificate) == Principal("certificate", "web"), other


def test_nobody_is_logged_in_by_a_connection_that_no_grant_names(
    with_certificate: Secured, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Case 65: default_roles are for users of the file, and never make somebody of a stranger."""
    other = {"certificate": "spiffe://elsewhere", "as": "other", "roles": ["app"]}
    by_address = {"address": "10.9.9.9/32", "as": "legacy", "roles": ["app"]}
    granted = settings(["certificate", "address"], [other, by_address], ["everything"])
    assert identify(granted, with_certificate, "10.0.0.1") is None
    peer = {"peer": {"uid": os.getuid() + 1}, "as": "sidecar", "roles": ["app"]}
    assert identify(settings(["peer"], [peer], ["everything"]), pair[1]) is None


def test_a_plain_connection_has_no_certificate(pair: tuple[socket.socket, socket.socket]) -> None:
    granted = settings(["certificate"], [{"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}])
    assert identify(granted, pair[1]) is None


def test_default_roles_are_for_users_and_for_anonymous() -> None:
    granted = settings(
        ["certificate", "sasl"],
        [
            {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]},
            {"user": "sammy", "roles": ["writer"]},
        ],
        ["common"],
    )
    access = Access(granted)
    assert access.roles_of(Principal("user", "sammy")) == {"writer", "common"}
    assert access.roles_of(Principal("user", "unheard-of")) == {"common"}
    assert access.roles_of(ANONYMOUS) == {"common"}
    assert access.roles_of(Principal("certificate", "web")) == {"app"}
    assert access.roles_of(Principal("peer", "web")) == frozenset()


def test_principals_are_typed() -> None:
    """`as: sammy` of a certificate is never user sammy."""
    grants = [
        {"certificate": CLIENT_URI, "as": "sammy", "roles": ["app"]},
        {"user": "sammy", "roles": ["writer"]},
        {"address": "10.0.0.1/32", "as": "sammy", "roles": ["everything"]},
    ]
    access = Access(settings(["certificate", "address", "sasl"], grants))
    assert access.roles_of(Principal("user", "sammy")) == {"writer"}
    assert access.roles_of(Principal("certificate", "sammy")) == {"app"}
    assert access.roles_of(Principal("address", "sammy")) == {"everything"}


def test_several_grants_add_up_and_are_compiled_once() -> None:
    grants = [{"user": "sammy", "roles": ["app"]}, {"user": "sammy", "roles": ["writer"]}]
    grants.append({"user": "alex", "roles": ["writer", "app"]})
    access = Access(settings(["sasl"], grants))
    sammy, alex = Principal("user", "sammy"), Principal("user", "alex")
    rules = access.text_rules(sammy)
    assert rules is access.text_rules(alex), "who has the same roles shares the compiled rules"
    assert access.binary_rules(sammy) is access.binary_rules(alex)
    assert rules.match(b"get app:a\r\n") is not None
    assert rules.match(b"set write:a 0 0 1\r\n") is not None
    assert rules.match(b"get write:a\r\n") is None, "pairs, never a cross product"
    assert rules.match(b"set app:a 0 0 1\r\n") is None


def test_somebody_without_roles_may_do_nothing_with_a_key() -> None:
    access = Access(settings(["sasl"], [{"user": "sammy", "roles": ["app"]}]))
    rules = access.text_rules(Principal("user", "alex"))
    assert rules.match(b"get app:a\r\n") is None
    assert all(matcher is None for matcher in access.binary_rules(Principal("user", "alex")).grants_key.values())


def test_anonymous_is_for_listeners_that_say_so(pair: tuple[socket.socket, socket.socket]) -> None:
    assert identify(settings(["none"], [], ["app"]), pair[1]) == ANONYMOUS
