"""Certificates that OpenSSL takes and that can't be read without doubt; names that are read once."""

import ssl
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mcproxy.relay.secured import Secured
from mcproxy.server.client_certificate import certificate_names, unusable
from mcproxy.server.trust import trust_of
from tests.support.certificates import CLIENT_URI, Certificates

UNREADABLE = "it can't be read without doubt"
VERSION = (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05")
SUBJECT = (b"\x0c\x0btest client", b"\x14\x0btest cli\xfcnt")
"""A T61String in Latin-1, as old authorities write."""
ISSUER = (b"\x0c\x0etest authority", b"\x14\x0etest auth\xf6rity")


class Shown:
    """A connection on which OpenSSL has verified this chain."""

    def __init__(self, *chain: bytes) -> None:
        self.presented: object = None
        self.asked = 0
        self.tls = self
        self._chain = chain

    def certificate(self) -> bytes | None:
        self.asked += 1
        return self._chain[0]

    def get_verified_chain(self) -> list[bytes]:
        return list(self._chain)


def shown(*chain: bytes) -> Secured:
    return cast(Secured, Shown(*chain))


@pytest.fixture
def client(certificates: Certificates) -> bytes:
    return certificates.client("client").read().public_bytes(Encoding.DER)


def altered(der: bytes, change: tuple[bytes, bytes]) -> bytes:
    assert der.count(change[0]) == 1
    return der.replace(*change)


def test_a_certificate_that_can_be_read(client: bytes) -> None:
    assert unusable(shown(client)) is None
    assert [str(name) for name in certificate_names(shown(client))] == [f"uri:{CLIENT_URI}", "subject:CN=test client"]


@pytest.mark.parametrize("change", [VERSION, SUBJECT])
def test_one_that_can_not_is_refused_whatever_else_it_says(client: bytes, change: tuple[bytes, bytes]) -> None:
    assert unusable(shown(altered(client, change))) == UNREADABLE
    assert certificate_names(shown(altered(client, change))) == ()


@pytest.mark.parametrize("change", [VERSION, ISSUER])
def test_so_is_its_chain(client: bytes, certificates: Certificates, change: tuple[bytes, bytes]) -> None:
    root = x509.load_pem_x509_certificate(certificates.authority.read_bytes()).public_bytes(Encoding.DER)
    trust = trust_of(shown(client, root))
    assert trust is not None and len(trust.chain) == 1
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        trust_of(shown(altered(client, change), root))
    assert raised.value.verify_message == "its chain can't be read without doubt"


def test_its_names_are_read_once(client: bytes) -> None:
    connection = Shown(client)
    assert unusable(cast(Secured, connection)) is None
    for _ in range(3):
        assert len(certificate_names(cast(Secured, connection))) == 2
    assert connection.asked == 1
