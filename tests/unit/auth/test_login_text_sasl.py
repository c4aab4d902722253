"""What only the text protocol has: the spelling of `sasl`, and the token login by `ms` (cases 28 to 30 and 36)."""

import pytest

from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.steps import Close
from tests.support.conversation import shown

from .holding import hold, lookup, offer

UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"
BAD_FORMAT = b"CLIENT_ERROR bad command line format\r\n"
FAILED = b"AUTH_ERROR\r\n"
GOOD = b"\0sammy\0secret"


def begin():
    return TextLogin(offer("PLAIN"))


def without_sasl():
    return TextLogin(Offer([], Channel(True), lookup))


def auth(data=GOOD, name=b"PLAIN "):
    return b"sasl auth %s%d\r\n%s\r\n" % (name, len(data), data)


def ms(body=b"sammy secret", line=b"ms _ %d\r\n"):
    return line % len(body) + body + b"\r\n"


def test_plain():
    outcome = hold(begin, b"sasl mech\r\n" + auth() + b"get a\r\n")
    assert outcome.replies == [b"SASL_MECH PLAIN\r\n", b"SASL_OK\r\n"]
    assert outcome.attempts == [("sammy", "secret", "PLAIN")]
    assert (outcome.logged_in.name, outcome.logged_in.leftover) == ("sammy", b"get a\r\n")
    assert hold(begin, auth(b"", b"plain ") + auth(name=b"")).replies == [b"SASL_CONTINUE 0\r\n\r\n", b"SASL_OK\r\n"]


def test_a_wrong_password_and_then_the_right_one():
    outcome = hold(begin, auth(b"\0sammy\0no") + auth(b"\0nobody\0x") + auth())
    assert outcome.replies == [FAILED, FAILED, b"SASL_OK\r\n"]
    assert hold(begin, auth(b"\0sammy\0no") * 4).end == Close("too many failed logins")


@pytest.mark.parametrize(
    "data", [b"", b"sammy\0secret", b"\0a\0b\0c", b"root\0sammy\0secret", b"\0sammy\0", b"\0s\0\xff"]
)
def test_messages_that_are_refused_without_an_attempt(data):
    outcome = hold(begin, auth(b"") + auth(data, b""))
    assert outcome.replies == [b"SASL_CONTINUE 0\r\n\r\n", FAILED]
    assert outcome.attempts == []


@pytest.mark.parametrize("frame", [auth(name=b""), auth(name=b"SCRAM-SHA-256 "), auth(name=b"x" * 100 + b" ")])
def test_no_exchange(frame):
    outcome = hold(begin, frame * 4 + auth())
    assert outcome.replies == [FAILED] * 4 + [b"SASL_OK\r\n"], "these are no guesses"


@pytest.mark.parametrize("line", [b"sasl", b"sasl mech all", b"sasl MECH", b"sasl list", b"sasl step 5"], ids=shown)
def test_other_lines(line):
    assert hold(begin, line + b"\r\n" + auth()).replies == [BAD_FORMAT, b"SASL_OK\r\n"]
    assert hold(without_sasl, line + b"\r\n").replies == [UNAUTHENTICATED]


@pytest.mark.parametrize(
    "length",
    [b"-1", b"+5", b"05", b"0x5", b"5x", b"4097", b"2147483646", b"4294967301", b"PLAIN", b"", b"PLAIN 5 noreply"],
)
@pytest.mark.parametrize("start", [begin, without_sasl])
def test_a_block_of_unknown_or_unreasonable_length_closes_at_once(length, start):
    outcome = hold(start, b"sasl auth " + length + b"\r\nversion\r\n" + auth())
    assert outcome.replies in ([UNAUTHENTICATED], [BAD_FORMAT])
    assert outcome.closed


def test_a_block_that_does_not_end_where_it_says_closes():
    outcome = hold(begin, b"sasl auth PLAIN 5\r\n\0sammy\0secret\r\n" + auth())
    assert outcome.replies == [b"CLIENT_ERROR bad command line termination\r\n"]
    assert outcome.closed


def test_without_sasl_the_block_goes_with_its_line():
    outcome = hold(without_sasl, b"sasl mech\r\n" + auth() + auth(b"quit\r\nmn", b"") + ms())
    assert outcome.replies == [UNAUTHENTICATED] * 3 + [b"HD\r\n"]
    assert outcome.attempts == [("sammy", "secret", "token")]


@pytest.mark.parametrize(
    "line", [b"ms _ %d\r\n", b"ms a\x01b %d T0 F5 k\r\n", b" ms  x  %d q O123 \r\n", b"ms _ %d q\r\n"]
)
def test_a_token_by_a_meta_command(line):
    outcome = hold(begin, ms(line=line) + b"mn\r\n")
    assert outcome.replies == [b"HD\r\n"]
    assert outcome.attempts == [("sammy", "secret", "token")]
    assert (outcome.logged_in.leftover, outcome.logged_in.token) == (b"mn\r\n", b"sammy secret")
    assert outcome.logged_in.mechanism == "token"


@pytest.mark.parametrize("line", [b"ms _ %d\r\n", b"ms _ %d q\r\n"])
def test_failures_by_a_meta_command_show_even_when_quiet(line):
    outcome = hold(begin, ms(b"sammy no", line) + ms(b"sammy", line) + ms(line=line))
    failure = b"CLIENT_ERROR authentication failure\r\n"
    assert outcome.replies == [failure, b"CLIENT_ERROR bad authentication token format\r\n", b"HD\r\n"]


def test_without_the_token_method_a_meta_token_is_an_ordinary_command():
    outcome = hold(lambda: TextLogin(offer("PLAIN"), token=False), ms() + auth())
    assert outcome.replies == [UNAUTHENTICATED, b"SASL_OK\r\n"]
    assert outcome.attempts == [("sammy", "secret", "PLAIN")]


@pytest.mark.parametrize("frame", [b"sasl mech\r\n", b"sasl\r\n", auth(b""), auth(name=b"")])
def test_frames_before_login_are_bounded(frame):
    outcome = hold(begin, frame * 600)
    assert outcome.end == Close("too many frames before login")
    assert len(outcome.sent) <= 8192
