"""Who a certificate is: names of exact types, patterns that stay in their part, and nobody by a trick."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.integration.conftest import StartProxy, ends_well
from tests.support.certificates import Certificates, Issued
from tests.support.configuration import GRANTS, LOOPBACK, server_tls
from tests.support.conversation import Connection
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually

NAMED: list[tuple[Any, str]] = [
    ("spiffe://prod/*", "any-of-prod"),
    ("spiffe://prod/web", "web"),
    ({"dns": "batch.example.com"}, "batch"),
    ("*.workers.example.com", "worker"),
    ("olga@example.com", "olga"),
    ({"email": "*@example.com"}, "staff"),
    ({"subject": "CN=test subject"}, "subject"),
    ({"dns": "mixed.example.com"}, "mixed"),
]


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    tls = server_tls(certificates, client_ca=str(certificates.authority))
    mtls = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "tls": tls, "authentication": ["certificate"]}
    grants = [{"certificate": name, "as": who, "roles": ["app"]} for name, who in NAMED]
    return start_proxy(tap.address, listeners={"mtls": mtls}, grants=[*GRANTS, *grants])


@pytest.fixture
def proxy(running: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield running
    ends_well(running, tap)


def uri(value: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier._init_without_validation(value)


def dns(value: str) -> x509.GeneralName:
    return x509.DNSName._init_without_validation(value)


def email(value: str) -> x509.GeneralName:
    return x509.RFC822Name._init_without_validation(value)


def answer_to(proxy: Proxy, issued: Issued) -> bytes:
    """What the first command of the certificate's holder is answered."""
    context: ssl.SSLContext = issued.show_to(proxy.certificates.client_context())
    with Connection(context.wrap_socket(proxy.connect_raw("mtls"), server_hostname="localhost")) as connection:
        connection.send(b"get app:a\r\n")
        return connection.line()


def logged(proxy: Proxy, event: str, certificate: Issued, *, known: bool) -> dict[str, Any]:
    """The record of this certificate's login."""
    before = len(proxy.events(event, listener="mtls"))
    assert answer_to(proxy, certificate) == (b"END\r\n" if known else b"CLIENT_ERROR unauthenticated\r\n")
    eventually("the login is in the log", lambda: len(proxy.events(event, listener="mtls")) > before)
    return proxy.events(event, listener="mtls")[-1]


KNOWN: dict[str, tuple[list[x509.GeneralName], str]] = {
    "exact": ([uri("spiffe://prod/web")], "web"),
    "pattern": ([uri("spiffe://prod/api")], "any-of-prod"),
    "dns": ([dns("Batch.Example.COM")], "batch"),
    "pattern-dns": ([dns("a1.workers.example.com")], "worker"),
    "email": ([email("olga@EXAMPLE.com")], "olga"),
    "pattern-email": ([email("anna@example.com")], "staff"),
    "several": ([dns("other.example"), email("olga@example.com"), uri("spiffe://prod/web")], "web"),
    "odd-beside-good": ([dns("mixed.example.com\0.evil.test"), dns("mixed.example.com")], "mixed"),
    "subject": ([dns("nobody.example")], "subject"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known(proxy: Proxy, certificates: Certificates, name: str) -> None:
    """The subject is "CN=test ..." with the name of the case."""
    names, who = KNOWN[name]
    record = logged(proxy, "logged_in", certificates.client(name, names), known=True)
    assert record["principal"] == f"certificate:{who}"


UNKNOWN: dict[str, list[x509.GeneralName]] = {
    "dns that looks like a uri": [dns("spiffe://prod/web")],
    "email that looks like a uri": [email("spiffe://prod/web")],
    "uri that looks like dns": [uri("batch.example.com")],
    "dns that looks like an email": [dns("olga@example.com")],
    "subject in a dns name": [dns("CN=test subject")],
    "another segment": [uri("spiffe://prod/api/v2")],
    "no segment": [uri("spiffe://prod/")],
    "capitals": [uri("SPIFFE://prod/web")],
    "another label": [dns("a.b.workers.example.com")],
    "a wildcard": [dns("*.workers.example.com")],
    "a NUL": [dns("batch.example.com\0.evil.test")],
    "a NUL in a uri": [uri("spiffe://prod/web\0")],
    "a line end": [uri("spiffe://prod/web\n")],
    "an email within an email": [email('"olga@example.com"@evil.test')],
    "another type": [x509.RegisteredID(x509.ObjectIdentifier("1.2.3.4"))],
    "a directory name": [
        x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test subject")])),
    ],
    "none": [],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown(proxy: Proxy, tap: Tap, certificates: Certificates, name: str) -> None:
    failures = {"listener": "mtls", "mechanism": "certificate", "result": "failure"}
    before = proxy.metric("mcproxy_logins_total", **failures)
    issued = certificates.client(name.replace(" ", "-"), UNKNOWN[name])
    assert answer_to(proxy, issued) == b"CLIENT_ERROR unauthenticated\r\n"
    assert proxy.metric("mcproxy_logins_total", **failures) == before + 1
    assert tap.recording.requests() == []


def test_the_log_says_which_names_a_grant_could_mean(running: Proxy, start_proxy: StartProxy, tap: Tap) -> None:
    """By a program of its own, whose log holds nothing back yet."""
    proxy = start_proxy(tap.address, listeners={"mtls": running.settings["listeners"]["mtls"]})
    crowd = [dns(f"host-{number}.example") for number in range(20)]
    names = [uri("spiffe://nowhere/web"), dns("web\0.example"), email("Web@Example.com")]
    record = logged(proxy, "login_failed", proxy.certificates.client("listed", names), known=False)
    assert record["reason"] == "no grant names this certificate"
    assert record["names"] == "uri:spiffe://nowhere/web, email:Web@example.com, subject:CN=test listed"
    record = logged(proxy, "login_failed", proxy.certificates.client("crowd", crowd), known=False)
    assert record["names"].count(", ") == 7, "only some of very many"


def test_of_very_many_names_the_first_are_looked_at(proxy: Proxy, certificates: Certificates) -> None:
    crowd = [dns(f"host-{number}.example") for number in range(99)]
    early = certificates.client("early", [*crowd, uri("spiffe://prod/web")])
    late = certificates.client("late", [*crowd, dns("one-more"), uri("spiffe://prod/web")])
    assert answer_to(proxy, early) == b"END\r\n"
    assert answer_to(proxy, late) == b"CLIENT_ERROR unauthenticated\r\n"


def test_the_program_tells_when_its_files_expire(proxy: Proxy, certificates: Certificates) -> None:
    for file, path in (("certificate", certificates.server_certificate), ("client_ca", certificates.authority)):
        expires = x509.load_pem_x509_certificate(Path(path).read_bytes()).not_valid_after_utc.timestamp()
        name = "mcproxy_certificate_expiry_timestamp_seconds"
        assert proxy.metric(name, listener="mtls", file=file) == expires
    assert proxy.metric("mcproxy_certificate_expiry_timestamp_seconds", listener="mtls", file="crl") == 0
