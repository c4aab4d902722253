import datetime
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcproxy.cli.main import main

DAY = datetime.timedelta(days=1)


def check(installation, capsys) -> list[str]:
    status = main(["check", "--config", str(installation.config)])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out.splitlines()


def test_a_summary_of_every_listener(installation, capsys):
    lines = check(installation, capsys)
    assert lines[:7] == [
        f"ok: {installation.config}",
        "listener plain: 127.0.0.1:0; no TLS; from 127.0.0.0/8, ::1/128; text and binary; login by sasl (PLAIN), token",
        "listener tls: 127.0.0.1:0; TLS 1.2 or newer; from 127.0.0.0/8, ::1/128; text and binary; "
        "login by sasl (PLAIN), token",
        f"listener socket: unix:{installation.directory}/mcproxy.sock; no TLS; mode 0600; text and binary; "
        "login by sasl (PLAIN), token",
        "upstream: 127.0.0.1:11211",
        f"users: 4 in {installation.users}",
        "admin: 127.0.0.1:0",
    ]


def test_client_certificates_groups_and_health(installation, certificates, capsys):
    installation.settings["listeners"]["tls"]["tls"] |= {
        "client_ca": str(certificates.authority),
        "client_certificate": "optional",
        "minimum_version": "1.3",
    }
    installation.settings["listeners"]["socket"] |= {"mode": "0660", "group": 0, "authentication": ["peer"]}
    del installation.settings["listeners"]["socket"]["mechanisms"]
    installation.change(admin={"bind": "127.0.0.1:0", "health_bind": "0.0.0.0:0"})
    lines = check(installation, capsys)
    assert "TLS 1.3 or newer, client certificate optional; " in lines[2]
    assert lines[3].endswith("no TLS; mode 0660, group 0; text and binary; login by peer")
    assert "admin: 127.0.0.1:0; health at 0.0.0.0:0" in lines


def notes(installation, capsys) -> list[str]:
    return [line for line in check(installation, capsys) if line.startswith("note: ")]


def test_notes_about_what_is_hardly_meant(installation, capsys):
    installation.settings["listeners"] = {"plain": installation.settings["listeners"]["plain"] | {"allow": []}}
    installation.change(grants=[{"user": "olga", "roles": []}])
    assert notes(installation, capsys) == [
        "note: listener plain admits nobody: its allow is empty",
        "note: a grant names user olga, who is not in the users file",
        "note: nobody may do anything: there are no grants and no default_roles",
    ]


def certificate(directory: Path, begin: datetime.timedelta, end: datetime.timedelta) -> dict[str, str]:
    """A self-signed pair that is valid from and to so long from now."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now + begin).not_valid_after(now + end)
    made = builder.sign(key, hashes.SHA256())
    (directory / "own.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file = directory / "own.key"
    key_file.touch(mode=0o600)
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    return {"certificate": "own.crt", "key": "own.key"}


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        (-2 * DAY, -1 * DAY, "has expired on "),
        (-2 * DAY, 3.5 * DAY, "expires in 3 days"),
        (1 * DAY, 100 * DAY, "is not valid before "),
        (-1 * DAY, 100 * DAY, None),
    ],
)
def test_certificates_that_end_or_have_not_begun(installation, capsys, begin, end, expected):
    listener = installation.settings["listeners"]["tls"]
    listener["tls"] = certificate(installation.directory, begin, end)
    installation.settings["listeners"] = {"tls": listener}
    installation.write()
    found = notes(installation, capsys)
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert found[0].startswith(f"note: {installation.directory}/own.crt {expected}")


def test_files_beside_the_configuration(installation, certificates, capsys):
    shutil.copy(certificates.server_certificate, installation.directory / "tls.crt")
    shutil.copy(certificates.server_key, installation.directory / "tls.key")
    (installation.directory / "tls.key").chmod(0o600)
    installation.settings["listeners"]["tls"]["tls"] = {"certificate": "tls.crt", "key": "tls.key"}
    installation.change(users_file="users")
    assert check(installation, capsys)[0] == f"ok: {installation.config}"


def test_all_problems_at_once(installation, capsys):
    installation.users.chmod(0o604)
    installation.change(workers=2, default_roles=["nobody-has-it"])
    assert main(["check", "--config", str(installation.config)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"mcproxy: {installation.config}:") for line in lines)
