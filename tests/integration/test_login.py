"""Login (cases 28 to 31, 35, 36, 40): nothing goes upstream before it, and every way to get it wrong is refused."""

import itertools

import pytest

from tests.support import packets
from tests.support.configuration import PASSWORDS
from tests.support.conversation import CLIENT_ERROR, UNAUTHENTICATED, play
from tests.support.packets import AUTH_ERROR, packet, plain, sasl
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

LISTENERS = ["plain", "tls", "socket"]
STORED = b"STORED\r\n"
FAILURE = b"CLIENT_ERROR authentication failure\r\n"

_sources = (f"10.7.{high}.{low}" for high in range(256) for low in range(1, 255))


def new_source() -> str:
    """An address that has not failed to log in yet: the program slows those down that have."""
    return next(_sources)


BEFORE_LOGIN = [
    *(
        b"get app:a",
        b"gets app:a b",
        b"gat 0 app:a",
        b"gats 0 app:a",
        b"delete app:a",
        b"incr app:a 1",
        b"decr app:a 1",
    ),
    *(b"touch app:a 0", b"flush_all", b"flush_all noreply", b"version", b"mn", b"stats", b"stats settings"),
    *(b"verbosity 1", b"watch", b"shutdown", b"slabs reassign 1 2", b"lru_crawler metadump all", b"mg app:a v"),
    *(b"me app:a", b"nonsense", b"get", b" get  app:a", b"get " + b"k" * 251, b"AUTH PLAIN", b""),
]


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("line", BEFORE_LOGIN)
def test_text_before_login(proxy: Proxy, tap: Tap, listener: str, line: bytes) -> None:
    with proxy.connect(listener) as connection:
        connection.send(line + b"\r\n")
        answer = connection.line()
        assert answer.startswith(UNAUTHENTICATED.start), f"{answer!r}\n{connection}"
        connection.send(token("sammy"))  # still in step: the next frame is read as one
        assert connection.line() == STORED, str(connection)
    assert tap.recording.requests() == []


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("verb", ["add", "replace", "append", "prepend", "cas"])
def test_storage_before_login_gets_one_error(proxy: Proxy, tap: Tap, listener: str, verb: str) -> None:
    unique = " 1" if verb == "cas" else ""
    for body in (b"hello", b"sammy correct horse", b"mn\r\nmn"):
        with proxy.connect(listener) as connection:
            connection.send(f"{verb} k 0 0 {len(body)}{unique}\r\n".encode() + body + b"\r\n" + token("sammy"))
            assert connection.line().startswith(b"CLIENT_ERROR"), str(connection)
            assert connection.line() == STORED, str(connection)
            connection.in_step()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("length", [2147483646, 2147483647, 4294967303, 1 << 20, -1])
@pytest.mark.parametrize("verb", ["set", "add"])
def test_a_huge_value_before_login_closes(proxy: Proxy, tap: Tap, verb: str, length: int) -> None:
    with proxy.connect() as connection:
        play(connection, f"{verb} x 0 0 {length}\r\n".encode(), [CLIENT_ERROR], closes=True)
    assert tap.recording.requests() == []


@pytest.mark.parametrize("listener", LISTENERS)
@pytest.mark.parametrize("code", [code for code in range(0x28) if code not in (0x20, 0x21, 0x22)] + [0x80, 0xFF])
def test_binary_before_login(proxy: Proxy, tap: Tap, listener: str, code: int) -> None:
    with proxy.connect(listener) as connection:
        keyless = code in (packets.QUIT, packets.QUITQ, packets.FLUSH, packets.FLUSHQ, packets.NOOP, packets.VERSION)
        answer = connection.ask(packet(code, opaque=7) if keyless else packets.with_key(code, b"app:a", opaque=7))
        assert (answer.opcode, answer.status, answer.opaque) == (code, AUTH_ERROR, 7), str(connection)
        connection.send(packets.store(packets.SET, b"app:a", b"x"))
        after = connection.receive(24)
        assert after == b"" or after[6:8] == b"\0\x20", str(connection)
    assert tap.recording.requests() == []


@pytest.mark.parametrize("listener", LISTENERS)
def test_both_ways_in(proxy: Proxy, listener: str) -> None:
    with proxy.connect(listener) as connection:
        mechanisms = connection.ask(packet(packets.LIST_MECHS))
        assert (mechanisms.status, mechanisms.value.split()) == (0, [b"PLAIN"])
        for authorization in ("", "sammy"):  # Cyrus's client sends the name twice
            answer = connection.ask(plain("sammy", PASSWORDS["sammy"], authorization))
            assert answer.shape == (0, b"Authenticated"), str(connection)
        connection.in_step_binary()
        assert connection.ask(packet(packets.LIST_MECHS)).value == b"PLAIN"
        assert connection.ask(packet(packets.GET, b"app:none")).status == packets.NOT_FOUND
    with proxy.connect(listener) as connection:  # AUTH without an initial response, then STEP (RFC 4422, 5.1)
        assert connection.ask(sasl(b"plain", b"")).shape == (packets.AUTH_CONTINUE, b"")
        message = b"\0sammy\0" + PASSWORDS["sammy"].encode()
        assert connection.ask(sasl(b"PLAIN", message, packets.STEP)).status == 0
        connection.in_step_binary()
    for head in (b"set _ 0 0", b"set x y z", b"set app:k 0 0", b"set auth 4294967296 -1"):
        with proxy.connect(listener) as connection:
            play(connection, token("sammy", head=head), STORED)


