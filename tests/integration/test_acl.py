"""`mcproxy acl` says of every principal and request what the running program then does."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import CLIENT_URI, Certificates
from tests.support.configuration import GRANTS, LOOPBACK, ROLES, server_tls
from tests.support.conversation import DENIED, Connection
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.verbs import VERBS

KEYS = [b"app:1", b"app", b"news"]
LINES = [
    *dict.fromkeys(
        line.removesuffix(b"\r\n")
        for verb in VERBS
        if verb.name != "mn"
        for key in (KEYS if verb.keyed else KEYS[:1])
        for line in verb.text(key)
    ),
    *(b"get app:1 news", b"get app:1 app:2", b"gat 0 app:1 news", b"get " + b" ".join([b"app:1"] * 150)),
    *(b"get", b"get " + b"k" * 251, b"set app:1 x 0 1\r\nx", b"incr app:1 x", b"nonsense", b"gat app:1"),
    *(b"touch app:1", b"mg app:1 zz", b"me YQ b", b"stats nonsense", b"flush_all 10", b"verbosity", b"mg YQ= b"),
    *(b"set app:1 0 0", b"set app:1 0 0 -1", b"cas app:1 0 0 5", b"ms app:1", b"GET / HTTP/1.1", b"quit"),
    *(b"delete app:1 0", b"delete app:1 5", b" get  app:1 ", b"set app:1 0 0 1 noreply\r\nx", b"get app:1\nget news"),
]
LISTENERS = {
    **dict.fromkeys(("user:sammy", "user:root", "user:reader", "user:watcher", "user:nobody"), "plain"),
    "address:near": "near",
    "peer:me": "here",
    "certificate:web": "shown",
    "anonymous": "open",
}
"""Each principal, and where it logs in."""


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    loopback = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK}
    asking = server_tls(certificates, client_ca=str(certificates.authority))
    return start_proxy(
        tap.address,
        listeners={
            "near": {**loopback, "authentication": ["address"]},
            "here": {"bind": [f"unix:{tap.path.with_name('here.sock')}"], "authentication": ["peer"]},
            "shown": {**loopback, "authentication": ["certificate"], "tls": asking},
            "open": {**loopback, "authentication": ["none"]},
        },
        roles=ROLES | {"some": {"commands": ["read", "inspect", "touch"], "keys": ["*"]}},
        grants=[
            *GRANTS,
            {"address": "127.0.0.1", "as": "near", "roles": ["reader", "statistics"]},
            {"peer": {"uid": os.getuid()}, "as": "me", "roles": ["some", "statistics"]},
            {"certificate": CLIENT_URI, "as": "web", "roles": ["app", "statistics"]},
        ],
    )


def said(program: Proxy, who: str, lines: list[bytes]) -> list[str]:
    """The verdicts of the command, one for each line: of a line that is two frames, of the first."""
    command = [sys.executable, "-m", "mcproxy", "acl", "--config", str(program.configuration_path)]
    done = subprocess.run(
        [*command, "--as", who, "--listener", LISTENERS[who], *lines], capture_output=True, timeout=60, check=False
    )
    assert done.stderr == b""
    verdicts = [line.partition(b":")[0].decode() for line in done.stdout.splitlines() if not line.startswith(b" ")]
    assert done.returncode == (set(verdicts) != {"allowed"})
    return verdicts


def seen(program: Proxy, tap: Tap, who: str, lines: list[bytes]) -> Iterator[str]:
    """The same, by what the program answers and what of it goes up."""
    connection: Connection | None = None
    for line in lines:
        tap.recording.forget()
        if connection is None:
            kind, _, name = who.partition(":")
            connection = (
                program.logged_in(name)
                if kind == "user"
                else program.connect(LISTENERS[who], certificate=kind == "certificate")
            )
        connection.send(line + b"\r\nmn\r\n")
        answers = [connection.line()]
        while answers[-1] not in (b"MN\r\n", b""):
            answers.append(connection.line())
        up = any(frame.verb != "mn" for frame in tap.recording.requests()) or answers[0].startswith(b"VERSION")
        # A client that wants no reply isn't told of a denial either.
        denied = DENIED in answers or (b" noreply" in line and not up)
        yield "denied" if denied else "allowed" if up or line == b"quit" else "refused"
        if not answers[-1]:
            connection.close()
            connection = None


@pytest.mark.parametrize("who", LISTENERS)
def test_the_command_says_what_the_program_does(program: Proxy, tap: Tap, who: str) -> None:
    verdicts = dict(zip(LINES, said(program, who, LINES), strict=True))
    assert verdicts == dict(zip(LINES, seen(program, tap, who, LINES), strict=True))
    if who not in ("user:nobody", "anonymous", "user:root"):
        assert set(verdicts.values()) == {"allowed", "denied", "refused"}
    program.close_connections()
