"""Turns: fairness, others' turns, bugs that cost only their own connection, logging in again, draining."""

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from mcproxy.relay import poller
from mcproxy.relay.interfaces import SessionLimits
from mcproxy.relay.link import Link
from mcproxy.relay.poller import LINGER
from mcproxy.relay.secured import socket_of
from mcproxy.relay.session import FRAMES_AT_ONCE
from mcproxy.wire.outcome import Pending
from mcproxy.wire.parser import Parser
from tests.support import packets
from tests.support.packets import packet
from tests.unit.relay.harness import Play, Store, value_block


class Polls:
    """Stands before the relay's epoll and notes how long it was asked to wait."""

    def __init__(self, play: Play) -> None:
        self.waits: list[float] = []
        self._epoll = play.relay._epoll
        play.relay._epoll = self  # type: ignore[assignment]

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.waits.append(timeout)
        return self._epoll.poll(0, most)

    def __getattr__(self, name: str) -> object:
        return getattr(self._epoll, name)


class Broken(Link):
    """A handler with a bug in one of its methods."""

    def __init__(self, play: Play, where: str) -> None:
        self.where = where
        self.reasons: list[str] = []
        self.play = play
        self.mine, self.theirs = socket.socketpair()
        super().__init__(play.relay, self.theirs, 1, pytest.fail)

    def _act(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError("a bug")

    def readable(self) -> None:
        self._act("readable")
        self.theirs.recv(100)
        if self.where == "flush":
            self.play.relay.sessions_to_flush.append(self)
        if self.where == "resume":
            self.play.relay.ready.append(self)

    def on_events(self, events: int) -> None:
        pytest.fail("nothing but input was there")

    def flush(self) -> None:
        self._act("flush")

    def resume(self) -> None:
        self._act("resume")

    def sweep(self, now: float) -> None:
        self._act("sweep")

    def close(self, reason: str) -> None:
        self.reasons.append(reason)
        self.play.relay.unregister(self.theirs.fileno())


@pytest.fixture
def broken(request: pytest.FixtureRequest, play: Play) -> Iterator[Broken]:
    broken = Broken(play, request.param)
    yield broken
    broken.close("the test ends")
    broken.mine.close()
    broken.theirs.close()


@pytest.mark.parametrize("broken", ["readable", "resume", "flush", "sweep"], indirect=True)
def test_a_handler_with_a_bug_costs_only_itself(play: Play, broken: Broken) -> None:
    """Nobody knows where its next frame begins, so it must not go on."""
    upstream = play.upstream()
    client = play.client()
    broken.mine.send(b"x")
    client.send(b"get a\r\n")
    play.run()
    play.sweep(0)
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    assert [str(error) for error in play.errors] == ["a bug"]
    assert len(broken.reasons) == 1
    play.errors.clear()


def test_a_bug_while_a_session_goes_on_closes_that_session(play: Play) -> None:
    """What it had taken from its input is lost: what comes next may be the middle of a value."""
    upstream = play.upstream()
    client, other = play.client(limits=SessionLimits(pipeline=1)), play.client()
    client.send(b"get a\r\nget b\r\nset c 0 0 9\r\n")
    play.run()
    upstream.ask(b"get a\r\n")

    class Broken(Parser):
        def next(self, data: bytes, position: int, room: int) -> Pending:
            raise RuntimeError("a bug")

    right, client.session.parser = client.session.parser, Broken()
    upstream.send(b"END\r\n")
    play.run()
    client.session.parser = right
    with contextlib.suppress(BrokenPipeError):
        client.push(b"flush_all\r\n")
    play.run()
    assert b"flush_all" not in upstream.receive(), "a value was taken for a command"
    assert play.end(client) == "internal error"
    assert [str(error) for error in play.errors] == ["a bug"]
    play.errors.clear()
    other.send(b"get z\r\n")
    play.run()
    upstream.send(b"END\r\n")
    play.run()
    assert other.receive() == b"END\r\n"


def test_a_long_pipeline_does_not_hold_up_others(play: Play) -> None:
    """Refusals need no upstream, so only the bound on frames ends a session's turn."""
    long, short = play.client(), play.client()
    long.send(b"bogus\r\n" * 5000)
    short.send(b"bogus\r\n")
    rounds: list[tuple[int, bytes]] = []
    heard = 0
    for _ in range(200):
        if play.quiet():
            break
        _one_round(play)
        heard += len(long.receive())
        rounds.append((heard, short.receive()))
    # Once for its event and once because it can go on.
    assert rounds[0][0] <= 2 * FRAMES_AT_ONCE * len(b"ERROR\r\n")
    assert rounds[0][1] == b"ERROR\r\n", "the short one was served in the first round"
    assert heard == 5000 * len(b"ERROR\r\n")


def test_a_turn_ends_when_a_connection_comes_in(play: Play) -> None:
    client = play.client()
    play._busy.__exit__(None, None, None)
    with socket.create_server(("127.0.0.1", 0)) as listening, play.relay.giving_way_to(listening):
        polls = Polls(play)
        with socket.create_connection(listening.getsockname()):
            play.relay.turn()
            assert polls.waits == [0.0]
            # It was said once; whether it is accepted, and when, is up to others.
            client.send(b"bogus\r\n")
            play.relay.turn()
            assert polls.waits == [0.0, 0.0, LINGER]
    play._busy = play.relay.busy()
    play._busy.__enter__()
    assert client.receive() == b"ERROR\r\n"


def test_a_turn_ends_when_something_was_left_for_a_task(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    private = play.upstream(private=True)
    open_private = play.links.open_private

    def leave_it_to_a_task(ready: Callable[[Link | None], None]) -> None:
        open_private(ready)
        play.relay.give_way()

    play.links.open_private = leave_it_to_a_task  # type: ignore[method-assign]
    play._busy.__exit__(None, None, None)
    polls = Polls(play)
    client.send(b"stats\r\n")
    play.relay.turn()
    assert polls.waits == [0.0]
    play._busy = play.relay.busy()
    play._busy.__enter__()
    play.links.private.pop()(private.link)
    play.run()
    private.ask(b"stats\r\n")
    upstream.ask(b"")
    private.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"


class Ticking:
    """A monotonic clock that a millisecond has passed on whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


def test_what_was_left_for_a_task_before_a_turn_makes_that_a_short_one(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is accepted just before it: his task runs behind it."""
    if not poller.__file__.endswith(".py"):
        pytest.skip("compiled modules look at the real clock")
    client = play.client()
    client.send(b"bogus\r\n" * 5000)
    play._busy.__exit__(None, None, None)
    monkeypatch.setattr("mcproxy.relay.poller.time", Ticking())
    polls = Polls(play)
    play.relay.give_way()
    play.relay.turn()
    assert len(polls.waits) == 1
    polls.waits.clear()
    play.relay.turn()
    assert len(polls.waits) > 5
    play._busy = play.relay.busy()
    play._busy.__enter__()
    monkeypatch.undo()
    play.run()
    assert client.receive() == b"ERROR\r\n" * 5000


def test_a_turn_waits_for_more_unless_somebody_needs_it(play: Play) -> None:
    play.client()
    polls = Polls(play)
    client = play.client()
    client.send(b"bogus\r\n")
    play.relay.turn()
    assert set(polls.waits) == {0.0}, "while it is busy elsewhere the relay does not wait"
    play._busy.__exit__(None, None, None)
    polls.waits.clear()
    client.send(b"bogus\r\n")
    play.relay.turn()
    assert polls.waits == [0.0, LINGER]
    polls.waits.clear()
    with play.relay.busy(), play.relay.busy():
        pass
    play._busy = play.relay.busy()
    with play.relay.busy():
        play._busy.__enter__()
    client.send(b"bogus\r\n")
    play.relay.turn()
    assert set(polls.waits) == {0.0}
    play.relay._epoll = polls._epoll


def test_a_turn_with_nothing_to_do_polls_once(play: Play) -> None:
    play.client()
    polls = Polls(play)
    play.relay.turn()
    assert polls.waits == [0.0]
    play.relay._epoll = polls._epoll


def test_a_login_in_mid_session_waits_for_all_that_is_owed(play: Play) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True)
    login = packet(packets.AUTH, b"PLAIN", b"\0sammy\0secret")
    behind = packet(packets.GET, b"b")
    client.send(packet(packets.GET, b"a", opaque=3) + login + behind)
    play.run()
    asked = upstream.receive()
    assert len(asked) == 25, "nothing behind the login goes up"
    assert not play.witness.handed_back
    client.send(packet(packets.GET, b"c"))
    play.run()
    assert play.run() == 0, "input that nobody reads keeps waking the relay"
    upstream.send(packets.HEADER.pack(0x81, packets.GET, 0, 0, 0, 1, 9, 1, 0) + b"Not found")
    play.run()
    [(connection, data)] = play.witness.handed_back
    assert data == login + behind
    assert [answer.opaque for answer in client.responses()] == [3]
    assert play.end(client) == "logs in again"
    assert play.relay.held == 0
    assert socket_of(connection).recv(1000) == packet(packets.GET, b"c"), "what was not read is still there"
    upstream.ask(b"")


def test_a_login_in_mid_session_waits_for_its_reader(play: Play) -> None:
    upstream = play.upstream(binary=True)
    client = play.client(binary=True)
    client.send(packet(packets.GET, b"a"))
    play.run()
    value = b"v" * 900_000
    reply = packets.HEADER.pack(0x81, packets.GET, 0, 4, 0, 0, len(value) + 4, 1, 0) + b"\0" * 4 + value
    upstream.push(reply)
    client.send(packet(packets.AUTH, b"PLAIN", b"\0a\0b"))
    while upstream.unsent:
        play.run()
        upstream.push()
    play.run()
    assert not play.witness.handed_back, "the old session's replies have not all been taken"
    heard = b""
    for _ in range(100):
        heard += client.receive()
        play.run()
    assert heard == reply[:12] + b"\0" * 4 + reply[16:]
    assert len(play.witness.handed_back) == 1


def test_draining_answers_what_is_in_flight_and_then_closes(play: Play) -> None:
    upstream = play.upstream()
    idle, waiting, writing = play.client(), play.client(), play.client()
    waiting.send(b"get a\r\nset b 0 0 1\r\nx\r\n")
    writing.send(b"set c 0 0 10\r\nhalf")
    play.run()
    for client in (idle, waiting, writing):
        client.session.drain()
    play.relay.settle()
    play.run()
    assert play.end(idle) == play.end(writing) == "lingering: the proxy ends"
    assert play.end(waiting) is None
    upstream.send(b"END\r\nSTORED\r\n")
    play.run()
    assert waiting.receive() == b"END\r\nSTORED\r\n"
    assert waiting.ended
    assert play.end(waiting) == "lingering: the proxy ends"
    for client in (idle, writing):
        client.receive()
        assert client.ended


def test_draining_within_a_multi_get_that_was_cut_up(play: Play) -> None:
    """It is one request: the client gets all of its answer, END included."""
    keys = [b"k%d" % number for number in range(400)]
    store = Store(play.upstream(), dict.fromkeys(keys, 5))
    client = play.client()
    client.send(b"get " + b" ".join(keys) + b"\r\n")
    play.run()
    client.session.drain()
    play.relay.settle()
    heard = b""
    while store.serve() or not play.quiet():
        play.run()
        heard += client.receive()
    assert heard == b"".join(value_block(key, 5) for key in keys) + b"END\r\n"
    assert client.ended


def test_draining_with_stats_under_way(play: Play) -> None:
    client = play.client()
    client.send(b"stats\r\n")
    play.run()
    client.session.drain()
    play.relay.settle()
    play.run()
    assert play.end(client) is None
    private = play.upstream(private=True)
    play.links.private.pop()(private.link)
    play.run()
    private.send(b"STAT pid 1\r\nEND\r\n")
    play.run()
    assert client.receive() == b"STAT pid 1\r\nEND\r\n"
    assert client.ended


def test_draining_does_not_wait_for_input_that_comes_later(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a\r\n")
    play.run()
    client.session.drain()
    play.relay.settle()
    client.send(b"get b\r\n")
    play.run()
    assert play.run() == 0
    upstream.ask(b"get a\r\n")
    upstream.send(b"END\r\n")
    play.run()
    assert client.receive() == b"END\r\n"
    assert client.ended


def test_what_is_done_outside_of_a_turn_wakes_the_relay(play: Play) -> None:
    client = play.client()
    client.session.drain()
    assert not play.links.links
    play.relay.settle()
    assert not play.quiet()
    play.run()
    assert play.end(client) == "lingering: the proxy ends"


def test_counts(play: Play) -> None:
    upstream = play.upstream()
    client = play.client()
    client.send(b"get a b\r\nset c 0 0 1\r\nx\r\n")
    play.run()
    upstream.send(b"VALUE b 0 1\r\ny\r\nEND\r\nSTORED\r\n")
    play.run()
    traffic = play.relay.traffic
    assert traffic.requests == {"read": 2, "write": 1}
    assert (traffic.hits, traffic.misses) == (1, 1)
    assert traffic.upstream_sent == traffic.downstream_received == len(b"get a b\r\nset c 0 0 1\r\nx\r\n")
    assert traffic.downstream_sent == traffic.upstream_received == len(client.receive())


def _one_round(play: Play) -> None:
    """One poll and what comes of it: a turn whose time is over at once."""
    play.relay.turn(0.0)
