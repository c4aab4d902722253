"""The admin port's TLS, client certificates, token and Host check, on the real program, and reloads of their files."""

import contextlib
import http.client
import ssl
from base64 import b64encode
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.admin_port import ask_admin, connected
from tests.support.certificates import Certificates
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace
from tests.support.tap import Tap
from tests.support.waiting import eventually

TOKEN = "first-token-0123456789"
OTHER = "other-token-0123456789"


class Secured:
    """A program whose admin port has everything, and those who ask it."""

    def __init__(self, program: Proxy, token: Path, certificates: Certificates) -> None:
        self.program = program
        self.token = token
        self.certificates = certificates
        self.certificate = Path(program.settings["admin"]["tls"]["certificate"])
        self.key = Path(program.settings["admin"]["tls"]["key"])

    def ask(self, path: str, *, token: str | None = TOKEN, host: str = "localhost", method: str = "GET"):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        context = self.certificates.client_context(with_certificate=True)
        return ask_admin(self.program, path, host=host, method=method, headers=headers, context=context)

    def refused(self, reason: str) -> bool:
        return any(reason in str(event["reason"]).lower() for event in self.program.events("admin_connection_refused"))


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def secured(
    request: pytest.FixtureRequest, start_proxy: StartProxy, tap: Tap, tmp_path_factory: pytest.TempPathFactory
) -> Secured:
    directory = tmp_path_factory.mktemp("admin")
    certificates = Certificates(directory / "certificates")
    token = directory / "token"
    replace(token, f"{TOKEN}\n")
    shown = certificates.server("admin")
    tls = {
        "certificate": str(shown.certificate),
        "key": str(shown.key),
        "client_ca": str(certificates.authority),
        "minimum_version": "1.2",
    }
    # On every address, as it is meant to be used; the tests come by loopback.
    admin = {"bind": "0.0.0.0:0", "health_bind": "127.0.0.1:0", "tls": tls, "token_file": str(token)}
    program = start_proxy(tap.address, admin=admin, workers=request.param, watch_files=False)
    return Secured(program, token, certificates)


def test_with_certificate_and_token_everything_is_there(secured: Secured) -> None:
    for path in ("/", "/status", "/status.json", "/metrics", "/healthz", "/readyz"):
        answer = secured.ask(path)
        assert answer.status == 200, (path, answer)
        assert answer.body


def test_its_certificates_end_is_a_metric_as_a_listeners_is(secured: Secured) -> None:
    body = secured.ask("/metrics").body
    for file in (b"certificate", b"client_ca"):
        assert b'mcproxy_certificate_expiry_timestamp_seconds{file="%s",listener="admin"}' % file in body


def test_browsers_send_the_token_as_a_password(secured: Secured) -> None:
    context = secured.certificates.client_context(with_certificate=True)
    credentials = b64encode(f"me:{TOKEN}".encode()).decode()
    answer = ask_admin(secured.program, "/", headers={"Authorization": f"Basic {credentials}"}, context=context)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "token"),
    [("/", None), ("/status", None), ("/status.json", None), ("/metrics", None), ("/nothing", None), ("/", OTHER)],
)
def test_without_the_token_nothing_is_told(secured: Secured, path: str, token: str | None) -> None:
    answer = secured.ask(path, token=token)
    assert answer.status == 401
    assert b"mcproxy" not in answer.body
    assert len(answer.body) < 100


def test_probes_need_no_token(secured: Secured) -> None:
    assert secured.ask("/healthz", token=None).status == 200
    assert secured.ask("/readyz", token=None).status == 200


def test_health_alone_needs_nothing(secured: Secured) -> None:
    host, port = secured.program.host_and_port("health")
    for path, expected in (("/readyz", 200), ("/healthz", 200), ("/metrics", 404), ("/", 404), ("/status.json", 404)):
        connection = http.client.HTTPConnection(host, port, timeout=5)
        connection.request("GET", path, headers={"Host": "10.244.0.7:9157"})
        assert connection.getresponse().status == expected
        connection.close()


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/healthz"])
def test_a_page_of_another_name_reads_nothing_by_dns_rebinding(secured: Secured, path: str) -> None:
    answer = secured.ask(path, host="evil.example")
    assert answer.status == 421
    assert len(answer.body) < 200
    assert b"evil" not in answer.body
    assert not {name for name in answer.headers if name.startswith("access-control")}


