"""A certificate authority, a server certificate for this machine and a client certificate, made for one test run."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_URI = "spiffe://test/web"
SERVER_NAMES = [
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
]
HOUR = datetime.timedelta(hours=1)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path

    def read(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def show_to(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The client's context, which shows this certificate now."""
        context.load_cert_chain(self.certificate, self.key)
        return context


class Certificates:
    """Files in `directory`: ca.crt, server.crt and server.key, client.crt and client.key (keys: mode 0600)."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        self.directory = directory
        self._name = name
        directory.mkdir(parents=True, exist_ok=True)
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = self._make_authority()
        self.authority = directory / "ca.crt"
        self.authority.write_bytes(self._authority.public_bytes(serialization.Encoding.PEM))
        server, client = self.server("server"), self.client("client")
        self.server_certificate, self.server_key = server.certificate, server.key
        self.client_certificate, self.client_key = client.certificate, client.key

    def client_context(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        """What a client uses: it trusts this authority alone, and shows its own certificate if asked to."""
        context = client_context(str(self.authority))
        if with_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    def server(self, file_name: str, key: PrivateKey | None = None) -> Issued:
        """Another certificate for this machine, for a key of another type perhaps."""
        return self.issue(file_name, SERVER_NAMES, ExtendedKeyUsageOID.SERVER_AUTH, key=key)

    def unreadable(self, file_name: str) -> Issued:
        """As `server`, one that OpenSSL takes and `cryptography` can't read: it spells out the DEFAULT of its version
        (X.690 section 11.5), and is signed as such."""
        issued = self.server(file_name)
        certificate = issued.read()
        body = certificate.tbs_certificate_bytes
        changed = body.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020100"), 1)
        signature = b""
        while len(signature) != len(certificate.signature):
            signature = self._authority_key.sign(changed, ec.ECDSA(hashes.SHA256()))
        der = certificate.public_bytes(serialization.Encoding.DER)
        der = der.replace(body, changed).replace(certificate.signature, signature)
        issued.certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
        return issued

    def client(
        self,
        file_name: str,
        names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(CLIENT_URI),),
        purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
        **how: Any,
    ) -> Issued:
        """Another certificate for clients; `how` as of `issue`."""
        return self.issue(file_name, names, purpose, **how)

    def issue(
        self,
        file_name: str,
        names: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier | None,
        *,
        key: PrivateKey | None = None,
        signs: bool = True,
        begins: datetime.timedelta = -HOUR,
        ends: datetime.timedelta = 48 * HOUR,
    ) -> Issued:
        """A certificate of this authority. `signs`: its keyUsage has digitalSignature. Times are from now."""
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        subject = _common_name(f"test {file_name}")
        builder = (
            _dated(subject, self._authority.subject, begins, ends)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=signs), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key()), critical=False
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        certificate = builder.sign(self._authority_key, hashes.SHA256())
        issued = Issued(self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key")
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.touch(mode=0o600)
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return issued

    def revocation_list(
        self, file_name: str, *revoked: Issued, begins: datetime.timedelta = -HOUR, ends: datetime.timedelta = 48 * HOUR
    ) -> Path:
        """A CRL of this authority. `ends`: when the next one is due, from now."""
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._authority.subject)
        builder = builder.last_update(now + begins).next_update(now + ends)
        for issued in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(issued.read().serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(now - HOUR).build())
        path = self.directory / f"{file_name}.crl"
        crl = builder.sign(self._authority_key, hashes.SHA256())
        path.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
        return path

    def _make_authority(self) -> x509.Certificate:
        name = _common_name(self._name)
        builder = _dated(name, name, -HOUR, 48 * HOUR).public_key(self._authority_key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(sign=False, sign_certificates=True), critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._authority_key.public_key())
        return builder.add_extension(identifier, critical=False).sign(self._authority_key, hashes.SHA256())


def client_context(authority: str) -> ssl.SSLContext:
    """A client's TLS that trusts the authorities in this file alone."""
    return ssl.create_default_context(cafile=authority)


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _dated(
    subject: x509.Name, issuer: x509.Name, begins: datetime.timedelta, ends: datetime.timedelta
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


def _usage(*, sign: bool, sign_certificates: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not sign and not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
