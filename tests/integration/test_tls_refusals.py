"""Case 56: handshakes that must not come about. The client sees an alert or the end, upstream nothing, the log why."""

import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.integration.conftest import StartProxy, ends_well
from tests.support.certificates import CLIENT_URI, HOUR, Certificates
from tests.support.configuration import GRANTS, LOOPBACK, server_tls
from tests.support.conversation import Connection, play
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually

GRANT = {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}


@pytest.fixture(scope="module")
def authority(short_path: Callable[[], Path]) -> Certificates:
    """An authority of this module's own, which revokes."""
    return Certificates(short_path(), "an authority that revokes")


@pytest.fixture(scope="module")
def stranger(short_path: Callable[[], Path]) -> Certificates:
    return Certificates(short_path(), "an authority that nobody knows")


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, tap: Tap, authority: Certificates) -> Proxy:
    """`mtls` asks for certificates, `revoking` has a revocation list besides, `stale` an old one."""
    revoked = authority.client("revoked")
    lists = {
        "mtls": None,
        "revoking": authority.revocation_list("fresh", revoked),
        "stale": authority.revocation_list("stale", begins=-2 * HOUR, ends=-HOUR),
    }
    listeners = {}
    for name, crl in lists.items():
        tls = server_tls(authority, client_ca=str(authority.authority)) | ({"crl": str(crl)} if crl else {})
        listeners[name] = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "tls": tls, "authentication": ["certificate"]}
    return start_proxy(tap.address, listeners=listeners, grants=[*GRANTS, GRANT])


@pytest.fixture
def proxy(running: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield running
    ends_well(running, tap)


def log_in(proxy: Proxy, listener: str, context: ssl.SSLContext) -> bytes:
    """What a client hears that connects and asks for something; empty if it was turned away."""
    raw = proxy.connect_raw(listener)
    try:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            # In TLS 1.3 the client learns only now that it was refused.
            connection.sendall(b"get app:a\r\n")
            return connection.recv(1000)
    except (ssl.SSLError, ConnectionError):
        return b""
    finally:
        raw.close()


def refused(proxy: Proxy, tap: Tap, listener: str, context: ssl.SSLContext, reason: str) -> None:
    """Turned away, with this and nothing else in the log; upstream has seen nothing."""
    before = len(proxy.events("connection_refused", listener=listener))
    assert log_in(proxy, listener, context) == b""
    eventually("a line in the log", lambda: len(proxy.events("connection_refused", listener=listener)) > before)
    lines = proxy.events("connection_refused", listener=listener)[before:]
    assert [line["reason"] for line in lines] == [f"TLS handshake failed: {reason}"]
    assert tap.recording.requests() == []


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def held_to(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("listener", ["mtls", "revoking"])
def test_a_good_certificate_gets_in(
    proxy: Proxy, authority: Certificates, listener: str, version: ssl.TLSVersion
) -> None:
    context = held_to(authority.client_context(with_certificate=True), version)
    with Connection(context.wrap_socket(proxy.connect_raw(listener), server_hostname="localhost")) as connection:
        play(connection, b"get app:a\r\n", b"END\r\n")
    assert proxy.log_contains("logged_in", listener=listener, principal="certificate:web")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_certificate(proxy: Proxy, tap: Tap, authority: Certificates, version: ssl.TLSVersion) -> None:
    context = held_to(authority.client_context(), version)
    refused(proxy, tap, "mtls", context, "PEER DID NOT RETURN A CERTIFICATE")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_of_another_authority(
    proxy: Proxy, tap: Tap, authority: Certificates, stranger: Certificates, version: ssl.TLSVersion
) -> None:
    context = held_to(authority.client_context(), version)
    context.load_cert_chain(stranger.client_certificate, stranger.client_key)
    refused(proxy, tap, "mtls", context, "client certificate: unable to get local issuer certificate")


OF_THE_RIGHT_AUTHORITY = {
    "expired": ({"begins": -2 * HOUR, "ends": -HOUR}, "certificate has expired"),
    "not yet valid": ({"begins": HOUR}, "certificate is not yet valid"),
    "for servers": ({"purpose": ExtendedKeyUsageOID.SERVER_AUTH}, "unsuitable certificate purpose"),
    "for any purpose": ({"purpose": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}, "unsuitable certificate purpose"),
    # OpenSSL lets this one in: its key may agree on keys, which is not what a TLS client does with it.
    "not for signing": ({"signs": False}, "its keyUsage lacks digitalSignature"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OF_THE_RIGHT_AUTHORITY)
def test_a_certificate_that_is_not_good_for_this(
    proxy: Proxy, tap: Tap, authority: Certificates, name: str, version: ssl.TLSVersion
) -> None:
    how, reason = OF_THE_RIGHT_AUTHORITY[name]
    issued = authority.client(f"bad-{name.replace(' ', '-')}", **how)
    context = held_to(issued.show_to(authority.client_context()), version)
    refused(proxy, tap, "mtls", context, f"client certificate: {reason}")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_certificate(proxy: Proxy, tap: Tap, authority: Certificates, version: ssl.TLSVersion) -> None:
    context = held_to(authority.client_context(), version)
    context.load_cert_chain(authority.directory / "revoked.crt", authority.directory / "revoked.key")
    refused(proxy, tap, "revoking", context, "client certificate: certificate revoked")
    # Without the list nobody knows.
    assert log_in(proxy, "mtls", context) == b"END\r\n"
    tap.recording.forget()


def test_a_stale_list_lets_nobody_in(proxy: Proxy, tap: Tap, authority: Certificates) -> None:
    context = authority.client_context(with_certificate=True)
    refused(proxy, tap, "stale", context, "client certificate: CRL has expired")
    notes = [record["note"] for record in proxy.events("configuration_note")]
    assert [note for note in notes if "listeners.stale.tls.crl" in note and "is stale since" in note]
    assert not [note for note in notes if "listeners.revoking.tls.crl" in note]


def test_tls_1_1(proxy: Proxy, tap: Tap, authority: Certificates) -> None:
    context = authority.client_context(with_certificate=True)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    refused(proxy, tap, "mtls", context, "UNSUPPORTED PROTOCOL")


@pytest.mark.parametrize(
    "ciphers",
    [
        "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA",  # CBC
        "ECDHE-ECDSA-AES128-CCM",
        "AES128-GCM-SHA256",  # no forward secrecy
        "DHE-RSA-AES128-GCM-SHA256",
    ],
)
def test_suites_that_are_not_taken(proxy: Proxy, tap: Tap, authority: Certificates, ciphers: str) -> None:
    context = authority.client_context(with_certificate=True)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    refused(proxy, tap, "mtls", context, "NO SHARED CIPHER")