def test_commands_sent_with_the_login_are_answered(proxy: Proxy) -> None:
    with proxy.connect("tls") as connection:
        play(connection, token("sammy") + b"get app:none\r\nset app:x 0 0 1\r\nx\r\n", [STORED, b"END\r\n", STORED])
    with proxy.connect("tls") as connection:
        connection.send(plain("sammy", PASSWORDS["sammy"]) + packet(packets.GET, b"app:none", opaque=2))
        assert connection.response().status == 0
        assert connection.response().opaque == 2
        connection.in_step_binary()


def test_failed_binary_logins_leave_nobody_logged_in(proxy: Proxy, tap: Tap) -> None:
    """A bad AUTH then a SET; STEP before AUTH; a good AUTH, a failed second one, then GET: 0x20."""
    good, bad = plain("sammy", PASSWORDS["sammy"]), plain("sammy", "wrong")
    message = b"\0sammy\0" + PASSWORDS["sammy"].encode()
    step = sasl(b"PLAIN", message, packets.STEP)
    get, store = packet(packets.GET, b"app:a"), packets.store(packets.SET, b"app:a", b"x")
    conversations: list[list[tuple[bytes, int]]] = [
        [(bad, AUTH_ERROR), (store, AUTH_ERROR)],
        [(step, AUTH_ERROR), (get, AUTH_ERROR)],
        [(good, 0), (bad, AUTH_ERROR), (get, AUTH_ERROR)],
        [(sasl(b"PLAIN", b""), packets.AUTH_CONTINUE), (store, AUTH_ERROR)],
        [(sasl(b"PLAIN", b""), packets.AUTH_CONTINUE), (sasl(b"OTHER", message, packets.STEP), AUTH_ERROR)],
        [(sasl(b"SCRAM-SHA-256", b"n,,n=sammy,r=abc"), AUTH_ERROR), (get, AUTH_ERROR)],
        [(sasl(b"EXTERNAL", b"sammy"), AUTH_ERROR), (get, AUTH_ERROR)],
        [(sasl(b"ANONYMOUS", b"sammy"), AUTH_ERROR), (get, AUTH_ERROR)],
    ]
    for conversation in conversations:
        with proxy.connect(source=new_source()) as connection:
            for request, status in conversation:
                answer = connection.ask(request)
                assert answer.status == status, f"{answer}\n{connection}"
    assert tap.recording.requests() == []


def test_a_failed_second_token_leaves_nobody_logged_in(proxy: Proxy) -> None:
    """After login a `set` is a `set`; only the connection's own token is taken for one. Other users keep out."""
    with proxy.logged_in("reader", source=new_source()) as connection:
        connection.send(token("root", "wrong", head=b"set app:a 0 0"))
        assert connection.line() == b"CLIENT_ERROR access denied\r\n", str(connection)
        connection.in_step()


@pytest.mark.parametrize("head", [b"set _ 0 0", b"set app:stored 0 0", b"set x y z", b"set app:stored 5 -1"])
@pytest.mark.parametrize("times", [1, 3])
def test_the_token_sent_again_is_not_stored(proxy: Proxy, tap: Tap, head: bytes, times: int) -> None:
    password = PASSWORDS["sammy"].encode()
    with proxy.logged_in("sammy") as connection:
        play(connection, token("sammy", head=head) * times, STORED * times)
        play(connection, b"get app:stored\r\n", b"END\r\n")
        play(connection, b"set app:other 0 0 5\r\nsammy\r\n", STORED)
    assert all(password not in frame.raw for frame in tap.recording.frames())


def test_replies_before_login_are_bounded(proxy: Proxy) -> None:
    """R6: at most one reply a frame, 1 KiB each, 8 KiB a connection, however much is asked."""
    for frame in (b"x\r\n", b"\r\n", packet(packets.LIST_MECHS), sasl(b"NONE", b"x")):
        with proxy.connect(source=new_source()) as connection:
            connection.send_while_reading(frame * 5000)
            assert 0 < len(connection.rest()) <= 8192


def test_many_logins_at_once(proxy: Proxy) -> None:
    with proxy.connect() as first:
        assert first.ask(plain("reader", PASSWORDS["reader"])).status == 0
    connections = [proxy.connect() for _ in range(40)]
    for connection, user in zip(connections, itertools.cycle(["sammy", "root", "reader"]), strict=False):
        connection.send(token(user))
    for connection in connections:
        assert connection.line() == STORED
        connection.in_step()


def test_quit_before_login_closes(proxy: Proxy) -> None:
    with proxy.connect() as connection:
        connection.send(b"quit\r\n")
        assert connection.rest() in (b"", b"CLIENT_ERROR unauthenticated\r\n")
