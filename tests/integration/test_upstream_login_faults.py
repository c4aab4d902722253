"""An upstream that has us log in, and goes wrong at it or after it: cases 26 and 46 to 49 with a logged-in upstream."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.canonical import Frame
from tests.support.conversation import SERVER_ERROR
from tests.support.fake_upstream import CLOSE, HANG, Action, Asked, FakeUpstream, Script, honest_script, on
from tests.support.gateway import token_login
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace
from tests.support.waiting import eventually

PASSWORD = "the-password"
TOKEN = b"gateway " + PASSWORD.encode()
TIMEOUT = 0.3
HIT = b"VALUE app:a 0 10\r\nvalue of a\r\nEND\r\n"
TAKEN: Sequence[Action] = [b"STORED\r\n"]
UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"


class WantsToken:
    """The script of an upstream that refuses everything until the token has come. One connection is opened at a time.

    `at_login` is what it does when the token comes, `after` the script of all that follows. `logins` counts.
    """

    def __init__(self) -> None:
        self.at_login: Sequence[Action] = TAKEN
        self.after: Script = honest_script
        self.logins = 0
        self._logged_in = False

    def __call__(self, frame: Frame, honest: bytes) -> Sequence[Action]:
        if frame.body == TOKEN:
            self.logins += 1
            self._logged_in = self.at_login == TAKEN
            return self.at_login
        if frame.verb == "version":
            # The second one on a connection is the greeting; the next is of another connection.
            logged_in, self._logged_in = self._logged_in, False
            return [honest if logged_in else UNAUTHENTICATED]
        return self.after(frame, honest)


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, short_path: Callable[[], Path]) -> Iterator[tuple[Proxy, FakeUpstream]]:
    file = short_path() / "password"
    replace(file, PASSWORD)
    with FakeUpstream(WantsToken()) as upstream:
        how = {"links": 1, "timeout": f"{TIMEOUT}s", "protocol": "text", "login": token_login(file)}
        only = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "protocols": ["text"], "authentication": ["token"]}
        program = start_proxy(upstream.address, upstream=how, listeners={"plain": only, "tls": None, "socket": None})
        yield program, upstream
    upstream.recording.check()


@pytest.fixture
def wanting(running: tuple[Proxy, FakeUpstream]) -> Iterator[tuple[Proxy, WantsToken]]:
    program, upstream = running
    script = upstream.script
    assert isinstance(script, WantsToken)
    upstream.store[b"app:a"] = b"value of a"
    served(program)
    script.logins = 0
    yield program, script
    script.at_login, script.after = TAKEN, honest_script
    program.close_connections()
    # Whoever reloads need not wait until the next login would be tried.
    Reloads(program).sighup()
    served(program)


def served(program: Proxy) -> None:
    """As it should be, within the waits between logins."""
    eventually("it is served", lambda: told(program) == HIT)


def told(program: Proxy) -> bytes:
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        answer = connection.line()
        return answer + connection.receive(len(HIT) - len(answer)) if answer.startswith(b"VALUE") else answer


def lose_the_link(program: Proxy, script: WantsToken) -> None:
    """The link ends, so that there has to be a login again."""
    script.after = on("get", CLOSE)
    assert told(program).startswith(SERVER_ERROR.start)
    script.after = honest_script


def test_upstream_forgets_us(wanting: tuple[Proxy, WantsToken]) -> None:
    """Case 26: the client hears SERVER_ERROR, not that it should log in; one login follows, and all is well."""
    program, script = wanting
    script.after = on("get", UNAUTHENTICATED)
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        answer = connection.line()
        assert answer.startswith(SERVER_ERROR.start)
        assert b"unauthenticated" not in answer
        script.after = honest_script
        eventually("it is served again", lambda: told(program) == HIT)
        assert script.logins == 1
        connection.send(b"get app:a\r\n")
        assert connection.receive(len(HIT)) == HIT, "the client's own session goes on"


OTHER = b"VALUE app:b 0 10\r\nvalue of b\r\nEND\r\n"


@pytest.mark.parametrize(
    "wrong", [OTHER, HIT[:-5] + OTHER, b"VALUE app:a 0 10 7\r\nvalue of a\r\nEND\r\n", b"STORED\r\n"]
)
def test_a_reply_to_something_else(wanting: tuple[Proxy, WantsToken], wrong: bytes) -> None:
    """Case 27: it is never delivered, the link is dropped, and the next one logs in first."""
    program, script = wanting
    script.after = on("get", wrong)
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        answer = connection.line()
        assert answer.startswith(SERVER_ERROR.start), str(connection)
    script.after = honest_script
    served(program)
    assert script.logins == 1


@pytest.mark.parametrize("at", [0, 1, 18, 25, len(HIT) - 1])
def test_upstream_dies_within_a_reply(wanting: tuple[Proxy, WantsToken], at: int) -> None:
    """Case 46. The next link logs in before anything else goes up."""
    program, script = wanting
    script.after = on("get", HIT[:at], CLOSE)
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        answer = connection.line()
        assert answer == b"" or answer.startswith(SERVER_ERROR.start)
    script.after = honest_script
    served(program)
    assert script.logins == 1


def test_a_late_reply_reaches_nobody_else(wanting: tuple[Proxy, WantsToken]) -> None:
    """Case 47."""
    program, script = wanting
    hold = threading.Event()
    script.after = asked = Asked(b"app:a", hold, HIT)
    leaving, staying = program.logged_in("sammy"), program.logged_in("sammy")
    leaving.send(b"get app:a\r\n")
    eventually("the first request is under way", asked.is_set)
    leaving.close()
    staying.send(b"get app:b\r\n")
    hold.set()
    answer = staying.line()
    assert answer == b"END\r\n" or answer.startswith(SERVER_ERROR.start)


@pytest.mark.parametrize(
    ("at_login", "why"),
    [
        ([HANG], "no answer in time to the login"),
        ([b"STOR", HANG], "no answer in time to the login"),
        ([CLOSE], "the connection ended during the login"),
        ([b"STORED\r\nSTORED\r\n", HANG], "its answers to the login are wrong"),
        ([b"STORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\n", HANG], "its answers to the login are wrong"),
        ([b"\x1b[31mwhat\r\n", HANG], "its answers to the login are wrong"),
        ([b"CLIENT_ERROR authentication failure\r\n"], "login refused"),
    ],
)
def test_a_login_that_goes_wrong(wanting: tuple[Proxy, WantsToken], at_login: list[Action], why: str) -> None:
    """Case 48: nothing is asked on such a connection, and clients are told at once (case 49)."""
    program, script = wanting
    failures = program.metric("mcproxy_upstream_failures_total", reason="login")
    script.at_login = at_login
    lose_the_link(program, script)
    eventually("readiness says why", lambda: f"no link to upstream (text): {why}\n" == program.http("/readyz")[1])
    started = time.monotonic()
    expected = b"upstream refused the login" if why == "login refused" else b"upstream is unavailable"
    assert told(program) == b"SERVER_ERROR " + expected + b"\r\n"
    assert time.monotonic() - started < TIMEOUT
    assert program.metric("mcproxy_upstream_failures_total", reason="login") > failures
    assert not any("\x1b" in line or "[31m" in line for line in program.log)


def test_a_refused_login_is_not_hammered(wanting: tuple[Proxy, WantsToken]) -> None:
    """Neither by the links nor for clients that ask for links of their own."""
    program, script = wanting
    script.at_login = [b"CLIENT_ERROR authentication failure\r\n"]
    lose_the_link(program, script)
    eventually("it is refused", lambda: script.logins > 0)
    eventually("it is known", lambda: told(program) == b"SERVER_ERROR upstream refused the login\r\n")
    before = script.logins
    with program.logged_in("root") as connection:
        for _ in range(20):
            connection.send(b"stats\r\n")
            assert connection.line() == b"SERVER_ERROR upstream refused the login\r\n"
    assert script.logins <= before + 1
