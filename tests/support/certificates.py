"""A certificate authority, a server certificate for this machine and a client certificate, made for one test run."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_URI = "spiffe://test/web"


class Certificates:
    """Files in `directory`: ca.crt, server.crt and server.key, client.crt and client.key (keys: mode 0600)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = self._make_authority()
        self.authority = directory / "ca.crt"
        self.authority.write_bytes(self._authority.public_bytes(serialization.Encoding.PEM))
        server_names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        self.server_certificate, self.server_key = self._issue("server", server_names, ExtendedKeyUsageOID.SERVER_AUTH)
        client_names = [x509.UniformResourceIdentifier(CLIENT_URI)]
        self.client_certificate, self.client_key = self._issue("client", client_names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def client_context(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        """What a client uses: it trusts this authority alone, and shows its own certificate if asked to."""
        context = client_context(str(self.authority))
        if with_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    def _make_authority(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        usage = _usage(sign_certificates=True)
        builder = _dated(name, name).public_key(self._authority_key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._authority_key.public_key())
        return builder.add_extension(identifier, critical=False).sign(self._authority_key, hashes.SHA256())

    def _issue(
        self, file_name: str, names: Sequence[x509.GeneralName], purpose: x509.ObjectIdentifier
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {file_name}")])
        issuer_key = self._authority_key.public_key()
        certificate = (
            _dated(subject, self._authority.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )
        certificate_path, key_path = self.directory / f"{file_name}.crt", self.directory / f"{file_name}.key"
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate_path, key_path


def client_context(authority: str) -> ssl.SSLContext:
    """A client's TLS that trusts the authorities in this file alone."""
    return ssl.create_default_context(cafile=authority)


def _dated(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
