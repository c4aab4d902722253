"""Files, certificates and passwords of upstreams, as they are found on real machines."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcproxy.config.load import load
from mcproxy.config.machine import check_machine
from mcproxy.config.problems import ConfigurationError
from tests.support.certificates import Certificates

from .building import settings_of


class Place:
    """A gateway with everything that it names, in a directory of its own."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.authority = Path(shutil.copy(certificates.authority, directory / "ca.crt"))
        self.certificate = Path(shutil.copy(certificates.client_certificate, directory / "tls.crt"))
        self.key = Path(shutil.copy(certificates.client_key, directory / "tls.key"))
        self.other_key = certificates.server_key
        self.key.chmod(0o600)
        self.password = directory / "password"
        self.password.touch(mode=0o600)
        self.password.write_text("hunter2\n")
        self.login: dict[str, Any] = {
            "method": "sasl",
            "mechanism": "SCRAM-SHA-256",
            "username": "app",
            "password_file": "password",
        }
        self.settings: dict[str, Any] = {
            "listeners": {"a": {"bind": [f"unix:{directory}/sock"], "authentication": ["peer"]}},
            "upstream": {
                "address": "cache.example.com:11211",
                "tls": {"ca": "ca.crt", "certificate": "tls.crt", "key": "tls.key"},
                "login": self.login,
            },
        }

    def by_variable(self, name: str = "MCPROXY_TEST_PASSWORD") -> None:
        del self.login["password_file"]
        self.login["password_environment"] = name

    def problems(self) -> list[str]:
        path = self.directory / "mcproxy.yaml"
        path.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        try:
            load(path)
        except ConfigurationError as error:
            return str(error).replace(f"{self.directory}/", "").split("\n")
        return []


