"""The section `admin`: what is safe beyond this machine, and the files that it names."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcproxy.config.admin_words import TokenError, token_in
from mcproxy.config.changes import needs_restart
from mcproxy.config.encryption import admin_access
from mcproxy.config.load import load
from mcproxy.config.notes import notes
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.schema import Admin, AdminTls
from tests.support.certificates import HOUR, Certificates

from .building import problems_after
from .test_changes import material

TLS = {"certificate": "tls.crt", "key": "tls.key"}
TOKEN = "0123456789abcdef"

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "in clear text": ({"bind": "0.0.0.0:1"}, "admin.bind: 0.0.0.0:1 is not loopback, and whoever reaches it reads "),
    "a token in clear text": (
        {"bind": "10.0.0.5:1", "token_file": "token"},
        "admin.bind: 10.0.0.5:1 is not loopback, and whoever reaches it reads metrics, addresses and users' names: add "
        "tls, and tls.client_ca or token_file",
    ),
    "nobody is asked who he is": (
        {"bind": "10.0.0.5:1", "tls": TLS},
        "admin.bind: 10.0.0.5:1 is not loopback, and whoever reaches it reads metrics, addresses and users' names: add "
        "tls.client_ca or token_file",
    ),
    "IPv6": ({"bind": "[fd00::5]:1"}, "admin.bind: [fd00::5]:1 is not loopback"),
    "hosts of a unix socket": ({"bind": "unix:/run/a", "hosts": ["a"]}, "admin.hosts: are for TCP"),
    "a host with a port": (
        {"hosts": ["a:80"]},
        'admin.hosts[0]: "a:80" is neither a host name nor an IP address; leave',
    ),
    "no host": ({"hosts": ["a b"]}, 'admin.hosts[0]: "a b" is neither a host name nor an IP address'),
    "a host twice": ({"hosts": ["a", "A."]}, "admin.hosts: a is given twice"),
    "no key": ({"tls": {"certificate": "a"}}, "admin.tls.key: is required"),
    "an unknown key": ({"tls": TLS | {"crl": "a"}}, "admin.tls.crl: unknown key"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    settings, expected = REFUSED[case]
    found = problems_after(("admin", settings))
    assert [problem[: len(expected)] for problem in found] == [expected]


@pytest.mark.parametrize(
    "settings",
    [
        {"bind": "10.0.0.5:1", "tls": TLS | {"client_ca": "ca.crt"}},
        {"bind": "10.0.0.5:1", "tls": TLS, "token_file": "token"},
        {"bind": "127.0.0.1:1", "token_file": "token"},
        {"bind": "127.0.0.1:1", "tls": TLS, "hosts": ["Cache-1.example.com.", "10.0.0.5", "[fd00::5]"]},
        {"bind": "unix:/run/a", "token_file": "token"},
        {"bind": "127.0.0.1:1", "health_bind": "0.0.0.0:2"},
    ],
)
def test_right(settings: dict[str, Any]) -> None:
    assert problems_after(("admin", settings)) == []


def test_hosts_are_compared_in_one_spelling() -> None:
    data = {"hosts": ["Cache-1.Example.com.", "[FD00::0:5]", "::ffff:10.0.0.5"]}
    assert Admin(**data).hosts == ["cache-1.example.com", "fd00::5", "10.0.0.5"]


@pytest.mark.parametrize("content", [TOKEN, f"{TOKEN}\n", f"{TOKEN}\r\n", "a-._~+/9" * 2 + "==", "x" * 1024])
def test_tokens(content: str) -> None:
    assert token_in(content.encode()) == content.rstrip("\r\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"short", "has 5 characters"),
        (b"x" * 1025, "has 1025 characters"),
        (b"two words are not it", "something else than letters"),
        (TOKEN.encode() + b"\n\n", "something else than letters"),
        (TOKEN.encode() + b"\0", "something else than letters"),
        ("Schlüssel-0123456789".encode(), "is not ASCII"),
        (b"\xff\xfe" * 20, "is not ASCII"),
    ],
)
def test_what_is_no_token_is_told_without_it(content: bytes, expected: str) -> None:
    with pytest.raises(TokenError, match=expected) as raised:
        token_in(content)
    assert len(content) < 2 or content.strip().decode("latin-1")[:5] not in str(raised.value)


class Place:
    """A configuration whose admin port has everything, in a directory of its own."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.path = directory / "mcproxy.yaml"
        self.token = directory / "token"
        self.token.touch(mode=0o600)
        self.token.write_text(f"{TOKEN}\n")
        server = certificates.server(f"admin-{os.getpid()}")
        self.tls = {"certificate": server.certificate, "key": server.key, "client_ca": certificates.authority}

    def write(self) -> Path:
        settings = {
            "listeners": {"local": {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]}},
            "upstream": {"address": "127.0.0.1:11211"},
            "admin": {
                "bind": "0.0.0.0:9156",
                "tls": {key: str(path) for key, path in self.tls.items()},
                "token_file": str(self.token),
            },
        }
        self.path.write_text(yaml.safe_dump(settings))
        return self.path

    def problems(self) -> list[str]:
        try:
            load(self.write())
        except ConfigurationError as error:
            return [f"{problem.key}: {problem.message}" for problem in error.problems]
        return []


