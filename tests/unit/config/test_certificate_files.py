"""Certificates and lists that OpenSSL takes, and by which everybody would be refused, or that can't be read here."""

import base64
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.config.certificate_files import authority_kind_notes, server_notes, unreadable
from mcproxy.config.load import load
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.revocation import covers_all, crl_notes
from tests.support.certificates import HOUR, SERVER_NAMES, Certificates
from tests.support.configuration import configuration, server_tls, write_configuration, write_users

NOW = datetime.datetime.now(datetime.UTC)
PLACE = ("listeners", "one", "tls", "client_ca")


def pem(kind: str, der: bytes) -> bytes:
    return f"-----BEGIN {kind}-----\n".encode() + base64.encodebytes(der) + f"-----END {kind}-----\n".encode()


def der_of(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def problems(directory: Path, certificates: Certificates, **tls: Any) -> list[str]:
    """What check says of a listener with these files."""
    write_users(directory / "users", {"sammy": "secret"})
    listener = {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["sasl"]}
    listeners = {"one": listener | {"tls": server_tls(certificates) | tls}, "plain": None, "tls": None, "socket": None}
    settings = configuration(directory, "127.0.0.1:11211", certificates, listeners=listeners)
    write_configuration(directory / "mcproxy.yaml", settings)
    try:
        load(directory / "mcproxy.yaml")
    except ConfigurationError as error:
        return [f"{problem.key}: {problem.message}" for problem in error.problems]
    return []


def test_an_authority_whose_name_is_no_text(certificates: Certificates, tmp_path: Path) -> None:
    """A T61String in Latin-1 (RFC 5280 section 4.1.2.4 has it for old ones)."""
    right = der_of(certificates.authority)
    odd = right.replace(b"\x0c\x0etest authority", b"\x14\x0etest auth\xf6rity")
    path = tmp_path / "ca.crt"
    path.write_bytes(pem("CERTIFICATE", right) + pem("CERTIFICATE", odd))
    [problem] = problems(tmp_path, certificates, client_ca=str(path))
    assert problem.startswith(f"listeners.one.tls.client_ca: certificate 2 of 2 in {path} (SHA-256 ")
    assert problem.endswith(
        "can't be read without doubt: its name is no text, or its form no X.509; have it issued anew"
    )


def test_a_server_certificate_whose_name_is_no_text_is_served(certificates: Certificates, tmp_path: Path) -> None:
    odd = der_of(certificates.server_certificate).replace(b"\x0c\x0btest server", b"\x14\x0btest s\xebrver")
    path = tmp_path / "server.crt"
    path.write_bytes(pem("CERTIFICATE", odd))
    assert list(unreadable(path, PLACE, names=False)) == []
    path.write_bytes(pem("CERTIFICATE", odd.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05")))
    assert len(list(unreadable(path, PLACE, names=False))) == 1
    assert list(server_notes(certificates.server_certificate, NOW, 1, PLACE)) == []


@pytest.mark.parametrize("kind", ["TRUSTED CERTIFICATE", "X509 CERTIFICATE", "EC PRIVATE KEY"])
@pytest.mark.parametrize("key", ["client_ca", "crl", "certificate"])
def test_blocks_that_only_some_of_openssl_reads(
    certificates: Certificates, tmp_path: Path, kind: str, key: str
) -> None:
    files = {
        "client_ca": certificates.authority,
        "crl": certificates.revocation_list("right"),
        "certificate": certificates.server_certificate,
    }
    path = tmp_path / "odd.pem"
    path.write_bytes(files[key].read_bytes() + pem(kind, der_of(certificates.authority)))
    path.chmod(0o600)  # with a key in it, others may not read it
    found = problems(tmp_path, certificates, **{"client_ca": str(certificates.authority), key: str(path)})
    if key == "certificate" and kind == "EC PRIVATE KEY":
        assert found == []  # as other programs have it
    else:
        [problem] = found
        assert problem.startswith(f"listeners.one.tls.{key}: {path} holds a {kind} beside what is wanted here")


def test_an_authority_that_no_chain_can_end_at(certificates: Certificates, tmp_path: Path) -> None:
    def notes(path: Path) -> list[str]:
        return [note.message for note in authority_kind_notes(path, PLACE)]

    assert notes(certificates.authority) == []
    [note] = notes(certificates.client("end").certificate)
    assert "CN=test end is no authority's certificate" in note


def test_a_server_certificate_that_is_not_for_servers_or_whose_chain_ends(
    certificates: Certificates, tmp_path: Path
) -> None:
    def notes(path: Path) -> list[str]:
        return [note.message.removeprefix(str(path)) for note in server_notes(path, NOW, 1, PLACE)]

    wrong = certificates.issue("not-for-servers", SERVER_NAMES, ExtendedKeyUsageOID.CLIENT_AUTH)
    assert notes(wrong.certificate) == [
        " is not for servers (extendedKeyUsage without serverAuth); clients will refuse it"
    ]
    chain = tmp_path / "chain.crt"
    for hours, expected in (
        (2, ": certificate 2, of the chain, expires in 0 days"),
        (-1, ": certificate 2 has expired"),
    ):
        between = certificates.client(f"between{hours}", begins=-3 * HOUR, ends=hours * HOUR).certificate
        chain.write_bytes(certificates.server_certificate.read_bytes() + between.read_bytes())
        [note] = notes(chain)
        assert note.startswith(expected)


Build = x509.CertificateRevocationListBuilder
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def scope(**what: Any) -> x509.IssuingDistributionPoint:
    nothing: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**nothing | what)


def lists(certificates: Certificates, directory: Path, *changes: Callable[[Build], Build]) -> Path:
    """A list of the authority's for each change."""
    path = directory / "lists.crl"
    made = []
    for change in changes:
        builder = Build().issuer_name(certificates._authority.subject).last_update(NOW - HOUR)
        builder = change(builder.next_update(NOW + 48 * HOUR))
        made.append(builder.sign(certificates._authority_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    path.write_bytes(b"".join(made))
    return path


def dated(begins: int, ends: int) -> Callable[[Build], Build]:
    def change(builder: Build) -> Build:
        fresh = Build().issuer_name(builder._issuer_name)  # type: ignore[arg-type]
        return fresh.last_update(NOW + begins * HOUR).next_update(NOW + ends * HOUR)

    return change


def with_extension(extension: x509.ExtensionType) -> Callable[[Build], Build]:
    return lambda builder: builder.add_extension(extension, critical=True)


def unchanged(builder: Build) -> Build:
    return builder


REFUSED = "the certificates that it issued are refused"
NOTED: dict[str, tuple[list[Callable[[Build], Build]], list[str]]] = {
    "right": ([unchanged], []),
    "an old one beside a new one": ([dated(-9, -1), unchanged], []),
    "stale": ([dated(-9, -1), dated(-9, -2)], ["is stale since"]),
    "not yet valid": ([dated(1, 9)], ["is not valid before"]),
    "not yet valid beside one that is": ([unchanged, dated(1, 90)], []),
    "unknown and critical": (
        [with_extension(UNKNOWN)],
        ["has a critical extension that OpenSSL doesn't know (1.2.3.4)"],
    ),
    "of authorities alone": ([with_extension(scope(only_contains_ca_certs=True))], ["is not about clients'"]),
    "of clients alone": ([with_extension(scope(only_contains_user_certs=True))], []),
    "indirect": ([with_extension(scope(indirect_crl=True))], ["is indirect"]),
    "delta": ([with_extension(x509.DeltaCRLIndicator(1))], ["has no list of", "holds a delta list of"]),
    "delta beside a whole one": ([unchanged, with_extension(x509.DeltaCRLIndicator(1))], ["holds a delta list of"]),
}


@pytest.mark.parametrize("name", NOTED)
def test_lists_by_which_everybody_is_refused(certificates: Certificates, tmp_path: Path, name: str) -> None:
    changes, expected = NOTED[name]
    path = lists(certificates, tmp_path, *changes)
    found = [note.message for note in crl_notes(path, certificates.authority, NOW, 1, PLACE)]
    assert len(found) == len(expected)
    assert all(part in message for part, message in zip(expected, found, strict=True))
    assert all(REFUSED in message for message in found[:1] if "delta list" not in message)
    assert covers_all(path, certificates.authority) == (name != "delta")


def test_a_namesake_needs_a_list_of_its_own(certificates: Certificates, tmp_path: Path) -> None:
    namesake = Certificates(tmp_path / "namesake")
    both = tmp_path / "both.crt"
    both.write_bytes(certificates.authority.read_bytes() + namesake.authority.read_bytes())
    one = certificates.revocation_list("one")
    assert not covers_all(one, both)
    [note] = [note.message for note in crl_notes(one, both, NOW, 1, PLACE)]
    assert note == f"{one} has no list of CN=test authority; {REFUSED}"
