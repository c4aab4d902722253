"""Opening a link, step by step, against upstreams that go wrong at each. The clock stands still unless it is moved."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.relay.obstacle import (
    FULL,
    LOGIN_CONFUSED,
    LOGIN_LOST,
    LOGIN_REFUSED,
    LOGIN_SILENT,
    LOGIN_WANTED,
    NO_META_COMMANDS,
    SILENT,
    STRANGE,
    UNREACHABLE,
    Obstacle,
)
from mcproxy.server.link_opening import open_connection
from tests.unit.server.opening import (
    GREETED,
    TOO_MANY,
    VERSION,
    Says,
    close,
    fails,
    fails_in_time,
    reply,
    state,
    upstream,
)

GREETINGS: dict[str, tuple[str, Says, Obstacle, str]] = {
    "full": ("text", Says(TOO_MANY, stays=False), FULL, ""),
    "full, binary": ("binary", Says(TOO_MANY, stays=False), FULL, ""),
    "closes": ("text", Says(b"", stays=False), STRANGE, "it closed the connection"),
    "closes within": ("text", Says(b"VERSION 1.", stays=False), STRANGE, "it closed the connection"),
    "says more": ("text", Says(VERSION + b"END\r\n"), STRANGE, "it says more than it was asked"),
    "knows no meta commands": ("text", Says(b"VERSION 1.6.18\r\nERROR\r\n"), NO_META_COMMANDS, ""),
    "never ends its line": ("text", Says(b"VERSION " + b"1" * 300), STRANGE, ""),
    "bare line feed": ("text", Says(b"VERSION 1.6.18\n"), STRANGE, ""),
    "wants a login, text": ("text", Says(b"CLIENT_ERROR unauthenticated\r\n"), LOGIN_WANTED, ""),
    "wants a login": ("binary", Says(reply(0x0B, b"1.6.18") + reply(0x0A, b"Auth", 0x20)), LOGIN_WANTED, ""),
    "wants a login for all": ("binary", Says(reply(0x0B, b"Auth failure.", 0x20)), LOGIN_WANTED, ""),
    "another status": ("binary", Says(reply(0x0B, b"?", 0x81)), STRANGE, "it answered with status 0x81"),
    "says more, binary": ("binary", Says(GREETED + b"\x81"), STRANGE, "it says more than it was asked"),
    "text to binary": ("binary", Says(b"ERROR\r\n" + b" " * 30), STRANGE, "it does not speak the binary protocol"),
    "the other way round": ("binary", Says(reply(0x0A) + reply(0x0B, b"1")), STRANGE, ""),
    "another opaque": ("binary", Says(reply(0x0B, b"1.6.18") + reply(0x0A, opaque=1)), STRANGE, ""),
    "a no-op with a body": ("binary", Says(reply(0x0B, b"1.6.18") + reply(0x0A, b"x")), STRANGE, ""),
    "too long a version": ("binary", Says(reply(0x0B, b"1" * 257)), STRANGE, ""),
    "escape codes": ("text", Says(b"\x1b[31mred\r\n"), STRANGE, "it answered version with '\\x1b[31mred'"),
    "silence": ("text", Says(b""), SILENT, "no answer in time"),
    "half of it": ("binary", Says(GREETED[:30]), SILENT, "no answer in time"),
}


@pytest.mark.parametrize("name", GREETINGS)
async def test_what_does_not_answer_as_a_memcached_is_not_used(
    mock_clock: MockClock, tmp_path: Path, name: str
) -> None:
    protocol, answer, obstacle, why = GREETINGS[name]
    async with upstream(tmp_path, answer) as there:
        if obstacle is SILENT:
            problem = await fails_in_time(mock_clock, there, protocol, answer)
        else:
            problem = await fails(there, protocol)
    assert problem.obstacle is obstacle
    assert str(problem) == why or not why
    assert "\x1b" not in str(problem)


@pytest.mark.parametrize(("protocol", "answer"), [("text", VERSION), ("binary", GREETED)])
async def test_an_answer_in_pieces(mock_clock: MockClock, tmp_path: Path, protocol: str, answer: bytes) -> None:
    async def piecemeal(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        for byte in answer:
            await stream.send_all(bytes([byte]))
            await wait_all_tasks_blocked()
        await trio.sleep_forever()

    async with upstream(tmp_path, piecemeal) as there:
        close(await open_connection(there, protocol))


async def test_nobody_is_there(mock_clock: MockClock, tmp_path: Path) -> None:
    problem = await fails(state(tmp_path / "nobody.sock"))
    assert problem.obstacle is UNREACHABLE
    assert str(problem) == "No such file or directory"


PLAIN = Credentials("PLAIN", "gateway", "a-secret")
LOGINS: dict[str, tuple[Says, Obstacle]] = {
    "refused": (Says(reply(0x21, b"Auth failure.", 0x20)), LOGIN_REFUSED),
    "silence": (Says(b""), LOGIN_SILENT),
    "half of it": (Says(reply(0x21, b"Authenticated")[:30]), LOGIN_SILENT),
    "closes": (Says(b"", stays=False), LOGIN_LOST),
    "full": (Says(TOO_MANY, stays=False), FULL),
    "something else": (Says(reply(0x0A)), LOGIN_CONFUSED),
    "accepted, and more": (Says(reply(0x21, b"Authenticated") + reply(0x0A)), LOGIN_CONFUSED),
    "without an end": (Says(*[reply(0x21, b"", 0x21)] * 100), LOGIN_CONFUSED),
    "too much": (Says(reply(0x21, b"x" * 100_000)), LOGIN_CONFUSED),
    "accepted, and it still wants one": (
        Says(reply(0x21, b"Authenticated"), reply(0x0B, b"1") + reply(0x0A, b"", 0x20)),
        LOGIN_WANTED,
    ),
    "accepted, then silence": (Says(reply(0x21, b"Authenticated"), b""), SILENT),
}


@pytest.mark.parametrize("name", LOGINS)
async def test_a_login_that_goes_wrong(mock_clock: MockClock, tmp_path: Path, name: str) -> None:
    answer, obstacle = LOGINS[name]
    async with upstream(tmp_path, answer, login=PLAIN) as there:
        if obstacle in (SILENT, LOGIN_SILENT):
            problem = await fails_in_time(mock_clock, there, "binary", answer)
        else:
            problem = await fails(there, "binary")
        assert "a-secret" not in repr(there)
    assert problem.obstacle is obstacle, str(problem)
    assert "a-secret" not in str(problem)
    assert "Auth failure" not in str(problem)


async def test_a_password_that_upstream_repeats_is_not_told(mock_clock: MockClock, tmp_path: Path) -> None:
    """An upstream that is not what it seems may say anything in the place of its version."""
    unauthenticated = b"CLIENT_ERROR unauthenticated\r\n"
    repeats = Says(unauthenticated, b"STORED\r\n", b"gateway a-secret\r\n")
    async with upstream(tmp_path, repeats, login=Credentials(None, "gateway", "a-secret")) as there:
        problem = await fails(there, "text")
    assert (problem.obstacle, str(problem)) == (STRANGE, "it answered version with something else")


async def test_silence_behind_a_refusal_is_the_same_refusal(mock_clock: MockClock, tmp_path: Path) -> None:
    """Whoever slows wrong passwords may answer them later than we wait. A login that is taken ends that."""
    silent = [Says(b"") for _ in range(3)]
    answers = [
        silent[0],
        Says(reply(0x21, b"Auth failure.", 0x20)),
        silent[1],
        Says(reply(0x21, b"Authenticated"), GREETED),
        silent[2],
    ]

    async def next_one(stream: trio.SocketStream) -> None:
        await answers.pop(0)(stream)

    async with upstream(tmp_path, next_one, login=PLAIN) as there:
        assert (await fails_in_time(mock_clock, there, "binary", silent[0])).obstacle is LOGIN_SILENT
        refused = await fails(there, "binary")
        late = await fails_in_time(mock_clock, there, "binary", silent[1])
        assert late.obstacle is refused.obstacle is LOGIN_REFUSED
        assert str(late) == str(refused)
        close(await open_connection(there, "binary"))
        assert (await fails_in_time(mock_clock, there, "binary", silent[2])).obstacle is LOGIN_SILENT


async def test_a_login_and_then_the_greeting(mock_clock: MockClock, tmp_path: Path) -> None:
    answer = Says(reply(0x21, b"Authenticated"), GREETED)
    async with upstream(tmp_path, answer, login=PLAIN) as there:
        close(await open_connection(there, "binary"))


async def test_what_cannot_be_logged_in_with(mock_clock: MockClock, tmp_path: Path) -> None:
    """A -PLUS mechanism without TLS: nothing is sent."""
    sent: list[bytes] = []

    async def listens(stream: trio.SocketStream) -> None:
        sent.append(await stream.receive_some(100))

    login = Credentials("SCRAM-SHA-256-PLUS", "gateway", "a-secret")
    async with upstream(tmp_path, listens, login=login) as there:
        assert (await fails(there, "binary")).obstacle is LOGIN_REFUSED
        while not sent:
            await trio.lowlevel.checkpoint()
    assert sent == [b""]