@pytest.fixture
def place(tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("MCPROXY_TEST_PASSWORD", raising=False)
    return Place(tmp_path, certificates)


def test_everything_in_its_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.problems() == []
    monkeypatch.setenv("MCPROXY_TEST_PASSWORD", "hunter2")
    place.by_variable()
    assert place.problems() == []


def damaged(path: Path) -> None:
    """Whole PEM lines whose middle is something else."""
    lines = path.read_text().split("\n")
    lines[1] = "A" * len(lines[1])
    path.write_text("\n".join(lines))


FILE, VARIABLE = "login.password_file: password", "login.password_environment: the environment variable MCPROXY_TEST_"

BREAKAGES: dict[str, tuple[Callable[[Place], object], list[str]]] = {
    "no authority": (lambda place: place.authority.unlink(), ["upstream.tls.ca: there is no file ca.crt"]),
    "a damaged authority": (
        lambda place: damaged(place.authority),
        ["upstream.tls.ca: ca.crt can't be used; its content is damaged"],
    ),
    "a key for an authority": (
        lambda place: place.authority.write_bytes(place.key.read_bytes()),
        ["upstream.tls.ca: ca.crt holds no certificate: it holds PRIVATE KEY"],
    ),
    "a key beside the authority": (
        lambda place: place.authority.write_text(place.authority.read_text() + place.key.read_text()),
        ["upstream.tls.ca: ca.crt holds a PRIVATE KEY beside what is wanted here"],
    ),
    "no certificate": (
        lambda place: place.certificate.unlink(),
        ["upstream.tls.certificate: there is no file tls.crt"],
    ),
    "a key for everybody": (
        lambda place: place.key.chmod(0o644),
        ["upstream.tls.key: tls.key can be read by everybody (mode 0644); run: chmod o= tls.key"],
    ),
    "another certificate's key": (
        lambda place: place.key.write_bytes(place.other_key.read_bytes()),
        ["upstream.tls.key: tls.key does not belong to the certificate tls.crt; install the pair issued together"],
    ),
    "no password": (
        lambda place: place.password.unlink(),
        ["upstream.login.password_file: there is no file password; write the password into it, on one line"],
    ),
    "a password for everybody": (
        lambda place: place.password.chmod(0o604),
        [f"upstream.{FILE} can be read by everybody (mode 0604); run: chmod o= password"],
    ),
    "an empty password": (lambda place: place.password.write_text("\n"), [f"upstream.{FILE} is empty; write"]),
    "two lines": (
        lambda place: place.password.write_text("hunter2\nhunter2\n"),
        [f"upstream.{FILE} holds more than one line; a password is one line"],
    ),
    "a line and an empty one": (
        lambda place: place.password.write_text("hunter2\n\n"),
        [f"upstream.{FILE} holds more than one line"],
    ),
    "a NUL": (lambda place: place.password.write_text("hunter2\0"), [f"upstream.{FILE} holds a NUL"]),
    "Latin-1": (lambda place: place.password.write_bytes(b"hunter2\xe9\n"), [f"upstream.{FILE} is not UTF-8 text"]),
    "a control character": (
        lambda place: place.password.write_text("hunter2\x07\n"),
        [f"upstream.{FILE}: the password to log in with holds a control character"],
    ),
    "a long password": (
        lambda place: place.password.write_text("hunter2" * 74),
        [f"upstream.{FILE}: the password to log in with is longer than 512 bytes"],
    ),
    "a password that SCRAM can't have": (
        lambda place: place.password.write_text("hunter2\u0221"),
        [f"upstream.{FILE}: the password to log in with is refused by SASLprep (RFC 4013)"],
    ),
    "a name that SCRAM can't have, and a right password": (
        lambda place: place.login.update(username="a\u0221"),
        ["upstream.login.username: the user name to log in with is refused by SASLprep (RFC 4013)"],
    ),
    "a name and a password that PLAIN can't have": (
        lambda place: (
            place.login.update(mechanism="PLAIN", username="a\x9b"),
            place.password.write_text("hunter2\x9b\n"),
        ),
        [
            "upstream.login.username: the user name to log in with holds a control character",
            f"upstream.{FILE}: the password to log in with holds a control character",
        ],
    ),
    "a directory for a password": (
        lambda place: place.password.unlink() or place.password.mkdir(),
        [f"upstream.{FILE} is not a regular file"],
    ),
    "a variable that is not set": (lambda place: place.by_variable(), [f"upstream.{VARIABLE}PASSWORD is not set"]),
    "all of it in one of several": (
        lambda place: (
            place.settings.update(upstreams={"one": place.settings.pop("upstream")}),
            place.authority.unlink(),
            place.password.unlink(),
            place.key.chmod(0o644),
        ),
        [
            "upstreams.one.tls.ca: there is no file",
            "upstreams.one.tls.key: tls.key can be read by everybody",
            "upstreams.one.login.password_file: there is no file",
        ],
    ),
}


@pytest.mark.parametrize("case", BREAKAGES)
def test_what_is_broken_is_told(place: Place, case: str) -> None:
    breakage, expected = BREAKAGES[case]
    breakage(place)
    found = place.problems()
    assert len(found) == len(expected), found
    for problem, part in zip(found, expected, strict=True):
        assert part in problem
        assert "hunter2" not in problem


@pytest.mark.parametrize(("value", "problem"), [("", "is empty"), ("hunter2\nhunter2", "holds more than one line")])
def test_a_variable_that_holds_no_password(
    place: Place, monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("MCPROXY_TEST_PASSWORD", value)
    place.by_variable()
    (found,) = place.problems()
    assert f"upstream.{VARIABLE}PASSWORD {problem}" in found
    assert "hunter2" not in found


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_group_readable_is_how_kubernetes_mounts(place: Place, mode: int) -> None:
    place.password.chmod(mode)
    place.key.chmod(mode)
    assert place.problems() == []


@pytest.mark.parametrize("written", ["hunter2", "hunter2\n", "hunter2\r\n", "\ufeffhunter2\n"])
def test_the_end_of_the_line_is_no_part_of_the_password(place: Place, written: str) -> None:
    place.password.write_bytes(written.encode())
    assert place.problems() == []


@pytest.mark.parametrize(
    ("upstreams", "links"),
    [
        ({"upstream": {"address": "unix:/y", "links": 3}}, 6),
        ({"upstream": {"address": "unix:/y", "links": 3, "protocol": "text"}}, 3),
        (
            {"upstreams": {"one": {"address": "unix:/y", "links": 5}, "two": {"address": "unix:/z", "links": 64}}},
            10,
        ),
    ],
)
def test_links_that_are_needed_are_counted(
    monkeypatch: pytest.MonkeyPatch, upstreams: dict[str, Any], links: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 1000))
    listener = {"bind": ["unix:/x"], "authentication": ["none"]}
    if "upstreams" in upstreams:
        listener["upstream"] = "one"
    data = {"listeners": {"a": listener}, **upstreams}
    most = 1000 - links - 67
    assert list(check_machine(settings_of(data | {"limits": {"connections": most}}))) == []
    assert len(list(check_machine(settings_of(data | {"limits": {"connections": most + 1}})))) == 1
