"""Commands without a key against the real memcached (case 17): who may, in which words, and what comes back."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy, ends_well
from tests.support.conversation import DENIED, Connection, play
from tests.support.memcached import Memcached
from tests.support.processes import open_descriptors, resident_bytes
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually
from tests.unit.wire.administering import LINES, MISTAKES, NEVER, OURS, SPELLED

MIB = 1 << 20
USERS = {"stats": "watcher", "inspect": "reader", "admin": "nobody", "flush": "sammy"}
"""Who has which class here, and no other class without keys."""


@pytest.fixture(scope="module")
def divided(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """Each class without keys is somebody else's. Little is kept for a client that doesn't read."""
    roles = {name: {"commands": [name], "keys": ["*"]} for name in USERS}
    roles["app"] = {"commands": ["read", "write"], "keys": ["app:*"]}
    grants = [{"user": user, "roles": [name]} for name, user in USERS.items()]
    grants += [{"user": "root", "roles": list(USERS)}, {"user": "sammy", "roles": ["app"]}]
    return start_proxy(tap.address, roles=roles, grants=grants, limits={"session_buffer": "64KiB"})


@pytest.fixture
def program(divided: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield divided
    ends_well(divided, tap)


def reply_to(connection: Connection, line: bytes) -> bytes:
    """The whole reply to a line that is granted."""
    connection.send(line + b"\r\n")
    reply = connection.line()
    many = line.lstrip().startswith((b"stats", b"lru_crawler metadump"))
    while many and reply and not reply.endswith((b"END\r\n", b"RESET\r\n", b"ERROR\r\n")):
        if reply.startswith((b"OK", b"ERROR", b"CLIENT_ERROR", b"BUSY", b"BADCLASS")):
            break
        more = connection.line()
        # Else a reply without an end, or an end that is not known here, would be waited for forever.
        assert more.endswith(b"\n"), f"a reply without an end: {reply + more!r}\n{connection}"
        reply += more
    return reply


# `lru_crawler disable` would change what later tests are answered.
@pytest.mark.parametrize("line", [line for line in LINES if LINES[line] and b"disable" not in line], ids=bytes.decode)
def test_each_line_is_one_class_and_nobody_else_s(program: Proxy, tap: Tap, line: bytes) -> None:
    granted = USERS[LINES[line]]
    with program.logged_in(granted) as connection:
        reply = reply_to(connection, line)
        assert reply not in (b"", DENIED), str(connection)
        sent = [frame.raw for frame in tap.recording.requests()]
        assert sent == [line + b"\r\n"]
        if not line.startswith(b"watch"):
            connection.in_step()
        elif reply != b"OK\r\n":
            # Of the words that newer memcacheds know.
            assert (b"deletions" in line, reply) == (True, b"ERROR\r\n")
            connection.in_step()
    tap.recording.forget()
    for user in set(USERS.values()) - {granted}:
        with program.logged_in(user) as connection:
            play(connection, line + b"\r\n", DENIED)
    assert tap.recording.requests() == []


def test_the_crawler_can_be_stopped_and_started(program: Proxy) -> None:
    with program.logged_in("nobody") as connection:
        play(connection, b"lru_crawler disable\r\n", b"OK\r\n")
        try:
            # memcached answers before its crawler has ended.
            disabled = b"CLIENT_ERROR lru crawler disabled\r\n"
            eventually("the crawler ends", lambda: reply_to(connection, b"lru_crawler crawl all") == disabled)
        finally:
            # Later tests need it.
            play(connection, b"lru_crawler enable\r\n", b"OK\r\n")
        play(connection, b"lru_crawler enable\r\n", b"ERROR failed to start lru crawler thread\r\n")


@pytest.mark.parametrize("line", NEVER, ids=bytes.decode)
def test_what_nobody_may(program: Proxy, tap: Tap, line: bytes) -> None:
    for user in ("root", "sammy"):
        with program.logged_in(user) as connection:
            play(connection, line + b"\r\n", b"ERROR\r\n")
    assert tap.recording.requests() == []


@pytest.mark.parametrize("line", SPELLED, ids=bytes.decode)
def test_other_spellings(program: Proxy, tap: Tap, line: bytes) -> None:
    with program.logged_in("root") as connection:
        if not line.endswith(b"noreply") or line.startswith(b"mn"):
            reply_to(connection, line)
        else:
            connection.send(line + b"\r\n")
        connection.in_step()
    # Beside what the program sends of its own accord, and mn.
    assert SPELLED[line] + b"\r\n" in {frame.raw for frame in tap.recording.frames()}


@pytest.fixture(scope="module")
def untouched(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """A memcached that nobody has changed the settings of."""
    with Memcached(short_path()) as upstream:
        yield upstream


@pytest.mark.parametrize("line", MISTAKES, ids=bytes.decode)
def test_a_mistake_is_answered_in_memcacheds_own_words(
    program: Proxy, tap: Tap, untouched: Memcached, line: bytes
) -> None:
    command_class, words = MISTAKES[line]
    with Connection(untouched.connect()) as direct:
        play(direct, line + b"\r\n", words or [])
    with program.logged_in(USERS[command_class]) as connection:
        play(connection, line + b"\r\n", words or [])
    assert tap.recording.requests() == []


@pytest.mark.parametrize("line", OURS, ids=bytes.decode)
def test_what_memcached_would_take_for_something_else_is_refused(program: Proxy, tap: Tap, line: bytes) -> None:
    command_class, words = OURS[line]
    with program.logged_in(USERS[command_class]) as connection:
        play(connection, line + b"\r\n", words or [])
    assert tap.recording.requests() == []


ITEMS = 20_000


def stored_items(upstream: Memcached) -> set[bytes]:
    """Fills memcached past every proxy; returns the keys."""
    keys = [b"app:item:%06d:%s" % (number, b"k" * 60) for number in range(ITEMS)]
    with Connection(upstream.connect()) as connection:
        connection.send_while_reading(b"".join(b"set %s 0 0 1 noreply\r\nx\r\n" % key for key in keys))
        connection.in_step()
    return set(keys)


def test_a_metadump_to_a_slow_reader(program: Proxy, memcached: Memcached) -> None:
    """2.5 MB through small buffers: upstream is not read faster than the client reads, and others are served."""
    keys = stored_items(memcached)
    with program.logged_in("reader", "socket") as slow, program.logged_in("sammy") as other:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def received() -> float:
            return program.metric("mcproxy_upstream_received_bytes_total")

        def is_stuck() -> bool:
            before = received()
            play(other, b"get app:none\r\n", b"END\r\n")
            return before > start + 64 * 1024 and received() - before < 1024

        start, memory = received(), resident_bytes(program.pid)
        slow.send(b"lru_crawler metadump all\r\n")
        eventually("as much has come as is kept", is_stuck)
        assert received() - start < 1 * MIB, "upstream was read although the client doesn't read"
        assert resident_bytes(program.pid) - memory < 2 * MIB
        found = set()
        while (line := slow.line()) != b"END\r\n":
            assert line.startswith(b"key=") and line.endswith(b"\n"), str(slow)
            found.add(line.split(b" ")[0].removeprefix(b"key=").replace(b"%3A", b":"))
        assert found - {b"app:fresh"} == keys
        slow.in_step()
    assert resident_bytes(program.pid) - memory < 4 * MIB


def test_who_leaves_within_a_metadump_leaves_no_link_behind(program: Proxy, memcached: Memcached) -> None:
    stored_items(memcached)
    eventually("earlier sessions are gone", lambda: program.metric("mcproxy_sessions") == 0)
    descriptors = open_descriptors(program.pid)
    for _ in range(3):
        leaving = program.logged_in("reader", "socket")
        line = b"BUSY"
        while line.startswith(b"BUSY"):
            # memcached's crawler finds out that somebody has left when it next writes; until then it takes no other.
            leaving.send(b"lru_crawler metadump all\r\n")
            line = leaving.line()
        assert line.startswith(b"key="), str(leaving)
        leaving.close()
    eventually("their links are closed too", lambda: open_descriptors(program.pid) <= descriptors)


@pytest.mark.parametrize("words", [b"shutdown", b"shutdown graceful"])
def test_shutdown(short_path: Callable[[], Path], start_proxy: StartProxy, words: bytes, memcached: Memcached) -> None:
    """Where memcached has it, it ends and the connection with it; nobody else can make it."""
    with Memcached(short_path(), "-A") as upstream:
        program = start_proxy(upstream.address)
        for user in ("sammy", "reader", "watcher", "nobody"):
            with program.logged_in(user) as connection:
                play(connection, words + b"\r\n", DENIED)
        assert upstream.process is not None and upstream.process.poll() is None
        with program.logged_in("root") as connection, program.logged_in("sammy") as other:
            play(connection, words + b"\r\n", [], closes=True)
            upstream.process.wait(10)
            eventually("the links are gone", lambda: program.log_contains("upstream_link_lost"))
            other.send(b"get app:a\r\n")
            assert other.line() == b"SERVER_ERROR upstream is unavailable\r\n"


def test_shutdown_where_memcached_does_not_have_it(proxy: Proxy) -> None:
    with proxy.logged_in("root") as connection:
        play(connection, b"shutdown\r\n", b"ERROR: shutdown not enabled\r\n")
        play(connection, b"shutdown graceful\r\nget app:none\r\n", b"ERROR: shutdown not enabled\r\nEND\r\n")
