"""What `mcproxy check` tells about upstreams: how they are reached, by whom, and what is hardly meant."""

from pathlib import Path
from typing import Any

import pytest

from mcproxy.cli.main import main
from tests.support.certificates import Certificates

from .conftest import Installation

FAR = "cache.example.com:11211"


def told(installation: Installation, capsys: Any, **settings: Any) -> list[str]:
    """The lines of check, of these upstreams and a listener `a` on a unix socket unless others are given."""
    listener = {"bind": [f"unix:{installation.directory}/a"], "mode": "0666", "authentication": ["peer"]}
    installation.settings = {
        "listeners": {"a": listener},
        "roles": {"app": {"commands": ["read"], "keys": ["app:*"]}},
        "grants": [{"peer": {"uid": 1}, "as": "one", "roles": ["app"]}],
    } | settings
    installation.write()
    status = main(["check", "--config", str(installation.config)])
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    assert "hunter2" not in captured.out
    return captured.out.splitlines()


def ways_up(lines: list[str]) -> list[str]:
    start = next(number for number, line in enumerate(lines) if line.startswith("upstream"))
    return lines[start : next(number for number, line in enumerate(lines) if line.startswith("admin: "))]


def notes(lines: list[str]) -> list[str]:
    """Without what is about the certificates, made for one test run."""
    return [line.split(": ", 2)[2] for line in lines if line.startswith("note: ") and "expires in" not in line]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("hunter2 hunter2\n")
    return path


def sasl(password: Path, mechanism: str = "SCRAM-SHA-256") -> dict[str, Any]:
    return {"method": "sasl", "mechanism": mechanism, "username": "app", "password_file": str(password)}


def test_tls_login_and_translation(
    installation: Installation, certificates: Certificates, password: Path, capsys: Any
) -> None:
    tls = {"ca": str(certificates.authority), "minimum_version": "1.3"}
    upstream = {"address": FAR, "protocol": "binary", "tls": tls, "login": sasl(password)}
    lines = told(installation, capsys, upstream=upstream)
    assert ways_up(lines) == [
        f"upstream: {FAR}; TLS 1.3 or newer, for cache.example.com; login by sasl SCRAM-SHA-256 as app",
        "  from a: text clients translated to binary, binary clients as they are",
    ]
    assert notes(lines) == []


def test_a_client_certificate(installation: Installation, certificates: Certificates, capsys: Any) -> None:
    shown = {"certificate": str(certificates.client_certificate), "key": str(certificates.client_key)}
    tls = {"ca": str(certificates.authority), "server_name": "10.0.0.9", **shown}
    upstream = {"address": FAR, "tls": tls, "login": {"method": "sasl", "mechanism": "EXTERNAL"}}
    lines = told(installation, capsys, upstream=upstream)
    (subject,) = [part for part in ways_up(lines)[0].split("; ") if part.startswith("TLS ")]
    assert subject.startswith("TLS 1.2 or newer, for 10.0.0.9, shown the certificate of CN=")
    assert ways_up(lines)[0].endswith("; login by sasl EXTERNAL, as that certificate's")
    assert ways_up(lines)[1] == (
        "  sasl over text: as mcproxy and arcus-memcached have it; memcached -S needs protocol: binary"
    )


def test_several_upstreams_and_who_reaches_them(installation: Installation, password: Path, capsys: Any) -> None:
    def listener(name: str, upstream: str, *protocols: str) -> dict[str, Any]:
        bind = [f"unix:{installation.directory}/{name}"]
        return {
            "bind": bind,
            "mode": "0666",
            "authentication": ["peer"],
            "upstream": upstream,
            "protocols": [*protocols],
        }

    token = {"method": "token", "username": "app", "password_file": str(password)}
    lines = told(
        installation,
        capsys,
        listeners={name: listener(name, "one", "binary") for name in ("a", "b")},
        upstreams={
            "one": {"address": "127.0.0.1:11211", "protocol": "text", "login": token},
            "two": {"address": "127.0.0.1:11211"},
        },
    )
    assert ways_up(lines) == [
        "upstream one: 127.0.0.1:11211; no TLS; login by token as app",
        "  from a: binary clients translated to text",
        "  from b: binary clients translated to text",
        "upstream two: 127.0.0.1:11211; no TLS; no login",
        "  from nobody: no listener names it",
    ]
    assert notes(lines) == [
        "upstreams.one.login.password_file: memcached 1.6.18 and older refuse a token whose password holds a space",
        "upstreams.two: no listener names this upstream: nobody reaches it",
    ]


