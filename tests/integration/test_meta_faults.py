"""Faults of upstream in its answers to meta commands (cases 27, 48): a doubtful reply reaches nobody."""

import time

import pytest

from tests.integration.conftest import UPSTREAM_TIMEOUT
from tests.support.conversation import SERVER_ERROR
from tests.support.fake_upstream import CLOSE, HANG, RESET, Action, FakeUpstream, honest_script, on
from tests.support.proxy import Proxy
from tests.support.serving import serves
from tests.support.sockets import everything_within

A, B = b"value of a\r\n", b"value of b\r\n"
FAULTS: dict[str, tuple[bytes, list[Action]]] = {
    "another key": (b"mg app:a v k", [b"VA 10 kapp:b\r\n" + B]),
    "another key, quiet": (b"mg app:a v k q", [b"VA 10 kapp:b\r\n" + B]),
    "a key that begins like it": (b"mg app:a k", [b"HD kapp:aa\r\n"]),
    "another key in a miss": (b"mg app:a k", [b"EN kapp:b\r\n"]),
    "no key": (b"mg app:a v k", [b"VA 10\r\n" + B]),
    "a key nobody asked for": (b"mg app:a v", [b"VA 10 kapp:a\r\n" + A]),
    "another opaque": (b"mg app:a v O17", [b"VA 10 O18\r\n" + B]),
    "another opaque in a miss": (b"mg app:a v O17 q", [b"EN O18\r\n"]),
    "no opaque": (b"mg app:a v O17", [b"VA 10\r\n" + B]),
    "an opaque nobody asked for": (b"mg app:a v", [b"VA 10 O17\r\n" + B]),
    "echoes in another order": (b"mg app:a v k O1", [b"VA 10 O1 kapp:a\r\n" + A]),
    "an echo that is missing": (b"mg app:a v t s", [b"VA 10 s10\r\n" + A]),
    "an echo that is no number": (b"mg app:a s", [b"HD sx\r\n"]),
    "another base64 key": (b"mg YXBwOmE= b v k", [b"VA 10 kYXBwOmI= b\r\n" + B]),
    "another key, plainly, for a base64 one": (b"mg YXBwOmE= b v k", [b"VA 10 kapp:b\r\n" + B]),
    "no value": (b"mg app:a v", [b"HD\r\n"]),
    "a value nobody asked for": (b"mg app:a", [b"VA 10\r\n" + A]),
    "a value longer than it says": (b"mg app:a v", [b"VA 5\r\n" + A]),
    "a length that is none": (b"mg app:a v", [b"VA -1\r\n\r\n"]),
    "NF for mg": (b"mg app:a v", [b"NF\r\n"]),
    "MN for mg": (b"mg app:a v", [b"MN\r\n"]),
    "END for mg": (b"mg app:a v", [b"END\r\n"]),
    "a classic value for mg": (b"mg app:a v", [b"VALUE app:a 0 10\r\n" + A + b"END\r\n"]),
    "a mistake that was none": (b"mg app:a v", [b"CLIENT_ERROR invalid flag\r\n"]),
    "ERROR for mg": (b"mg app:a v", [b"ERROR\r\n"]),
    "another key for ms": (b"ms app:a 1 k\r\nx", [b"HD kapp:b\r\n"]),
    "another opaque for ms, quiet": (b"ms app:a 1 q O1\r\nx", [b"HD O2\r\n"]),
    "STORED for ms": (b"ms app:a 1\r\nx", [b"STORED\r\n"]),
    "EN for ms": (b"ms app:a 1\r\nx", [b"EN\r\n"]),
    "another key for md": (b"md app:a k", [b"HD kapp:b\r\n"]),
    "another opaque for md, quiet": (b"md app:a q O1", [b"NF O2\r\n"]),
    "NS for md": (b"md app:a", [b"NS\r\n"]),
    "a value for md": (b"md app:a", [b"VA 10\r\n" + A]),
    "another opaque for ma": (b"ma app:a v O1", [b"VA 1 O2\r\n7\r\n"]),
    "a bare number for ma": (b"ma app:a v", [b"7\r\n"]),
    "a number too long for ma": (b"ma app:a v", [b"VA 21\r\n" + b"1" * 21 + b"\r\n"]),
    "NS for ma": (b"ma app:a", [b"NS\r\n"]),
    "nothing at all": (b"mg app:a v", [HANG]),
    "an endless line": (b"mg app:a v", [b"x" * 100_000, HANG]),
    "a line end without CR": (b"mg app:a v", [b"EN\n", HANG]),
    "a close in a value": (b"mg app:a v", [b"VA 10\r\nval", CLOSE]),
    "a reset": (b"md app:a", [RESET]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_meta_reply_that_cannot_be(behind: Proxy, faulty: FakeUpstream, name: str) -> None:
    request, actions = FAULTS[name]
    faulty.script = on(request.split()[0].decode(), *actions)
    before, failures = faulty.recording.connections, behind.metric("mcproxy_upstream_failures_total")
    with behind.logged_in("sammy") as connection:
        started = time.monotonic()
        connection.send(request + b"\r\n")
        answer = connection.line()
        assert answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{connection}"
        assert time.monotonic() - started < UPSTREAM_TIMEOUT + 1.5
        assert everything_within(connection.socket, 0.02) == b""
        assert behind.metric("mcproxy_upstream_failures_total") > failures
        faulty.script = honest_script
    serves(behind)
    assert faulty.recording.connections > before, "the link was kept"


@pytest.mark.parametrize("extra", [b"MN\r\n", b"HD O1\r\n", b"\r\n", b"x"])
def test_what_comes_after_a_reply_is_nobodys(behind: Proxy, faulty: FakeUpstream, extra: bytes) -> None:
    """The next client's request goes up on another link, and gets its own reply."""
    faulty.script = on("md", b"HD\r\n" + extra)
    before = faulty.recording.connections
    with behind.logged_in("sammy") as connection:
        connection.send(b"md app:b\r\n")
        assert connection.line() in (b"HD\r\n", b"SERVER_ERROR upstream is unavailable\r\n")
        assert everything_within(connection.socket, 0.02) == b""
    serves(behind)
    assert faulty.recording.connections > before, "the link was kept"