@pytest.fixture
def place(tmp_path: Path, certificates: Certificates) -> Place:
    return Place(tmp_path, certificates)


def test_files_that_are_right(place: Place) -> None:
    assert place.problems() == []


def test_files_are_looked_at_as_a_listeners_are(place: Place, certificates: Certificates) -> None:
    place.token.chmod(0o604)
    place.tls["key"] = certificates.client_key
    place.tls["client_ca"] = place.path.with_name("nothing")
    found = place.problems()
    keys = sorted(problem.partition(":")[0] for problem in found)
    assert keys == ["admin.tls.client_ca", "admin.tls.key", "admin.token_file"]
    assert f"{place.token} can be read by everybody (mode 0604); run: chmod o= {place.token}" in "\n".join(found)


def test_a_wrong_token_is_told_by_its_file_and_not_repeated(place: Place) -> None:
    place.token.write_text("hunter2\n")
    (problem,) = place.problems()
    assert problem.startswith(f"admin.token_file: {place.token} has 7 characters")
    assert "hunter2" not in problem
    place.token.unlink()
    (problem,) = place.problems()
    assert "openssl rand -hex 32" in problem


def test_what_is_hardly_meant(place: Place, certificates: Certificates) -> None:
    old = certificates.issue("admin-old", [], None, ends=-HOUR / 2)
    place.tls |= {"certificate": old.certificate, "key": old.key}
    told = "\n".join(notes(load(place.write())))
    assert "admin.tls.certificate" in told
    assert "has expired" in told


def test_a_health_check_without_a_certificate(place: Place) -> None:
    """It fails always, and with it every container that is checked so."""
    place.write()
    text = place.path.read_text()
    [told] = [note for note in notes(load(place.path)) if "mcproxy health" in note]
    assert "admin.tls.client_ca: " in told
    assert told.endswith("; set admin.health_bind")
    place.path.write_text(text.replace("admin:\n", "admin:\n  health_bind: '127.0.0.1:9157'\n"))
    assert not [note for note in notes(load(place.path)) if "mcproxy health" in note]


def test_what_it_says_of_itself() -> None:
    tls = AdminTls(certificate=Path("a"), key=Path("b"), client_ca=Path("c"), minimum_version="1.3")
    assert admin_access(Admin()) == "no TLS"
    assert admin_access(Admin(token_file=Path("a"))) == "no TLS, token required"
    assert admin_access(Admin(tls=tls)) == "TLS 1.3 or newer, client certificate required"


def test_only_addresses_need_a_restart() -> None:
    def after(admin: str) -> list[str]:
        new = material(("limits:", f"admin: {admin}\nlimits:")).settings
        return [str(problem).partition(" ")[2] for problem in needs_restart(material().settings, new)]

    why = "can't be changed while running; restart mcproxy"
    assert after('{bind: "127.0.0.1:3"}') == [f"admin.bind: {why}"]
    assert after('{health_bind: "127.0.0.1:3"}') == [f"admin.health_bind: {why}"]
    assert after("{tls: {certificate: a, key: b}, token_file: c, hosts: [d]}") == []


def test_a_section_that_is_wrong_is_told_once() -> None:
    """What rests on it is not judged: whether a bind is safe, say."""
    found = problems_after(("admin", {"bind": "10.0.0.5:1", "tls": TLS | {"client_ca": 7}}))
    assert [problem.partition(":")[0] for problem in found] == ["admin.tls.client_ca"]
