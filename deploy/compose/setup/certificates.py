"""Makes what deploy/compose needs to speak TLS: an authority, a certificate of it for the names given, and a token.

`certificates.py NAME...` is run in mcproxy's image by `docker compose run --rm setup`. The authority is made once and
kept in a volume that nothing else can see; each run issues a new certificate, which the proxy takes up while it runs.
The token for Prometheus is made once; remove it to have another. Prints the authority's certificate, for clients.
"""

import datetime
import ipaddress
import os
import secrets
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 90
"""mcproxy's alerts tell when the end is near."""
FOR_THE_GROUP = 0o640
"""mcproxy runs with the group that this runs with, and only reads."""


def main(names: list[str], root: Path = Path("/")) -> None:
    """Writes below /authority, /tls and /monitoring; `root` is another place to look for them."""
    if not names:
        raise SystemExit("certificates.py: name the host names or addresses under which clients reach the proxy")
    authority, authority_key = read_or_make_authority(root / "authority")
    pem = authority.public_bytes(serialization.Encoding.PEM)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue(names, key, authority, authority_key)
    # Between these two steps the pair doesn't fit together: the proxy refuses it then, and reads again.
    write(root / "tls/tls.key", private_pem(key), FOR_THE_GROUP)
    write(root / "tls/tls.crt", certificate.public_bytes(serialization.Encoding.PEM) + pem, 0o644)
    write(root / "monitoring/ca.crt", pem, 0o644)
    token = root / "monitoring/token"
    if not token.exists():
        write(token, secrets.token_hex(32).encode() + b"\n", FOR_THE_GROUP)
    sys.stdout.write(pem.decode())


def read_or_make_authority(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority in `directory`. Its key and certificate are one file, so that there are both or neither."""
    path = directory / "ca.pem"
    if path.exists():
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SystemExit(f"certificates.py: {path} holds another kind of key than this makes")
        return x509.load_pem_x509_certificate(content), key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mcproxy compose authority")])
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = (
        builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(identity, critical=False)
        .sign(key, hashes.SHA256())
    )
    write(path, private_pem(key) + authority.public_bytes(serialization.Encoding.PEM), 0o600)
    return authority, key


def issue(
    names: list[str],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """A server's certificate for these host names and addresses, with what RFC 5280 asks for."""
    identity = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mcproxy")])
    return (
        builder(subject, authority.subject, key.public_key(), CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step; nobody else sees it with a wider mode, or half of it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)
    temporary.replace(path)


if __name__ == "__main__":
    main(sys.argv[1:])
