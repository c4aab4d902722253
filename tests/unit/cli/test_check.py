import datetime
import json
import shutil
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcproxy.cli.main import main
from mcproxy.server import serve

DAY = datetime.timedelta(days=1)


def check(installation, capsys) -> list[str]:
    status = main(["check", "--config", str(installation.config)])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    return captured.out.splitlines()


def test_a_summary_of_every_listener(installation, capsys):
    lines = check(installation, capsys)
    logins = ["  sasl PLAIN: 4 users (USERS)", "  token: 4 users (USERS)"]
    logins = [line.replace("USERS", "sammy, root, reader, watcher") for line in logins]
    assert lines[:16] == [
        f"ok: {installation.config}",
        "listener plain: 127.0.0.1:0; no TLS; from 127.0.0.0/8, ::1/128; text and binary",
        *logins,
        "listener tls: 127.0.0.1:0; TLS 1.2 or newer; from 127.0.0.0/8, ::1/128; text and binary",
        *logins,
        f"listener socket: unix:{installation.directory}/mcproxy.sock; no TLS; mode 0600; text and binary",
        *logins,
        "upstream: 127.0.0.1:11211; no TLS; no login",
        "  from plain: text clients as they are, binary clients as they are",
        "  from tls: text clients as they are, binary clients as they are",
        "  from socket: text clients as they are, binary clients as they are",
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
    assert "TLS 1.3 or newer, client certificate optional; " in lines[4]
    assert lines[7].endswith("no TLS; mode 0660, group 0; text and binary")
    assert lines[8] == "  peer: nobody: no grant is for a peer"
    assert "admin: 127.0.0.1:0; health at 0.0.0.0:0" in lines


def notes(installation, capsys) -> list[str]:
    """Without that the server's certificate, made for one test run, ends soon."""
    lines = check(installation, capsys)
    return [line for line in lines if line.startswith("note: ") and "server.crt expires in" not in line]


def test_notes_about_what_is_hardly_meant(installation, capsys):
    installation.settings["listeners"] = {"plain": installation.settings["listeners"]["plain"] | {"allow": []}}
    installation.change(grants=[{"user": "olga", "roles": []}])
    line = installation.config.read_text().splitlines().index("grants:") + 1
    assert notes(installation, capsys) == [
        f"note: {installation.config}:5: listeners.plain.allow: is empty, so nobody may connect",
        f"note: {installation.config}:{line + 1}: grants[0].user: olga is not in {installation.users}; "
        '"mcproxy user add" adds users',
        f"note: {installation.config}:{line}: grants: nobody may do anything: no grant has a role and there are no "
        "default_roles",
    ]


def test_a_note_suggests_the_user_that_was_perhaps_meant(installation, capsys):
    installation.change(grants=[{"user": "samy", "roles": ["app"]}])
    assert [note.partition("grants[0].user: ")[2] for note in notes(installation, capsys)] == [
        f'samy is not in {installation.users}; did you mean "sammy"?'
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"authentication": ["address"]}, "nobody can log in here: no grant is for an address"),
        ({"authentication": ["none"]}, "none gives default_roles, and there are none"),
        ({"authentication": ["sasl", "address"]}, None),
    ],
)
def test_a_note_about_a_listener_that_nobody_can_log_in_to(installation, capsys, changes, expected):
    listener = installation.settings["listeners"]["plain"] | changes
    if "sasl" not in changes["authentication"]:
        listener = {key: value for key, value in listener.items() if key != "mechanisms"}
    installation.settings["listeners"]["plain"] = listener
    installation.write()
    found = notes(installation, capsys)
    assert len(found) == (expected is not None)
    if expected:
        assert f": listeners.plain.authentication: {expected}" in found[0]


def test_a_note_about_a_users_file_without_users(installation, capsys):
    installation.users.write_text("")
    found = notes(installation, capsys)
    assert sum("authentication: nobody can log in here: the users file is empty" in note for note in found) == 3


def test_a_note_about_a_unix_socket_without_a_directory(installation, capsys):
    installation.settings["listeners"]["socket"]["bind"] = ["unix:/nowhere/mcproxy.sock"]
    installation.change(admin={"bind": "unix:/nowhere/admin.sock"})
    assert [note.split(": ", 2)[2] for note in notes(installation, capsys)] == [
        f"{key}: there is no directory /nowhere; it must be there when the proxy starts"
        for key in ("listeners.socket.bind[0]", "admin.bind")
    ]


def test_notes_are_logged_when_the_proxy_starts(installation, monkeypatch, capfd):
    monkeypatch.setattr(serve, "run_server", lambda *_: 0)
    installation.change(grants=[{"user": "samy", "roles": ["app"]}])
    assert main(["run", "--config", str(installation.config)]) == 0
    logged = json.loads(capfd.readouterr().err.splitlines()[-1])
    assert (logged["level"], logged["event"]) == ("warning", "configuration_note")
    assert "grants[0].user: samy is not in " in logged["note"]


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
        assert f": listeners.tls.tls.certificate: {installation.directory}/own.crt {expected}" in found[0]


def test_files_beside_the_configuration(installation, certificates, capsys):
    shutil.copy(certificates.server_certificate, installation.directory / "tls.crt")
    shutil.copy(certificates.server_key, installation.directory / "tls.key")
    (installation.directory / "tls.key").chmod(0o600)
    installation.settings["listeners"]["tls"]["tls"] = {"certificate": "tls.crt", "key": "tls.key"}
    installation.change(users_file="users")
    assert check(installation, capsys)[0] == f"ok: {installation.config}"


def test_all_problems_at_once(installation, capsys):
    installation.users.chmod(0o604)
    installation.change(workers=0, default_roles=["nobody-has-it"])
    assert main(["check", "--config", str(installation.config)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"mcproxy: {installation.config}:") for line in lines)
