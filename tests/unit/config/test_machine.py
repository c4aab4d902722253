"""Files, keys, groups and descriptors, as they are found on real machines."""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mcproxy.config.load import load
from mcproxy.config.machine import check_machine
from mcproxy.config.problems import ConfigurationError
from tests.support.certificates import Certificates
from tests.support.configuration import write_users

from .building import settings_of


class Place:
    """A configuration with everything that it names, in a directory of its own."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificate = Path(shutil.copy(certificates.server_certificate, directory / "tls.crt"))
        self.key = Path(shutil.copy(certificates.server_key, directory / "tls.key"))
        self.key.chmod(0o600)
        self.authority = Path(shutil.copy(certificates.authority, directory / "ca.crt"))
        self.users = directory / "users"
        write_users(self.users, {"sammy": "secret"})
        self.settings: dict[str, Any] = {
            "listeners": {
                "tls": {
                    "bind": ["127.0.0.1:0"],
                    "allow": ["127.0.0.1"],
                    "authentication": ["sasl", "token", "certificate"],
                    "tls": {"certificate": "tls.crt", "key": "tls.key", "client_ca": "ca.crt"},
                },
                "socket": {"bind": [f"unix:{directory}/sock"], "authentication": ["peer"]},
            },
            "upstream": {"address": "127.0.0.1:11211"},
            "users_file": "users",
        }

    def problems(self) -> list[str]:
        path = self.directory / "mcproxy.yaml"
        path.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        try:
            load(path)
        except ConfigurationError as error:
            return str(error).replace(f"{self.directory}/", "").split("\n")
        return []


@pytest.fixture
def place(tmp_path: Path, certificates: Certificates) -> Place:
    return Place(tmp_path, certificates)


def test_everything_in_its_place(place):
    assert place.problems() == []


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_key(place: Place) -> None:
    place.key.write_bytes(key_bytes(serialization.NoEncryption()))


def key_bytes(encryption: serialization.KeySerializationEncryption, form=serialization.PrivateFormat.PKCS8) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def damaged(path: Path) -> None:
    """Whole PEM lines whose middle is something else."""
    lines = path.read_text().split("\n")
    lines[1] = "A" * len(lines[1])
    path.write_text("\n".join(lines))


PASSPHRASE = serialization.BestAvailableEncryption(b"secret")
REVOCATIONS = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"

BREAKAGES: dict[str, tuple[Callable[[Place], object], list[str]]] = {
    "no certificate": (
        lambda place: place.certificate.unlink(),
        ["mcproxy.yaml:12: listeners.tls.tls.certificate: there is no file tls.crt"],
    ),
    "no key": (lambda place: place.key.unlink(), ["listeners.tls.tls.key: there is no file tls.key"]),
    "no authority": (lambda place: place.authority.unlink(), ["listeners.tls.tls.client_ca: there is no file ca.crt"]),
    "no users file": (
        lambda place: place.users.unlink(),
        ['users_file: there is no file users; make it with "mcproxy user add"'],
    ),
    "a key for everybody": (
        lambda place: place.key.chmod(0o644),
        ["listeners.tls.tls.key: tls.key can be read by everybody (mode 0644); run: chmod o= tls.key"],
    ),
    "a certificate for everybody that holds its key": (
        lambda place: place.certificate.write_text(place.certificate.read_text() + place.key.read_text()),
        [
            "listeners.tls.tls.certificate: tls.crt holds a private key and can be read by everybody (mode 0644); "
            "run: chmod o= tls.crt"
        ],
    ),
    "users for everybody": (
        lambda place: place.users.chmod(0o604),
        ["users_file: users can be read by everybody (mode 0604); run: chmod o= users"],
    ),
    "users that everybody can change": (
        lambda place: place.users.chmod(0o602),
        ["users_file: users can be changed by everybody (mode 0602)"],
    ),
    "half a certificate": (
        lambda place: half(place.certificate),
        ["listeners.tls.tls.certificate: tls.crt is cut short: a PEM block is not whole"],
    ),
    "half a key": (lambda place: half(place.key), ["tls.key: tls.key is cut short: a PEM block is not whole"]),
    "half an authority": (lambda place: half(place.authority), ["ca.crt is cut short: a PEM block is not whole"]),
    "half of the second authority": (
        lambda place: place.authority.write_text(place.authority.read_text() + place.authority.read_text()[:200]),
        ["ca.crt is cut short: a PEM block is not whole"],
    ),
    "an empty certificate": (
        lambda place: place.certificate.write_text(""),
        ["tls.certificate: tls.crt holds no certificate: it is not in PEM form"],
    ),
    "a certificate in DER": (
        lambda place: place.certificate.write_bytes(b"\x30\x82\x01\x0a\xff\xfe"),
        ["tls.certificate: tls.crt holds no certificate: it is not in PEM form"],
    ),
    "a damaged certificate": (
        lambda place: damaged(place.certificate),
        ["tls.certificate: tls.crt can't be used; its content is damaged"],
    ),
    "a damaged key": (lambda place: damaged(place.key), ["tls.key: tls.key can't be used; its content is damaged"]),
    "a damaged authority": (
        lambda place: damaged(place.authority),
        ["tls.client_ca: ca.crt can't be used; its content is damaged"],
    ),
    "key and certificate swapped": (
        lambda place: (
            place.settings["listeners"]["tls"]["tls"].update(certificate="tls.key", key="ca.crt")
            or place.authority.chmod(0o600)
        ),
        [
            "tls.certificate: tls.key holds no certificate: it holds PRIVATE KEY",
            "tls.key: ca.crt holds no private key: it holds CERTIFICATE",
        ],
    ),
    "another certificate's key": (
        another_key,
        ["tls.key: tls.key does not belong to the certificate tls.crt; install the pair issued together"],
    ),
    "the authority's certificate before the server's own": (
        lambda place: place.certificate.write_text(place.authority.read_text() + place.certificate.read_text()),
        ["install the pair issued together; of several in that file, the server's own must come first"],
    ),
    "an unknown key beside a key for everybody": (
        lambda place: (place.key.chmod(0o644), place.settings["listeners"]["tls"].update(bnd=1)),
        ["tls.key: tls.key can be read by everybody", "listeners.tls.bnd: unknown key"],
    ),
    "a wrong certificate name beside a key for everybody": (
        lambda place: (place.key.chmod(0o644), place.settings["listeners"]["tls"]["tls"].update(certificate=5)),
        ["tls.certificate: must be a file name", "tls.key: tls.key can be read by everybody"],
    ),
    "a wrong mode beside an unknown group": (
        lambda place: place.settings["listeners"]["socket"].update(mode="999", group="no-such-group"),
        ['socket.mode: "999" is not a file mode', 'there is no group "no-such-group"'],
    ),
    "an encrypted key": (
        lambda place: place.key.write_bytes(key_bytes(PASSPHRASE)),
        ["tls.key: tls.key is encrypted and nobody is there to type its passphrase"],
    ),
    "an encrypted key of the old kind": (
        lambda place: place.key.write_bytes(key_bytes(PASSPHRASE, serialization.PrivateFormat.TraditionalOpenSSL)),
        ["tls.key: tls.key is encrypted and nobody is there to type its passphrase"],
    ),
    "a revocation list": (
        lambda place: place.authority.write_text(place.authority.read_text() + REVOCATIONS),
        ["tls.client_ca: ca.crt holds a revocation list; put that into a file of its own, and name it as crl"],
    ),
    "a revocation list that is none": (
        lambda place: place.settings["listeners"]["tls"]["tls"].update(crl=str(place.authority)),
        ["tls.crl: ca.crt holds no revocation list: it holds CERTIFICATE"],
    ),
    "no file of revocation lists": (
        lambda place: place.settings["listeners"]["tls"]["tls"].update(crl="/nowhere/ca.crl"),
        ["tls.crl: there is no file /nowhere/ca.crl"],
    ),
    "a directory for a key": (
        lambda place: place.key.unlink() or place.key.mkdir(),
        ["tls.key: tls.key is not a regular file"],
    ),
    "a pipe for a users file": (
        lambda place: place.users.unlink() or os.mkfifo(place.users, 0o600),
        ["users_file: users is not a regular file"],
    ),
    "users lines that are wrong": (
        lambda place: place.users.write_text(place.users.read_text() + "olga:secret\n\nnobody\n"),
        ["users:2: what follows the name 'olga' is not a verifier", "users:4: no ':' after the name"],
    ),
    "a users file in Latin-1": (
        lambda place: place.users.write_bytes("jörg:x\n".encode("latin-1")),
        ["users: is not UTF-8 text"],
    ),
    "a group that does not exist": (
        lambda place: place.settings["listeners"]["socket"].update(group="no-such-group"),
        ['listeners.socket.group: there is no group "no-such-group" on this machine'],
    ),
    "several at once, beside a mistake of another kind": (
        lambda place: (place.key.chmod(0o644), place.authority.unlink(), place.settings.update(workers=0)),
        ["tls.key: tls.key can be read by everybody", "client_ca: there is no file ca.crt", "workers: must be at"],
    ),
}


@pytest.mark.parametrize("case", BREAKAGES)
def test_what_is_broken_is_told(place, case):
    breakage, expected = BREAKAGES[case]
    breakage(place)
    found = place.problems()
    assert len(found) == len(expected), found
    for problem, part in zip(found, expected, strict=True):
        assert part in problem
        assert "secret" not in problem


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_group_readable_is_how_kubernetes_mounts(place, mode):
    place.key.chmod(mode)
    place.users.chmod(mode)
    assert place.problems() == []


def test_a_symbolic_link_is_followed(place):
    place.key.rename(place.directory / "..data")
    place.key.symlink_to("..data")
    assert place.problems() == []
    (place.directory / "..data").chmod(0o644)
    assert "tls.key can be read by everybody" in place.problems()[0]


def test_a_group_by_number_need_not_exist(place):
    place.settings["listeners"]["socket"]["group"] = 54321
    assert place.problems() == []


def test_a_key_with_the_parameters_that_openssl_writes_before_it(place):
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    place.key.write_text(parameters + place.key.read_text())
    assert place.problems() == []


def test_connections_must_fit_the_file_descriptors(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1000))
    data = {
        "listeners": {"a": {"bind": ["unix:/x"], "authentication": ["none"]}},
        "upstream": {"address": "unix:/y"},
    }
    findings = list(check_machine(settings_of(data | {"limits": {"connections": 1000}})))
    assert [(finding.place, finding.message) for finding in findings] == [
        (
            ("limits", "connections"),
            "1000 connections need 1071 file descriptors (71 of them for other things) and the hard limit is 1000; "
            "write 929 or less, or raise the limit (ulimit -Hn, LimitNOFILE= of systemd)",
        )
    ]
    assert list(check_machine(settings_of(data | {"limits": {"connections": 929}}))) == []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, resource.RLIM_INFINITY))
    assert list(check_machine(settings_of(data | {"limits": {"connections": 1000}}))) == []


def test_the_parent_of_many_workers_must_have_descriptors_for_their_sockets(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 120))
    data = {
        "listeners": {"a": {"bind": ["unix:/x"], "authentication": ["none"]}},
        "upstream": {"address": "unix:/y"},
        "limits": {"connections": 10},
    }
    assert list(check_machine(settings_of(data | {"workers": 11}))) == []
    (finding,) = check_machine(settings_of(data | {"workers": 40}))
    assert finding.place == ("workers",)
    assert finding.message == (
        "the parent of 40 workers needs 264 file descriptors and the hard limit is 120; "
        "write fewer, or raise the limit (ulimit -Hn, LimitNOFILE= of systemd)"
    )
