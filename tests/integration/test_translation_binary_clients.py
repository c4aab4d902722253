"""Binary clients in front of a memcached to which only text is spoken, held against its own binary protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.clients import make_client
from tests.support.configuration import PASSWORDS
from tests.support.conversation import Connection
from tests.support.memcached import Memcached
from tests.support.memccapable import assert_capable
from tests.support.packet_streams import TOO_LARGE, UNDISTURBED, Server, compare
from tests.support.packets import arithmetic, packet, store, touching, with_key
from tests.support.proxy import Proxy
from tests.support.tap import Tap

NOBODY = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}


@pytest.fixture(scope="module")
def memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    with Memcached(short_path(), *UNDISTURBED) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def translating(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """The program with the users of configuration.py, and a listener where nobody logs in."""
    return start_proxy(
        tap.address, upstream={"protocol": "text"}, default_roles=["everything"], listeners={"open": NOBODY}
    )


@pytest.fixture(scope="module")
def another(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """A memcached that is like the one upstream."""
    with Memcached(short_path(), *UNDISTURBED) as memcached:
        yield memcached


@pytest.fixture
def own(another: Memcached) -> Iterator[Connection]:
    """A connection to its own binary protocol."""
    with Connection(another.connect()) as connection:
        yield connection


def test_memccapable_finds_nothing_missing(translating: Proxy, tap: Tap) -> None:
    assert_capable(translating.host_and_port("open"), "-b")
    tap.recording.check()


def test_the_answers_of_memcacheds_own_binary_protocol(translating: Proxy, tap: Tap, own: Connection) -> None:
    tap.recording.forget()
    with translating.connect("open") as connection:
        assert compare(Server(own), Server(connection), 6, 10_000) > 7000
        connection.in_step_binary()
    tap.recording.check()
    assert {request.verb for request in tap.recording.requests()} == {*("gets", "gats", "ms", "md", "ma", "flush_all")}


@pytest.mark.parametrize("kind", ["python-binary-memcached", "pylibmc"])
def test_clients(translating: Proxy, kind: str) -> None:
    """pylibmc holds the interpreter's lock while it waits: this goes past the tap, whose threads would need it."""
    direct = make_client(kind, *translating.host_and_port("plain"), "sammy", PASSWORDS["sammy"], None)
    name, value = f"app:{kind}", b"END\r\nvalue\0\xff" * 20_000
    assert direct.get(name) is None
    assert direct.set(name, value)
    assert direct.get(name) == value
    assert not direct.add(name, b"x")
    assert direct.touch(name, 1000)
    _, unique = direct.get_with_cas(name)
    assert direct.cas(name, b"one", unique)
    assert not direct.cas(name, b"two", unique)
    values = {f"{name}:{number}": b"%d" % number * number for number in range(1, 100)}
    direct.set_many(values)
    assert direct.get_many([*values, f"{name}:absent"]) == values
    assert direct.set(name, b"41")
    assert direct.incr(name, 1) == 42
    assert direct.append(name, b"0")
    assert direct.get(name) in ("420", b"420", 420)
    assert direct.delete(name)
    assert not direct.delete(name)
    direct.close()


def statistics(connection: Connection, key: bytes) -> list[packets.Response]:
    """The packets of one STAT."""
    connection.send(packet(packets.STAT, key, opaque=9))
    found = [connection.response()]
    while found[-1].key and not found[-1].status:
        found.append(connection.response())
    connection.in_step_binary()
    return found


def test_statistics(translating: Proxy, own: Connection) -> None:
    """The same names, and the same packets behind them; numbers of two memcacheds differ."""
    with translating.connect("open") as connection:
        for key in (b"", b"settings", b"sizes", b"reset", b"detail on", b"detail off", b"unheard-of"):
            answers, others = statistics(connection, key), statistics(own, key)
            assert [answer.key for answer in answers] == [other.key for other in others], key
            assert {(answer.status, answer.opaque, answer.cas) for answer in answers} == {
                (other.status, other.opaque, other.cas) for other in others
            }
        for one in (own, connection):
            statistics(one, b"detail on")
            for number in range(3):
                one.ask(store(packets.SET, b"prefix%d:b" % number, b"v"))
                one.ask(packet(packets.GET, b"prefix%d:a" % number))
        (dump, end), (other, other_end) = statistics(connection, b"detail dump"), statistics(own, b"detail dump")
        assert (dump.key, end) == (other.key, other_end) == (b"detailed", end)
        # memcached counts no `ms` there.
        assert dump.value == other.value.replace(b" set 1 ", b" set 0 ")
        assert any(answer.key == b"items:1:number" for answer in statistics(connection, b"items"))
        assert any(answer.key == b"1:chunk_size" for answer in statistics(connection, b"slabs"))


