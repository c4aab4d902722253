"""Clients and upstreams that leave (cases 46, 47): no late reply to anybody else, nothing twice, nothing cut short."""

import threading

import pytest

from tests.support.conversation import SERVER_ERROR, Connection, play
from tests.support.fake_upstream import CLOSE, HANG, RESET, Asked, FakeUpstream, honest_script, on
from tests.support.proxy import Proxy
from tests.support.serving import serves
from tests.support.waiting import eventually

A = b"VALUE app:a 0 10\r\nvalue of a\r\n"
B = b"VALUE app:b 0 10\r\nvalue of b\r\n"


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
def test_a_late_reply_reaches_nobody_else(behind: Proxy, faulty: FakeUpstream, how: str) -> None:
    """The client leaves after sending; its reply comes when another client waits on the same link (case 47)."""
    hold = threading.Event()
    faulty.script = asked = Asked(b"app:a", hold, A + b"END\r\n")
    leaving, staying = behind.logged_in("sammy"), behind.logged_in("sammy")
    leaving.send(b"get app:a\r\n")
    eventually("the first request is under way", asked.is_set)
    if how == "half-close":
        leaving.finish_sending()
    elif how == "reset":
        leaving.reset()
    else:
        leaving.close()
    staying.send(b"get app:b\r\n")
    hold.set()
    answer = staying.line()
    if not answer.startswith(SERVER_ERROR.start):
        assert answer + staying.receive(17) == B + b"END\r\n", str(staying)
    if how == "half-close":
        assert leaving.rest() in (A + b"END\r\n", b"SERVER_ERROR upstream is unavailable\r\n")


def test_a_reply_after_the_timeout_reaches_nobody(behind: Proxy, faulty: FakeUpstream) -> None:
    hold = threading.Event()
    faulty.script = lambda frame, honest: [hold, honest] if frame.keys == (b"app:a",) else [honest]
    late = behind.metric("mcproxy_refused_requests_total", reason="upstream timed out")
    with behind.logged_in("sammy") as connection:
        play(connection, b"", b"")
        connection.send(b"get app:a\r\n")
        assert connection.line().startswith(SERVER_ERROR.start)
        assert behind.metric("mcproxy_refused_requests_total", reason="upstream timed out") == late + 1
        connection.send(b"get app:b\r\n")
        hold.set()
        answer = connection.line()
        assert answer == B[:18] or answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{connection}"


@pytest.mark.parametrize("verb", [b"set app:c 0 0 1\r\nx\r\n", b"delete app:c\r\n"])
@pytest.mark.parametrize("fault", [HANG, CLOSE, RESET])
def test_a_mutation_that_was_sent_is_never_sent_twice(
    behind: Proxy, faulty: FakeUpstream, verb: bytes, fault: str
) -> None:
    name = verb.split()[0].decode()
    faulty.script = lambda frame, honest: [fault] if frame.keys == (b"app:c",) else [honest]
    with behind.logged_in("sammy") as connection:
        connection.send(verb)
        assert connection.line().startswith(SERVER_ERROR.start), str(connection)
    faulty.script = honest_script
    serves(behind)
    assert [frame.keys for frame in faulty.recording.requests() if frame.verb == name].count((b"app:c",)) == 1


WHOLE = A + b"END\r\n"


@pytest.mark.parametrize("at", [*range(0, len(WHOLE), 4), len(WHOLE) - 1])
def test_upstream_dies_within_a_reply(behind: Proxy, faulty: FakeUpstream, at: int) -> None:
    """SERVER_ERROR or a close, and never a hit that was cut short (case 46)."""
    faulty.script = on("get", WHOLE[:at], CLOSE)
    with behind.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        told_or_closed(connection)


def told_or_closed(connection: Connection) -> None:
    """SERVER_ERROR or the end, and nothing of the reply before it."""
    answer = connection.line()
    assert answer == b"" or answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{connection}"


def test_a_missing_end_ends_the_link(behind: Proxy, faulty: FakeUpstream) -> None:
    """Another client's requests on the same link do not make up for it (case 48)."""
    before = faulty.closed_by_program
    faulty.script = asked = Asked(b"app:a", A)
    with behind.logged_in("sammy") as connection, behind.logged_in("sammy") as other:
        connection.send(b"get app:a\r\n")
        eventually("the first request is under way", asked.is_set)
        other.send(b"get app:b\r\n")
        told_or_closed(connection)
        assert other.line().startswith(SERVER_ERROR.start)
    eventually("the link is dropped", lambda: faulty.closed_by_program > before)


@pytest.mark.parametrize("at", [10, 30_000, 299_999])
def test_upstream_dies_within_a_large_reply(behind: Proxy, faulty: FakeUpstream, at: int) -> None:
    """What was passed on already cannot be taken back: then the connection ends, short of what was announced."""
    whole = b"VALUE app:a 0 300000\r\n" + b"v" * 300_000 + b"\r\nEND\r\n"
    faulty.script = on("get", whole[:at], CLOSE)
    with behind.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        answer = connection.line()
        if answer.startswith(b"VALUE"):
            assert len(connection.rest()) < 300_000
        else:
            assert answer == b"" or answer.startswith(SERVER_ERROR.start), f"{answer!r}\n{connection}"
