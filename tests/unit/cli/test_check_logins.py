"""`mcproxy check` says who can log in how, and warns of what is unwise."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import make_verifier
from mcproxy.cli.main import main
from tests.support.certificates import Certificates
from tests.support.configuration import server_tls

from .conftest import Installation


def told(installation: Installation, capsys: Any) -> list[str]:
    """What check prints."""
    assert main(["check", "--config", str(installation.config)]) == 0
    return list(capsys.readouterr().out.splitlines())


def ways(installation: Installation, capsys: Any) -> list[str]:
    """How to log in to the first listener."""
    lines = told(installation, capsys)
    first = next(index for index, line in enumerate(lines) if line.startswith("listener "))
    following = [index for index, line in enumerate(lines) if index > first and not line.startswith("  ")]
    return [line.strip() for line in lines[first + 1 : following[0]]]


def only(installation: Installation, listener: dict[str, Any], **changes: Any) -> None:
    """One listener, and no more."""
    installation.change(listeners={"one": listener}, **changes)


def test_who_has_which_mechanism(installation: Installation, capsys: Any) -> None:
    line = format_line("old", make_verifier("secret", 4096, mechanism="SCRAM-SHA-1"))
    installation.users.write_text(installation.users.read_text() + line + "\n")
    mechanisms = ["SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1", "PLAIN"]
    only(
        installation,
        {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["sasl", "token"], "mechanisms": mechanisms},
    )
    assert ways(installation, capsys) == [
        "sasl SCRAM-SHA-256: 4 users (sammy, root, reader, watcher)",
        "sasl SCRAM-SHA-512: nobody: no user has a SCRAM-SHA-512 line",
        "sasl SCRAM-SHA-1: 1 user (old)",
        "sasl PLAIN: 5 users (sammy, root, reader, watcher, old)",
        "token: 5 users (sammy, root, reader, watcher, old)",
    ]


def test_certificates_addresses_and_peers(installation: Installation, certificates: Certificates, capsys: Any) -> None:
    tls = server_tls(certificates, client_ca=str(certificates.authority))
    listener = {
        "bind": ["10.0.0.5:0"],
        "allow": ["10.0.0.0/24"],
        "tls": tls,
        "authentication": ["sasl", "certificate", "address"],
        "mechanisms": ["SCRAM-SHA-256-PLUS", "EXTERNAL"],
    }
    grants = [
        {"certificate": "spiffe://prod/web", "as": "web", "roles": ["app"]},
        *({"certificate": f"{number}.example.com", "as": f"host{number}", "roles": []} for number in range(5)),
        {"address": "10.0.0.7/32", "as": "legacy", "roles": ["app"]},
    ]
    only(installation, listener, grants=grants)
    certificate_ways = (
        "uri:spiffe://prod/web as web, dns:0.example.com as host0, dns:1.example.com as host1, "
        "dns:2.example.com as host2, dns:3.example.com as host3, and 1 more"
    )
    assert ways(installation, capsys) == [
        "sasl SCRAM-SHA-256-PLUS: 4 users (sammy, root, reader, watcher)",
        f"sasl EXTERNAL: {certificate_ways}",
        f"certificate: {certificate_ways}",
        "address: 10.0.0.7/32 as legacy",
    ]
    listener = {"bind": [f"unix:{installation.directory}/one.sock"], "authentication": ["peer"]}
    only(installation, listener, grants=[{"peer": {"uid": 1, "gid": 2}, "as": "app", "roles": ["app"]}])
    assert ways(installation, capsys) == ["peer: uid 1 gid 2 as app"]


def test_nobody_in_particular(installation: Installation, capsys: Any) -> None:
    only(installation, {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]}, default_roles=["app"])
    assert ways(installation, capsys) == ["none: whoever can connect, as anonymous"]


def test_a_second_source(installation: Installation, capsys: Any) -> None:
    listener = {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["token"]}
    only(installation, listener, saslauthd={"socket": "/run/saslauthd/mux"})
    assert ways(installation, capsys) == [
        "token: 4 users (sammy, root, reader, watcher); whoever saslauthd accepts (/run/saslauthd/mux)"
    ]


def test_plain_in_the_clear_is_offered_over_loopback_alone(installation: Installation, capsys: Any) -> None:
    listener = {"bind": ["10.0.0.5:0"], "allow": [], "plaintext": True, "authentication": ["sasl"]}
    only(installation, listener)
    nobody = "nobody: it isn't offered where the password would cross the network in clear text"
    scram = "sasl SCRAM-SHA-256: 4 users (sammy, root, reader, watcher)"
    assert ways(installation, capsys) == [scram, f"sasl PLAIN: {nobody}"]
    only(installation, listener | {"bind": ["10.0.0.5:0", "127.0.0.1:0"]})
    assert ways(installation, capsys)[1] == ("sasl PLAIN: over loopback alone, 4 users (sammy, root, reader, watcher)")


def test_warnings_of_what_is_unwise(installation: Installation, capsys: Any) -> None:
    listener = {"bind": ["10.0.0.5:0"], "allow": ["0.0.0.0/0", "::/0"], "plaintext": True, "authentication": ["sasl"]}
    only(installation, listener)

    def notes() -> list[str]:
        lines = told(installation, capsys)
        return [line.split(": ", 2)[2] for line in lines if line.startswith("note: ")]

    allowed = [
        "listeners.one.allow[0]: 0.0.0.0/0 is every address of IPv4; list the networks that clients are in",
        "listeners.one.allow[1]: ::/0 is every address of IPv6; list the networks that clients are in",
    ]
    in_clear = "listeners.one.plaintext: keys and values cross the network in clear text, and sessions can be taken"
    assert notes() == [*allowed, f"{in_clear} over; add tls"]
    only(installation, listener | {"plaintext_passwords": True})
    in_clear = "listeners.one.plaintext_passwords: passwords cross the network in clear text: whoever sees one can"
    assert notes() == [*allowed, f"{in_clear} log in with it; add tls"]


def test_files_that_everybody_can_change(
    installation: Installation, certificates: Certificates, tmp_path: Path, capsys: Any
) -> None:
    authority = tmp_path / "authority.crt"
    authority.write_bytes(certificates.authority.read_bytes())
    tls = server_tls(certificates, client_ca=str(authority))
    only(installation, {"bind": ["127.0.0.1:0"], "allow": [], "tls": tls, "authentication": ["sasl"]})
    before = told(installation, capsys)
    authority.chmod(0o646)
    installation.config.chmod(0o602)
    why = "can be changed by everybody, and so can who may do what; run: chmod o-w"
    added = [line for line in told(installation, capsys) if line not in before]
    assert [line.removeprefix(f"note: {installation.config}") for line in added] == [
        f" {why} {installation.config}",
        f":9: listeners.one.tls.client_ca: {authority} {why} {authority}",
    ]


def test_a_certificate_without_a_channel_binding(
    installation: Installation, certificates: Certificates, capsys: Any
) -> None:
    """RFC 5929 section 4.1 has none for signatures without a hash of their own."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=60)).public_key(key.public_key())
    shown, secret = installation.directory / "ed.crt", installation.directory / "ed.key"
    shown.write_bytes(builder.sign(key, None).public_bytes(Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = server_tls(certificates) | {"certificate": str(shown), "key": str(secret)}
    listener = {"bind": ["10.0.0.5:0"], "allow": [], "authentication": ["sasl"], "tls": tls}
    only(installation, listener | {"mechanisms": ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]})
    assert ways(installation, capsys) == [
        "sasl SCRAM-SHA-256-PLUS: nobody: the certificate's signature has no hash that a login could be bound to",
        "sasl SCRAM-SHA-256: 4 users (sammy, root, reader, watcher)",
    ]
