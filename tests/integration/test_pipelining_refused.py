"""`pipelining: refuse` in front of the real memcached: what an injected command looks like, and what passes."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import LOOPBACK, server_tls
from tests.support.conversation import play
from tests.support.memcached import Memcached
from tests.support.packets import packet, store, with_key
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually

REFUSED = b"CLIENT_ERROR pipelining is refused\r\n"
LISTENERS = ["plain", "tls", "socket"]


@pytest.fixture(scope="module")
def strict(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    guarded = {"authentication": ["sasl", "token"], "pipelining": "refuse"}
    listeners = {
        "plain": {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, **guarded},
        "tls": {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "tls": server_tls(certificates), **guarded},
        "socket": {"bind": [f"unix:{tap.path.with_name('strict.sock')}"], **guarded},
        "open": {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "authentication": ["sasl", "token"]},
    }
    return start_proxy(tap.address, listeners=listeners)


@pytest.fixture
def program(strict: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield strict
    program_end(strict, tap)


def program_end(program: Proxy, tap: Tap) -> None:
    """As ends_well, one command at a time."""
    program.close_connections()
    with program.logged_in("sammy") as connection:
        play(connection, b"set app:fresh 0 0 5\r\nfresh\r\n", b"STORED\r\n")
        play(connection, b"get app:fresh\r\n", b"VALUE app:fresh 0 5\r\nfresh\r\nEND\r\n")
    tap.recording.check()


@pytest.mark.parametrize("listener", LISTENERS)
def test_one_command_at_a_time_passes_however_it_is_cut(program: Proxy, listener: str) -> None:
    value = b"get app:a\r\nflush_all\r\n"
    frames = {
        b"set app:k 0 0 %d\r\n%s\r\n" % (len(value), value): b"STORED\r\n",
        b"get app:k\r\n": b"VALUE app:k 0 %d\r\n%s\r\nEND\r\n" % (len(value), value),
        b"get app:k other:k\r\n": b"CLIENT_ERROR access denied\r\n",
        b"set other:k 0 0 9\r\nflush_all\r\n": b"CLIENT_ERROR access denied\r\n",
        b"get" + b" app:none" * 500 + b"\r\n": b"END\r\n",
        b"delete app:k\r\n": b"DELETED\r\n",
        b"bogus\r\n": b"ERROR\r\n",
    }
    for frame, reply in frames.items():
        for pieces in (
            [],
            *([position] for position in range(1, min(len(frame), 60), 7)),
            range(1, min(len(frame), 40)),
        ):
            with program.logged_in("sammy", listener) as connection:
                if frame.startswith((b"get app:k\r", b"delete")):
                    play(connection, next(iter(frames)), b"STORED\r\n")
                play(connection, frame, reply, pieces=pieces)


INJECTED = {
    b"get app:a\r\nflush_all\r\n": b"END\r\n",
    b"get app:a\r\nget app:b\r\n": b"END\r\n",
    b"set app:a 0 0 1\r\nx\r\nflush_all\r\n": b"STORED\r\n",
    b"set app:a 0 0 1\r\nx\r\nset app:b 0 0 1\r\ny\r\n": b"STORED\r\n",
    b"bogus\r\nflush_all\r\n": b"ERROR\r\n",
    b"stats\r\nflush_all\r\n": b"STAT ",
}


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("sent", INJECTED, ids=repr)
def test_a_second_command_is_refused_counted_and_the_end(
    program: Proxy, memcached: Memcached, sent: bytes, listener: str
) -> None:
    flushes = memcached.statistics()["cmd_flush"]
    refused = program.metric("mcproxy_refused_requests_total", reason="pipelining")
    with program.logged_in("root", listener) as connection:
        connection.send(b"delete app:a\r\n")
        connection.line()
        connection.send(sent)
        answer = connection.rest()
        assert answer.startswith(INJECTED[sent]), str(connection)
        assert answer.endswith(REFUSED), str(connection)
        assert answer.count(REFUSED) == 1
    assert memcached.statistics()["cmd_flush"] == flushes
    assert program.metric("mcproxy_refused_requests_total", reason="pipelining") == refused + 1


def test_it_is_logged(start_proxy: StartProxy, tap: Tap) -> None:
    """In a program of its own, since there is a bound on how often that is done."""
    guarded = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "authentication": ["token"], "pipelining": "refuse"}
    program = start_proxy(tap.address, listeners={"plain": guarded})
    with program.logged_in("sammy") as connection:
        play(connection, b"mn\r\nmn\r\n", b"MN\r\n" + REFUSED, closes=True)
    [event] = eventually("it is in the log", lambda: program.events("request_refused"))
    assert (event["reason"], event["principal"], event["listener"]) == ("pipelining", "user:sammy", "plain")


@pytest.mark.parametrize(
    "frame",
    [b"set app:q 0 0 1 noreply\r\nx\r\n", b"delete app:q noreply\r\n", b"mg app:q v q\r\n", b"ms app:q 1 q\r\nx\r\n"],
)
def test_a_command_without_a_reply_is_refused(program: Proxy, tap: Tap, frame: bytes) -> None:
    with program.logged_in("sammy") as connection:
        tap.recording.forget()
        play(connection, frame, REFUSED, closes=True)
    assert tap.recording.requests() == []


def test_binary(program: Proxy, tap: Tap) -> None:
    get = with_key(packets.GET, b"app:none", opaque=1)
    with program.logged_in_binary("sammy") as connection:
        for _ in range(3):
            assert connection.ask(store(packets.SET, b"app:b", get)).status == 0
            assert connection.ask(get).status == packets.NOT_FOUND
        tap.recording.forget()
        connection.send(get + packet(packets.NOOP, opaque=5))
        assert connection.response().status == packets.NOT_FOUND
        refusal = connection.response()
        assert (refusal.opcode, refusal.status, refusal.opaque) == (packets.NOOP, packets.DENIED, 5)
        assert refusal.value == b"pipelining is refused"
        connection.expect_closed()
    assert [frame.verb for frame in tap.recording.requests()] == ["GET"]
    with program.logged_in_binary("sammy") as connection:
        assert connection.ask(with_key(packets.GETQ, b"app:none", opaque=6)).status == packets.DENIED
        connection.expect_closed()


def test_other_listeners_pipeline_as_ever(program: Proxy) -> None:
    with program.logged_in("sammy", "open") as connection:
        play(connection, b"get app:none\r\n" * 100, b"END\r\n" * 100)