def test_numbers_wrap_around_as_ever(translating: Proxy, own: Connection) -> None:
    """Beginning below 2**63: in what lies behind a larger number memcached 1.6.18 looks for a minus sign, beyond the
    value's end, and takes one that it finds in leftover memory for the number's own.
    """
    with translating.connect("open") as connection:
        for opcode, start, delta in ((packets.INCR, b"5", 2**64 - 1), (packets.INCR, b"%d" % (2**63 - 1), 2**63 + 1)):
            for one in (own, connection):
                one.ask(store(packets.SET, b"number", start))
            answer, other = (one.ask(arithmetic(opcode, b"number", delta)) for one in (connection, own))
            assert answer.shape == other.shape


def test_the_differences(translating: Proxy, memcached: Memcached, own: Connection) -> None:
    """Those that docs/protocol.md names."""
    with translating.connect("open") as connection, Connection(memcached.connect()) as text:
        connection.ask(store(packets.SET, b"late", b"v", expiry=2**32 - 1))
        connection.ask(store(packets.SET, b"latest-in-text", b"v", expiry=2**31 - 1))
        text.send(b"mg late t\r\nmg latest-in-text t\r\n")
        assert text.line() == text.line()
        for opcode in (packets.ADD, packets.REPLACE, packets.APPEND):
            for one in (own, connection):
                one.ask(store(packets.SET, b"old", b"v"))
                assert one.ask(store(opcode, b"old", bytes(TOO_LARGE))).status == packets.TOO_LARGE
            assert own.ask(packet(packets.GET, b"old")).status == packets.OK
            assert connection.ask(packet(packets.GET, b"old")).status == packets.NOT_FOUND


def test_a_stale_item_is_nobodys_to_win(translating: Proxy, memcached: Memcached) -> None:
    """Reads of binary clients leave it to the first text client that asks."""
    with translating.connect("open") as connection, Connection(memcached.connect()) as text:
        text.send(b"set stale 7 0 1\r\nv\r\nmd stale I T600\r\n")
        assert [text.line(), text.line()] == [b"STORED\r\n", b"HD\r\n"]
        for opcode in (packets.GET, packets.GETK, packets.GAT, packets.GATK, packets.TOUCH):
            answer = connection.ask(with_key(opcode, b"stale"))
            assert (answer.status, answer.extras) == (packets.OK, b"\0\0\0\7")
        text.send(b"mg stale v\r\n")
        assert [text.line(), text.line()] == [b"VA 1 X W\r\n", b"v\r\n"]


def test_a_guard_upstream_denies(start_proxy: StartProxy, tap: Tap) -> None:
    """Its text denials are those of binary, and TOUCH needs read there too; the link goes on."""
    roles = {
        "all": {"commands": ["*"], "keys": ["*"]},
        "some": {"commands": ["read", "counter"], "keys": ["app:*"]},
    }
    guard = start_proxy(tap.address, listeners={"open": NOBODY}, roles=roles, grants=[], default_roles=["some"])
    front = start_proxy(
        guard.address("open"),
        upstream={"protocol": "text", "links": 1},
        listeners={"open": NOBODY},
        roles=roles,
        grants=[],
        default_roles=["all"],
    )
    with front.connect("open") as connection:
        for sent in (
            packet(packets.GET, b"other"),
            touching(packets.GATQ, b"app:a"),
            touching(packets.TOUCH, b"app:a"),
            store(packets.SETQ, b"app:a", b"v"),
            packet(packets.DELETE, b"app:a"),
            arithmetic(packets.INCR, b"app:a", 1, 1, 0),
            packet(packets.FLUSHQ),
            packet(packets.STAT),
        ):
            answer = connection.ask(sent)
            assert (answer.opcode, answer.shape) == (sent[1], (packets.DENIED, b"access denied"))
        assert connection.ask(packet(packets.GETK, b"app:a")).shape == (packets.NOT_FOUND, b"")
        assert connection.ask(arithmetic(packets.INCR, b"app:a", 1)).status == packets.NOT_FOUND
        connection.in_step_binary()
    assert not front.log_contains("upstream link lost")
