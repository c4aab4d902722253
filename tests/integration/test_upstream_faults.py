"""Faults of upstream (cases 27, 48): a doubtful reply reaches nobody, and the proxy recovers by itself."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.integration.conftest import UPSTREAM_TIMEOUT
from tests.support import packets
from tests.support.canonical import Frame
from tests.support.conversation import SERVER_ERROR
from tests.support.fake_upstream import CLOSE, HANG, RESET, Action, Asked, FakeUpstream, honest_script, on, reply
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.serving import serves
from tests.support.sockets import everything_within
from tests.support.waiting import eventually

A = b"VALUE app:a 0 10\r\nvalue of a\r\n"
B = b"VALUE app:b 0 10\r\nvalue of b\r\n"
TEXT_FAULTS: dict[str, tuple[bytes, list[Action]]] = {
    "another key's value": (b"get app:a", [B + b"END\r\n"]),
    "a key that begins like it": (b"get app:a", [b"VALUE app:aa 0 1\r\nx\r\nEND\r\n"]),
    "a value twice": (b"get app:a", [A + A + b"END\r\n"]),
    "values in another order": (b"get app:a app:b", [B + A + b"END\r\n"]),
    "a value too many": (b"get app:a", [A + B + b"END\r\n"]),
    "no END, and the next reply": (b"get app:a", [A + b"STORED\r\n"]),
    "a value longer than it says": (b"get app:a", [b"VALUE app:a 0 5\r\nvalue of a\r\nEND\r\n"]),
    "a length that is none": (b"get app:a", [b"VALUE app:a 0 -1\r\n\r\nEND\r\n"]),
    "a cas nobody asked for": (b"get app:a", [b"VALUE app:a 0 10 7\r\nvalue of a\r\nEND\r\n"]),
    "no cas": (b"gets app:a", [A + b"END\r\n"]),
    "STORED for a get": (b"get app:a", [b"STORED\r\n"]),
    "HD for a get": (b"get app:a", [b"HD\r\n"]),
    "ERROR for a get": (b"get app:a", [b"ERROR\r\n"]),
    "END for a delete": (b"delete app:a", [b"END\r\n"]),
    "STORED for a delete": (b"delete app:a", [b"STORED\r\n"]),
    "a value for a delete": (b"delete app:a", [A + b"END\r\n"]),
    "a number for a delete": (b"delete app:a", [b"17\r\n"]),
    "nothing at all": (b"get app:a", [HANG]),
    "an endless line": (b"get app:a", [b"x" * 100_000, HANG]),
    "a line end without CR": (b"get app:a", [b"END\n", HANG]),
    "a close": (b"get app:a", [CLOSE]),
    "a reset": (b"get app:a", [RESET]),
    "too many connections": (b"get app:a", [b"ERROR Too many open connections\r\n", CLOSE]),
}


@pytest.mark.parametrize("name", TEXT_FAULTS)
def test_a_text_reply_that_cannot_be(behind: Proxy, faulty: FakeUpstream, name: str) -> None:
    request, actions = TEXT_FAULTS[name]
    listener = ["plain", "tls", "socket"][list(TEXT_FAULTS).index(name) % 3]
    faulty.script = on(request.split()[0].decode(), *actions)
    before, failures = faulty.recording.connections, behind.metric("mcproxy_upstream_failures_total")
    with behind.logged_in("sammy", listener) as connection:
        started = time.monotonic()
        connection.send(request + b"\r\n")
        answer = connection.line()
        assert answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{connection}"
        assert time.monotonic() - started < UPSTREAM_TIMEOUT + 1.5
        assert everything_within(connection.socket, 0.02) == b""
        assert behind.metric("mcproxy_upstream_failures_total") > failures
        faulty.script = honest_script
        connection.close()
    serves(behind)
    assert faulty.recording.connections > before, "the link was kept"


def response(opcode: int, name: bytes = b"", **more: int | bytes) -> bytes:
    """A GET or GETK hit, with whatever is wrong about it."""
    return reply(opcode, **{"opaque": 0, "key": name, "value": b"value of b", "extras": bytes(4), **more})  # type: ignore[arg-type]


BINARY_FAULTS: dict[str, tuple[bytes, Callable[[Frame], list[Action]]]] = {
    "another opaque": (packet(packets.GET, b"app:a"), lambda frame: [response(0, opaque=frame.opaque ^ 1)]),
    "opaque zero": (packet(packets.GETK, b"app:a"), lambda frame: [response(12, b"app:a", opaque=0xDEAD)]),
    "another key": (packet(packets.GETK, b"app:a"), lambda frame: [response(12, b"app:b", opaque=frame.opaque)]),
    "another key, quiet": (
        packet(packets.GETKQ, b"app:a"),
        lambda frame: [response(12, b"app:b", opaque=frame.opaque)],
    ),
    "no key": (packet(packets.GETK, b"app:a"), lambda frame: [response(12, opaque=frame.opaque)]),
    "a key nobody asked for": (
        packet(packets.GET, b"app:a"),
        lambda frame: [response(0, b"app:a", opaque=frame.opaque)],
    ),
    "another opcode": (packet(packets.GET, b"app:a"), lambda frame: [response(1, opaque=frame.opaque)]),
    "request magic": (packet(packets.GET, b"app:a"), lambda frame: [packet(packets.GET, opaque=frame.opaque)]),
    "text": (packet(packets.GET, b"app:a"), lambda frame: [b"VALUE app:a 0 10\r\nvalue of b\r\nEND\r\n"]),
    "extras of a store": (
        packets.store(packets.SET, b"app:c", b"x"),
        lambda frame: [reply(1, frame.opaque, extras=bytes(4))],
    ),
    "a cut header": (packet(packets.GET, b"app:a"), lambda frame: [response(0, opaque=frame.opaque)[:20], HANG]),
    "a cut body": (packet(packets.GET, b"app:a"), lambda frame: [response(0, opaque=frame.opaque)[:30], CLOSE]),
    "nothing at all": (packet(packets.GET, b"app:a"), lambda frame: [HANG]),
    "a reset": (packet(packets.GET, b"app:a"), lambda frame: [RESET]),
}


@pytest.mark.parametrize("name", BINARY_FAULTS)
def test_a_binary_reply_that_cannot_be(behind: Proxy, faulty: FakeUpstream, name: str) -> None:
    request, actions = BINARY_FAULTS[name]
    faulty.script = lambda frame, honest: [honest] if frame.verb in ("NOOP", "VERSION") else actions(frame)
    before = faulty.recording.connections
    with behind.logged_in_binary("sammy") as connection:
        answer = connection.ask(request)
        assert answer.opcode == request[1], str(connection)
        assert answer.status == packets.UNAVAILABLE, f"{answer}\n{connection}"
        assert b"value" not in answer.value
        assert everything_within(connection.socket, 0.02) == b""
    faulty.script = honest_script
    serves(behind)
    assert faulty.recording.connections > before, "the link was kept"


@pytest.mark.parametrize("extra", [b"END\r\n", B + b"END\r\n", b"\r\n", b"x", b"STORED\r\n"])
def test_bytes_after_a_reply_end_the_link(behind: Proxy, faulty: FakeUpstream, extra: bytes) -> None:
    """What nobody asked for is not the next one's reply."""
    faulty.script = on("delete", b"DELETED\r\n" + extra)
    before = faulty.closed_by_program
    with behind.logged_in("sammy") as connection:
        connection.send(b"delete app:b\r\n")
        assert connection.line() in (b"DELETED\r\n", b"SERVER_ERROR upstream is unavailable\r\n")
        eventually("the link is dropped", lambda: faulty.closed_by_program > before)
        assert everything_within(connection.socket, 0.02) == b""


def test_all_that_wait_on_a_failed_link_are_told(behind: Proxy, faulty: FakeUpstream) -> None:
    """The first of three requests of different clients has a doubtful reply: none of the three gets one."""
    hold = threading.Event()
    faulty.script = asked = Asked(b"app:a", hold, B + b"END\r\n")
    clients = [behind.logged_in("sammy") for _ in range(3)]
    clients[0].send(b"get app:a\r\n")
    eventually("the first request is under way", asked.is_set)
    clients[1].send(b"get app:b\r\n")
    clients[2].send(b"delete app:b\r\n")
    hold.set()
    for client in clients:
        answer = client.line()
        assert answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{client}"
