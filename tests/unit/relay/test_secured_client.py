"""The client's side of `Secured`: whom it takes for upstream, and what it knows of it."""

import contextlib
import socket
import ssl
from collections.abc import Iterator

import pytest

from mcproxy.relay.secured import Secured
from tests.support.certificates import Certificates
from tests.unit.relay.secured_upstream import Contexts, SecuredUpstream


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        theirs.setblocking(False)
        yield mine, theirs


@pytest.fixture(params=["1.2", "1.3"])
def contexts(request: pytest.FixtureRequest, certificates: Certificates) -> Contexts:
    return Contexts(certificates, request.param)


Pair = tuple[socket.socket, socket.socket]


def test_the_certificate_of_upstream(pair: Pair, contexts: Contexts, certificates: Certificates) -> None:
    """In DER, as channel bindings want it (RFC 5929 section 4)."""
    upstream = SecuredUpstream(pair[0], contexts.server)
    secured = Secured(pair[1], contexts.client, server_hostname="localhost")
    upstream.shake_hands(secured)
    pem = certificates.server_certificate.read_text()
    assert secured.certificate() == ssl.PEM_cert_to_DER_cert(pem)
    assert not secured.tls.server_side
    assert secured.unsent == 0


def test_an_address_instead_of_a_name(pair: Pair, contexts: Contexts) -> None:
    SecuredUpstream(pair[0], contexts.server).shake_hands(Secured(pair[1], contexts.client, "127.0.0.1"))


@pytest.mark.parametrize("name", ["other.example", "127.0.0.2"])
def test_another_name(pair: Pair, contexts: Contexts, name: str) -> None:
    """Upstream is told by an alert, and no byte of ours follows."""
    upstream = SecuredUpstream(pair[0], contexts.server)
    secured = Secured(pair[1], contexts.client, server_hostname=name)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        upstream.shake_hands(secured)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        hears(upstream)


def test_another_authority(
    pair: Pair, contexts: Contexts, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Certificates(tmp_path_factory.mktemp("other") / "authority", "another authority")
    upstream = SecuredUpstream(pair[0], contexts.server)
    secured = Secured(pair[1], other.client_context(), server_hostname="localhost")
    with pytest.raises(ssl.SSLCertVerificationError, match="verify failed"):
        upstream.shake_hands(secured)
    with pytest.raises(ssl.SSLError, match="ALERT_UNKNOWN_CA"):
        hears(upstream)


def test_an_upstream_without_tls(pair: Pair, contexts: Contexts) -> None:
    secured = Secured(pair[1], contexts.client, server_hostname="localhost")
    secured.handshake()
    secured.feed(b"ERROR\r\n")
    with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
        secured.handshake()


def hears(upstream: SecuredUpstream) -> None:
    """Take what the proxy said last."""
    upstream.receive_raw()
    with contextlib.suppress(ssl.SSLWantReadError):
        upstream.tls.do_handshake()
    upstream.tls.read(1)