@pytest.mark.parametrize(
    ("mechanism", "expected"),
    [
        (None, ["upstream.plaintext: keys and values cross the network in clear text, and links can be taken over"]),
        ("PLAIN", ["upstream.plaintext_passwords: the password crosses the network in clear text"]),
        (
            "CRAM-MD5",
            [
                "upstream.plaintext: keys and values cross",
                "upstream.login.mechanism: CRAM-MD5 shows what the password can be guessed from",
            ],
        ),
    ],
)
def test_what_crosses_the_network_in_clear_text(
    installation: Installation, password: Path, capsys: Any, mechanism: str | None, expected: list[str]
) -> None:
    upstream: dict[str, Any] = {"address": FAR, "plaintext": True, "plaintext_passwords": True}
    if mechanism is not None:
        upstream["login"] = sasl(password, mechanism)
    found = notes(told(installation, capsys, upstream=upstream))
    assert [note[: len(start)] for note, start in zip(found, expected, strict=True)] == expected
    assert notes(told(installation, capsys, upstream=upstream | {"address": "127.0.0.1:1"})) == []


def test_grants_that_binary_has_no_words_for(installation: Installation, capsys: Any) -> None:
    upstream = {"address": "127.0.0.1:1", "protocol": "binary"}
    every = {"roles": {"app": {"commands": ["*"], "keys": ["*"]}}}
    (note,) = notes(told(installation, capsys, upstream=upstream, **every))
    assert note.startswith("upstream.protocol: inspect and admin are granted, and the binary protocol has little of")
    assert notes(told(installation, capsys, upstream=upstream)) == []
    assert notes(told(installation, capsys, upstream=upstream | {"protocol": "same"}, **every)) == []


def test_grants_that_twemproxy_has_no_words_for(installation: Installation, capsys: Any) -> None:
    upstream = {"address": "127.0.0.1:1", "engine": "twemproxy"}
    bind = [f"unix:{installation.directory}/a"]
    listeners = {"a": {"bind": bind, "mode": "0666", "authentication": ["peer"], "protocols": ["text"]}}
    every = {"roles": {"app": {"commands": ["read", "stats", "flush"], "keys": ["*"]}}}
    assert notes(told(installation, capsys, upstream=upstream, listeners=listeners, **every)) == [
        "upstream.engine: flush, stats granted, and twemproxy has none of these commands: they are refused"
    ]
    assert notes(told(installation, capsys, upstream=upstream, listeners=listeners)) == []


@pytest.mark.parametrize("blank", [" ", "\u00a0"])
def test_a_blank_that_nobody_sees(installation: Installation, password: Path, capsys: Any, blank: str) -> None:
    upstream = {"address": "127.0.0.1:1", "login": sasl(password, "PLAIN")}
    assert notes(told(installation, capsys, upstream=upstream)) == []
    password.write_text(f"hunter2{blank}\n")
    (note,) = notes(told(installation, capsys, upstream=upstream))
    assert note.startswith("upstream.login.password_file: the password ends in a blank, which counts")


def test_files_that_are_not_for_this(
    installation: Installation, certificates: Certificates, tmp_path: Path, capsys: Any
) -> None:
    authority = tmp_path / "authority.crt"
    authority.write_bytes(certificates.server_certificate.read_bytes())
    authority.chmod(0o646)
    shown = {"certificate": str(certificates.server_certificate), "key": str(certificates.server_key)}
    upstream = {"address": FAR, "tls": {"ca": str(authority), **shown}}
    found = notes(told(installation, capsys, upstream=upstream))
    assert len(found) == 3, found
    assert "is no authority's certificate (basicConstraints): no server's chain can end there" in found[0]
    assert found[1].endswith("is not for clients (extendedKeyUsage without clientAuth); upstream will refuse it")
    assert found[2] == (
        f"upstream.tls.ca: {authority} can be changed by everybody, and so can who is taken for upstream; "
        f"run: chmod o-w {authority}"
    )
