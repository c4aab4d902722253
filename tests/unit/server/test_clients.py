"""The end of a server whose clients go on connecting, and one that comes before its start."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from mcproxy.auth.throttle import Throttle
from mcproxy.server import clients
from mcproxy.server.admission import Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.build import build
from mcproxy.server.clients import serve_clients
from mcproxy.server.connection import Client
from mcproxy.server.opening import Listening
from mcproxy.server.reload import load_first
from mcproxy.server.sockets import stop_queueing
from mcproxy.server.state import ServerState
from mcproxy.server.streams import DELIVERY_SECONDS

CONFIGURATION = """
listeners: {a: {bind: ["127.0.0.1:0"], allow: ["127.0.0.1"], authentication: [none]}}
upstream: {address: "127.0.0.1:1"}
limits: {drain_timeout: 0s}
"""


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    host, family = request.param
    with socket.create_server((host, 0), family=family) as sock:
        sock.setblocking(False)
        yield sock


@contextlib.contextmanager
def connecting(listener: socket.socket) -> Iterator[socket.socket]:
    """Somebody who connects. On loopback the handshake is over when this begins, if the kernel lets it."""
    with socket.socket(listener.family) as sock:
        sock.setblocking(False)
        assert sock.connect_ex(listener.getsockname()) == errno.EINPROGRESS
        yield sock


def is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_who_connects_before_a_close_is_not_queued_and_who_did_is_served(listener: socket.socket) -> None:
    with connecting(listener) as before:
        stop_queueing(listener)
        with connecting(listener) as after:
            assert is_connected(before)
            assert not is_connected(after)
            accepted, _ = listener.accept()
            with pytest.raises(BlockingIOError):
                listener.accept()
            with accepted:
                for sender, receiver in ((before, accepted), (accepted, before)):
                    sender.sendall(b"still here")
                    receiver.setblocking(True)
                    assert receiver.recv(100) == b"still here"


def state_of(directory: Path) -> ServerState:
    path = directory / "mcproxy.yaml"
    path.write_text(CONFIGURATION)
    loaded = load_first(path)
    admission = Admission.of(loaded.material.settings.limits)
    return build(loaded.generation, admission, LocalAttempts(Throttle()), threads=1)


async def stopped_at_once(state: ServerState, listening: list[Listening], close: Callable[[], None]) -> bool:
    """Whether it has said that it had started."""
    said = []
    stopping = trio.Event()
    stopping.set()

    async def wait_for_stop() -> bool:
        return True

    with trio.fail_after(10):
        await serve_clients(
            state,
            listening,
            started=lambda: said.append("started"),
            readiness=lambda _: said.append("ready or not"),
            stopping=stopping,
            wait_for_stop=wait_for_stop,
            stop_listening=close,
        )
    return bool(said)


@pytest.mark.parametrize("lasting", [False, True])
async def test_nobody_is_queued_while_the_queues_are_emptied(
    tmp_path: Path, listener: socket.socket, lasting: bool
) -> None:
    """Unless the next program takes what is queued."""
    connected = []

    def close() -> None:
        with connecting(listener) as late:
            connected.append(is_connected(late))

    await stopped_at_once(state_of(tmp_path), [Listening("a", listener, lasting=lasting)], close)
    assert connected == [lasting]


async def test_told_to_stop_before_there_is_a_link_it_neither_waits_for_one_nor_says_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_FIRST_LINK", 3600)
    assert not await stopped_at_once(state_of(tmp_path), [], lambda: None)


@pytest.mark.parametrize("ending", [False, True])
async def test_what_was_asked_before_the_end_has_until_its_deadline_to_be_delivered(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, ending: bool
) -> None:
    """And not only as long as others have: `drain_timeout` may be longer."""
    state = state_of(tmp_path)
    state.ending = ending
    place = state.entrance.enter_now("a", None)  # type: ignore[attr-defined]  # it is the one of a single process
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(listener.getsockname())
        connection, _ = listener.accept()
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                connection.send(b"x" * 100_000)
        client = Client(state, state.generation.listeners["a"], connection, None, place)
        state.closing += 1
        async with trio.open_nursery() as state.nursery:
            client.lingers()
            await trio.sleep(DELIVERY_SECONDS + 50)
            assert state.closing == ending
            assert (connection.fileno() >= 0) == ending
            state.nursery.cancel_scope.cancel()
        assert connection.fileno() < 0