def test_without_a_certificate_there_is_no_connection(secured: Secured) -> None:
    context = secured.certificates.client_context()
    received = b""
    # With TLS 1.3 the client's handshake is over before the server has seen that no certificate comes.
    with contextlib.suppress(OSError), connected(secured.program, context) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(1)
    assert received == b""
    eventually("that is logged", lambda: secured.refused("peer did not return a certificate"))


def test_a_certificate_of_another_authority_is_refused(secured: Secured, tmp_path: Path) -> None:
    others = Certificates(tmp_path, "another authority")
    context = others.client("stranger").show_to(secured.certificates.client_context())
    with pytest.raises(OSError):
        ask_admin(secured.program, "/healthz", context=context)
    eventually("that is logged", lambda: secured.refused("client certificate: unable to get local issuer certificate"))


def test_plain_http_is_not_answered(secured: Secured) -> None:
    with connected(secured.program) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(4096):
                received += part
    assert b"HTTP/" not in received
    eventually("that is logged", lambda: secured.refused("the client does not speak tls"))


def test_old_versions_of_tls_are_refused(secured: Secured) -> None:
    context = secured.certificates.client_context(with_certificate=True)
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        connected(secured.program, context)


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/healthz", "/nothing"])
def test_no_answer_can_be_framed_stored_sniffed_or_run(secured: Secured, path: str) -> None:
    headers = secured.ask(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_head_and_other_methods(secured: Secured) -> None:
    full, head = secured.ask("/"), secured.ask("/", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", full.headers["content-length"])
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        answer = secured.ask("/status.json", method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_another_token_takes_the_place_of_the_first(secured: Secured) -> None:
    reloads = Reloads(secured.program)
    replace(secured.token, f"{OTHER}\n")
    record = reloads.sighup()
    assert (record["event"], record["changed"]) == ("reloaded", "admin.token_file")
    assert secured.ask("/metrics").status == 401
    assert secured.ask("/metrics", token=OTHER).status == 200
    replace(secured.token, "short\n")
    assert "has 5 characters" in reloads.fails()
    assert secured.ask("/metrics", token=OTHER).status == 200
    replace(secured.token, f"{TOKEN}\n")
    reloads.succeeds()
    assert secured.ask("/metrics").status == 200
    assert not any(OTHER in line or TOKEN in line for line in secured.program.log)


def test_another_certificate_takes_the_place_of_the_first(secured: Secured) -> None:
    def shown() -> bytes | None:
        with connected(secured.program, secured.certificates.client_context(with_certificate=True)) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            return connection.getpeercert(binary_form=True)

    reloads = Reloads(secured.program)
    before = shown()
    successor = secured.certificates.server("successor")
    replace(secured.certificate, successor.certificate.read_bytes())
    assert "does not belong to the certificate" in reloads.fails()
    assert shown() == before
    replace(secured.key, successor.key.read_bytes())
    assert reloads.sighup()["event"] == "reloaded"
    assert shown() == ssl.PEM_cert_to_DER_cert(successor.certificate.read_text())
    assert secured.ask("/metrics").status == 200


def test_what_needs_a_restart_does(secured: Secured) -> None:
    reloads = Reloads(secured.program)
    reloads.settings["admin"]["bind"] = "127.0.0.1:0"
    reloads.write()
    assert "admin.bind: can't be changed while running" in reloads.fails()
    reloads.settings["admin"]["bind"] = "0.0.0.0:0"
    reloads.settings["admin"]["hosts"] = ["cache-1.example.com"]
    reloads.succeeds()
    assert secured.ask("/metrics", host="cache-1.example.com:9156").status == 200
    del reloads.settings["admin"]["tls"]
    reloads.write()
    assert "is not loopback" in reloads.fails()
    assert secured.ask("/metrics").status == 200


def test_guesses_are_slowed_and_logged_without_what_was_tried(secured: Secured) -> None:
    """The last test: what is wrong is slowed for a moment afterwards."""
    statuses = [secured.ask("/metrics", token=f"guess-{number}").status for number in range(14)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert secured.ask("/metrics").status == 200
    logged = {"reason": "wrong token", "source": "127.0.0.1"}
    eventually("it is logged", lambda: secured.program.log_contains("admin_request_refused", **logged))
    assert not any("guess-" in line for line in secured.program.log)
