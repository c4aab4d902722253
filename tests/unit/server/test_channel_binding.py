"""tls-server-end-point (RFC 5929 section 4.1), of the certificate that a context really serves."""

import datetime
import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from mcproxy.config.schema import ListenerTls
from mcproxy.server.channel_binding import served_certificate, server_end_point
from mcproxy.server.tls import server_context
from tests.support.certificates import Certificates, PrivateKey

EC_KEY = ec.generate_private_key(ec.SECP256R1())


def self_signed(key: PrivateKey, algorithm: hashes.HashAlgorithm | None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (hashes.SHA256(), "sha256"),
        (hashes.SHA384(), "sha384"),
        (hashes.SHA512(), "sha512"),
        (hashes.SHA224(), "sha224"),
    ],
)
def test_the_hash_is_the_one_of_the_certificates_signature(algorithm: hashes.HashAlgorithm, name: str) -> None:
    der = self_signed(EC_KEY, algorithm)
    assert server_end_point(der) == hashlib.new(name, der).digest()


def test_an_rsa_signature_too() -> None:
    der = self_signed(rsa.generate_private_key(65537, 2048), hashes.SHA384())
    assert server_end_point(der) == hashlib.sha384(der).digest()


@pytest.mark.parametrize("last", [b"\x04", b"\x05"])
def test_broken_hashes_become_sha256(last: bytes) -> None:
    """Nobody signs with them any more, so the name of the algorithm (RSA with MD5 or SHA-1) is put in."""
    der = self_signed(rsa.generate_private_key(65537, 2048), hashes.SHA256())
    with_sha256 = bytes.fromhex("06092a864886f70d01010b")
    assert der.count(with_sha256) == 2
    old = der.replace(with_sha256, with_sha256[:-1] + last)
    assert server_end_point(old) == hashlib.sha256(old).digest()


def test_a_signature_without_a_hash_has_no_binding() -> None:
    assert server_end_point(self_signed(ed25519.Ed25519PrivateKey.generate(), None)) is None


def test_a_certificate_that_cannot_be_read_has_no_binding(certificates: Certificates) -> None:
    pem = certificates.unreadable("unreadable").certificate.read_text()
    with pytest.raises(ValueError, match="EncodedDefault"):
        x509.load_pem_x509_certificate(pem.encode())
    assert server_end_point(ssl.PEM_cert_to_DER_cert(pem)) is None


def tls(certificates: Certificates, **more: object) -> ListenerTls:
    return ListenerTls(
        certificate=certificates.server_certificate,
        key=certificates.server_key,
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("more", [{}, {"minimum_version": "1.3"}, {"client_ca": "authority"}])
def test_what_a_context_serves(certificates: Certificates, more: dict[str, str]) -> None:
    """Also where clients must show a certificate, which this handshake doesn't have."""
    if "client_ca" in more:
        more = {"client_ca": certificates.authority}  # type: ignore[dict-item]
    context = server_context(tls(certificates, **more))
    expected = ssl.PEM_cert_to_DER_cert(certificates.server_certificate.read_text())
    assert served_certificate(context) == expected


def test_the_file_may_have_changed_since(certificates: Certificates, tmp_path: Path) -> None:
    path = tmp_path / "served.crt"
    path.write_bytes(certificates.server_certificate.read_bytes())
    context = server_context(ListenerTls(certificate=path, key=certificates.server_key))
    served = served_certificate(context)
    path.write_bytes(certificates.server("another").certificate.read_bytes())
    assert served_certificate(context) == served


def test_a_context_without_a_certificate_serves_nobody() -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher"):
        served_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
