"""Every rule about upstreams: what it refuses, what it says, and the nearest thing that it lets pass."""

from typing import Any

import pytest

from .building import DELETE, Change, changed, problems_after, settings_of

TLS = {"ca": "ca.crt"}
SHOWN = {**TLS, "certificate": "tls.crt", "key": "tls.key"}
FAR = "cache.example.com:11211"
TEXT: list[Change] = [(f"listeners.{name}.protocols", ["text"]) for name in ("local", "private", "sidecar")]
ONE, TWO = {"address": "unix:/one"}, {"address": "unix:/two"}


def sasl(mechanism: str = "SCRAM-SHA-256", **more: Any) -> dict[str, Any]:
    return {"method": "sasl", "mechanism": mechanism, "username": "app", "password_file": "password", **more}


TOKEN = {"method": "token", "username": "app", "password_file": "password"}
EXTERNAL = {"method": "sasl", "mechanism": "EXTERNAL"}


def upstream(address: str = "127.0.0.1:11211", **more: Any) -> list[Change]:
    return [("upstream", {"address": address, **more})]


def several(local: Any = DELETE, private: Any = "one", sidecar: Any = "two", **upstreams: Any) -> list[Change]:
    named = {"local": local, "private": private, "sidecar": sidecar}
    changes = [(f"listeners.{name}.upstream", value) for name, value in named.items() if value is not DELETE]
    return [("upstream", DELETE), ("upstreams", upstreams), *changes]


IN_CLEAR = "would send the password over the network in clear text; add tls, or plaintext_passwords: true"

REFUSED: dict[str, tuple[list[Change], list[str]]] = {
    "no upstream": (
        [("upstream", DELETE)],
        ['upstream: is required, such as {address: "127.0.0.1:11211"}; or upstreams, for several with names'],
    ),
    "both forms": ([("upstreams", {"one": ONE})], ["upstreams: stands beside upstream; keep one"]),
    "several that are none": ([("upstream", DELETE), ("upstreams", {})], ["upstreams: must not be empty"]),
    "a listener that names the single one": (
        [("listeners.local.upstream", "upstream")],
        ["listeners.local.upstream: is for several upstreams, and there is the single upstream; take it out"],
    ),
    "a listener that names none of several": (
        several(one=ONE, two=TWO),
        ["listeners.local.upstream: is required with several upstreams; known are: one, two"],
    ),
    "a listener that names another": (
        several(local="tow", one=ONE, two=TWO),
        ['listeners.local.upstream: there is no upstream "tow"; did you mean "two"?'],
    ),
    "off loopback without TLS": (
        upstream(FAR),
        [f"upstream.address: {FAR} is not loopback and has no TLS: everything would cross the network in clear text"],
    ),
    "one of several off loopback without TLS": (
        several(local="one", one=ONE, two={"address": FAR}),
        ["upstreams.two.address: cache.example.com:11211 is not loopback and has no TLS"],
    ),
    "a listener where any of them is": (
        several(local="one", one=ONE, two={"address": "127.0.0.1:11212"}),
        ["listeners.local.bind[0]: 127.0.0.1:11212 is already used by upstreams.two.address"],
    ),
    "a listener where one of them is by name": (
        upstream("localhost:11212"),
        ["listeners.local.bind[0]: 127.0.0.1:11212 is already used by upstream.address"],
    ),
    "TLS over a unix socket for nobody": (
        upstream("unix:/run/cache.sock", tls=TLS),
        ["upstream.tls.server_name: is required with a unix socket"],
    ),
    "a certificate without its key": (
        upstream(FAR, tls={**TLS, "certificate": "tls.crt"}),
        ["upstream.tls.certificate: needs key, the certificate's private key"],
    ),
    "a key without its certificate": (
        upstream(FAR, tls={**TLS, "key": "tls.key"}),
        ["upstream.tls.key: needs certificate, which the key belongs to"],
    ),
    "sasl of no mechanism": (
        upstream(login={"method": "sasl", "username": "app", "password_file": "password"}),
        ["upstream.login.mechanism: is required with method: sasl, such as SCRAM-SHA-256"],
    ),
    "a mechanism of token": (
        [*upstream(login={**TOKEN, "mechanism": "PLAIN"}), *TEXT],
        ["upstream.login.mechanism: is SASL's, and the method is token; take it out"],
    ),
    "EXTERNAL without TLS": (
        upstream(login=EXTERNAL),
        ["upstream.login.mechanism: EXTERNAL needs tls.certificate and tls.key"],
    ),
    "EXTERNAL without a certificate": (
        upstream(FAR, tls=TLS, login=EXTERNAL),
        ["upstream.login.mechanism: EXTERNAL needs tls.certificate and tls.key"],
    ),
    "EXTERNAL with name and password": (
        upstream(FAR, tls=SHOWN, login=sasl("EXTERNAL")),
        [
            "upstream.login.username: EXTERNAL has neither name nor password, only the certificate; take this out",
            "upstream.login.password_file: EXTERNAL has neither",
        ],
    ),
    "channel binding without TLS": (
        upstream(login=sasl("SCRAM-SHA-256-PLUS")),
        ["upstream.login.mechanism: SCRAM-SHA-256-PLUS needs tls, whose certificate the login is bound to"],
    ),
    "nobody to log in as, and no password": (
        upstream(login={"method": "sasl", "mechanism": "PLAIN"}),
        ["upstream.login.username: is required", "upstream.login: needs password_file or password_environment"],
    ),
    "two passwords": (
        upstream(login=sasl(password_environment="SECRET")),
        ["upstream.login.password_environment: stands beside password_file; keep one of them"],
    ),
    "a name with a space in a token": (
        [*upstream(login={**TOKEN, "username": "a b"}), *TEXT],
        ["upstream.login.username: the user name to log in with holds a space, which ends it in a token"],
    ),
    "a name with a control character": (
        upstream(login=sasl("PLAIN", username="a\tb")),
        ["upstream.login.username: the user name to log in with holds a control character"],
    ),
    "a name that is too long": (
        upstream(login=sasl(username="a" * 129)),
        ["upstream.login.username: the user name to log in with is longer than 128 bytes"],
    ),
    "a name that SCRAM can't have": (
        upstream(login=sasl(username="a\u0221")),
        ["upstream.login.username: the user name to log in with is refused by SASLprep (RFC 4013)"],
    ),
    "PLAIN in clear text": (
        upstream(FAR, plaintext=True, login=sasl("PLAIN")),
        [f"upstream.login.mechanism: PLAIN {IN_CLEAR}"],
    ),
    "a token in clear text": (
        [*upstream(FAR, plaintext=True, login=TOKEN), *TEXT],
        [f"upstream.login.method: token {IN_CLEAR}"],
    ),
    "a token in binary": (
        upstream(protocol="binary", login=TOKEN),
        ["upstream.login.method: token is the text protocol's login; write protocol: text, or use sasl"],
    ),
    "a token for binary clients": (
        [*upstream(login=TOKEN), *TEXT[:2]],
        [
            "upstream.login.method: token is the text protocol's login, and listeners.sidecar takes binary too; "
            "write protocol: text here, or protocols: [text] there"
        ],
    ),
    "twemproxy in binary": (
        [*upstream(engine="twemproxy", protocol="binary"), *TEXT],
        ["upstream.protocol: twemproxy speaks the text protocol alone"],
    ),
    "twemproxy for binary clients": (
        [*upstream(engine="twemproxy"), *TEXT[:2]],
        ["upstream.engine: twemproxy speaks the text protocol alone; write protocols: [text] in listeners.sidecar"],
    ),
    "twemproxy with a login": (
        [*upstream(engine="twemproxy", login=TOKEN), *TEXT],
        ["upstream.login: twemproxy has no logins; take this out"],
    ),
}

