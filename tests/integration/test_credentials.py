"""Credentials (cases 35, 36): every way to get them wrong, and what the proxy tells and keeps of it."""

import time

import pytest

from tests.support import packets
from tests.support.configuration import PASSWORDS
from tests.support.conversation import CLIENT_ERROR, UNAUTHENTICATED
from tests.support.packets import AUTH_ERROR, packet, plain, sasl
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually

FAILURE = b"CLIENT_ERROR authentication failure\r\n"
_sources = (f"10.6.{high}.{low}" for high in range(256) for low in range(1, 255))


def new_source() -> str:
    """An address that nobody has come from yet: tests of other files talk to the same program."""
    return next(_sources)


PLAIN_MESSAGES = {
    "no NUL": b"sammy",
    "two fields": b"sammy\0correct horse",
    "four fields": b"\0sammy\0correct horse\0",
    "a foreign authorization identity": b"root\0sammy\0correct horse",
    "an empty password": b"\0sammy\0",
    "an empty name": b"\0\0correct horse",
    "invalid UTF-8 in the name": b"\0sam\xffmy\0correct horse",
    "invalid UTF-8 in the password": b"\0sammy\0correct horse\xc3",
    "the password of another": b"\0sammy\0all-of-it",
    "a password cut short": b"\0sammy\0correct hors",
    "a password too long": b"\0sammy\0" + b"correct horse" * 200,
    "an unknown name": b"\0nobody-knows\0correct horse",
    "another case": b"\0Sammy\0correct horse",
    "a blank after the name": b"\0sammy \0correct horse",
}


@pytest.mark.parametrize("name", PLAIN_MESSAGES)
def test_plain_messages_that_are_refused(proxy: Proxy, name: str) -> None:
    with proxy.connect(source=new_source()) as connection:
        answer = connection.ask(sasl(b"PLAIN", PLAIN_MESSAGES[name]))
        assert answer.status == AUTH_ERROR, f"{answer}\n{connection}"
        assert connection.ask(packet(packets.NOOP)).status == AUTH_ERROR


TOKENS = {
    "a wrong password": (b"sammy wrong", FAILURE),
    "an unknown name": (b"nobody-knows correct horse", FAILURE),
    "no space": b"sammycorrecthorse",
    "an empty password": b"sammy ",
    "an empty name": b" correct horse",
    "nothing": b"",
    "invalid UTF-8": b"sam\xffmy correct horse",
    "NUL instead of the space": b"sammy\0correct horse",
}


@pytest.mark.parametrize("name", TOKENS)
def test_tokens_that_are_refused(proxy: Proxy, tap: Tap, name: str) -> None:
    given = TOKENS[name]
    value, expected = given if isinstance(given, tuple) else (given, CLIENT_ERROR)
    with proxy.connect(source=new_source()) as connection:
        connection.send(b"set _ 0 0 %d\r\n%s\r\nget app:a\r\n" % (len(value), value))
        answer = connection.line()
        assert answer == expected if isinstance(expected, bytes) else answer.startswith(expected.start), str(connection)
        assert connection.line().startswith(UNAUTHENTICATED.start), str(connection)
    assert tap.recording.requests() == []


@pytest.mark.parametrize("binary", [False, True])
def test_one_failure_too_many_closes_and_slows_that_address_alone(proxy: Proxy, binary: bool) -> None:
    source, elsewhere = new_source(), new_source()
    attempt = plain("sammy", "wrong") if binary else token("sammy", "wrong")
    with proxy.connect(source=source) as connection:
        for _ in range(50):
            connection.send(attempt)
            answer = connection.receive(24) if binary else connection.line()
            if not answer:
                break
            if binary:
                assert answer[6:8] == b"\0\x20", str(connection)
                connection.receive(int.from_bytes(answer[8:12], "big"))
            else:
                assert answer == FAILURE, str(connection)
        else:
            pytest.fail("50 failures on one connection, and it is still open")
    for _ in range(10):  # whatever it takes until the address is slowed
        started = time.monotonic()
        with proxy.connect(source=source) as connection:
            connection.send(attempt)
            connection.receive(1)
        if time.monotonic() - started > 0.5:
            break
    else:
        pytest.fail("an address that keeps failing is not slowed")
    started = time.monotonic()
    proxy.logged_in("sammy", source=elsewhere)
    assert time.monotonic() - started < 0.5


def test_no_password_and_no_unknown_name_in_the_log(proxy: Proxy) -> None:
    name = "Tr0ub4dor-typed-as-a-name"
    with proxy.connect(source=new_source()) as connection:
        connection.send(token("sammy", "Wr0ng-passw0rd"))
        assert connection.line() == FAILURE
        connection.send(token(name, "x"))
        assert connection.line() == FAILURE
    log = "\n".join(proxy.log)
    for secret in (*PASSWORDS.values(), "Wr0ng-passw0rd", name):
        assert secret not in log
    assert '"unknown"' in log


def guess(proxy: Proxy, user: str, source: str) -> None:
    """One wrong password, told or refused."""
    with proxy.connect(source=source) as connection:
        connection.send(token(user, "wrong"))
        assert connection.line() == FAILURE, str(connection)


def seconds_to_log_in(proxy: Proxy, user: str, source: str) -> float:
    started = time.monotonic()
    proxy.logged_in(user, source=source)
    return time.monotonic() - started


def test_guesses_of_a_neighbour_do_not_slow_who_was_here_before(proxy: Proxy) -> None:
    source = new_source()
    seconds_to_log_in(proxy, "sammy", source)
    for _ in range(6):  # from the fifth on the address has to wait for a slot
        guess(proxy, "reader", source)
    assert seconds_to_log_in(proxy, "sammy", source) < 0.5


def test_guesses_from_everywhere_do_not_slow_an_owner_at_a_new_address(proxy: Proxy) -> None:
    guessers = [new_source() for _ in range(24)]
    for source in guessers:
        guess(proxy, "watcher", source)
    guess(proxy, "watcher", guessers[0])
    throttled = {"listener": "plain", "source": guessers[0], "reason": "too many failed logins"}
    eventually("the name's own slots are taken", lambda: proxy.log_contains("login_failed", **throttled))
    assert seconds_to_log_in(proxy, "watcher", new_source()) < 0.5