ACCEPTED: dict[str, list[Change]] = {
    "one of several, which needs no naming": several(one=ONE, private=DELETE, sidecar=DELETE),
    "each listener names one": several(local="two", one=ONE, two=TWO),
    "an upstream that no listener names": several(local="one", sidecar="one", one=ONE, two=TWO),
    "two with one address": several(local="two", one=ONE, two=ONE),
    "the name of a single one in the long form": several(
        local="upstream", private="upstream", sidecar="upstream", upstream=ONE
    ),
    "off loopback in words": upstream(FAR, plaintext=True),
    "off loopback with TLS": upstream(FAR, tls=TLS),
    "TLS over a unix socket": upstream("unix:/run/cache.sock", tls={**TLS, "server_name": "cache.example.com"}),
    "TLS to an address": upstream("10.0.0.9:11211", tls={**TLS, "server_name": "::ffff:10.0.0.9"}),
    "passwords in clear text, in words": upstream(FAR, plaintext=True, plaintext_passwords=True, login=sasl("PLAIN")),
    "PLAIN on loopback": upstream(login=sasl("PLAIN")),
    "PLAIN over TLS": upstream(FAR, tls=TLS, login=sasl("PLAIN")),
    "PLAIN with a name that SCRAM can't have": upstream(login=sasl("PLAIN", username="a\u0221 b")),
    "SCRAM in clear text": upstream(FAR, plaintext=True, login=sasl()),
    "channel binding over TLS": upstream(FAR, tls=TLS, login=sasl("SCRAM-SHA-512-PLUS")),
    "EXTERNAL with a certificate": upstream(FAR, tls=SHOWN, login=EXTERNAL),
    "a certificate and a password": upstream(FAR, tls=SHOWN, login=sasl()),
    "a token for binary clients, translated": upstream(protocol="text", login=TOKEN),
    "a token for text clients": [*upstream(login=TOKEN), *TEXT],
    "twemproxy": [*upstream(engine="twemproxy"), *TEXT],
    "twemproxy, and said once more": [*upstream(engine="twemproxy", protocol="text"), *TEXT],
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    changes, expected = REFUSED[case]
    found = problems_after(*changes)
    assert [problem[: len(start)] for problem, start in zip(found, expected, strict=False)] == expected
    assert len(found) == len(expected), found


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    assert problems_after(*ACCEPTED[case]) == []


def test_whom_the_certificate_must_be_for() -> None:
    settings = settings_of(changed(*several(local="one", one={"address": FAR, "tls": TLS}, two=TWO)))
    assert settings.upstreams["one"].server_name == "cache.example.com"
    assert settings.upstreams["two"].server_name is None
    named = settings_of(changed(*upstream(FAR, tls={**TLS, "server_name": "10.0.0.9"})))
    assert named.all_upstreams["upstream"].server_name == "10.0.0.9"


def test_who_reaches_what() -> None:
    settings = settings_of(changed(*several(local="two", one=ONE, two=TWO)))
    assert list(settings.listeners_of("one")) == ["private"]
    assert list(settings.listeners_of("two")) == ["local", "sidecar"]
