"""The text protocol before login: cases 28, 29, 30, 35 and 40, each under every split."""

import pytest

from mcproxy.auth.login_text import TextLogin as Login
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Close
from tests.support.conversation import shown

from .holding import hold, lookup

NO_SASL = Offer([], Channel(True), lookup)

STORED = b"STORED\r\n"
UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"
FAILURE = b"CLIENT_ERROR authentication failure\r\n"
BAD_TOKEN = b"CLIENT_ERROR bad authentication token format\r\n"


def TextLogin(**more):
    return Login(NO_SASL, **more)


def login(body=b"sammy secret", line=b"set auth 0 0 %d\r\n"):
    return line % len(body) + body + b"\r\n"


@pytest.mark.parametrize(
    "line",
    [b"set auth 0 0 %d\r\n", b"set _ x never %d\r\n", b"set a\x01b -1 9e9 %d noreply\r\n", b" set  a b  c %d \r\n"],
)
def test_a_login_is_answered_and_what_follows_is_left_over(line):
    outcome = hold(TextLogin, login(line=line) + b"get a\r\nget b")
    assert outcome.replies == [STORED]
    assert outcome.attempts == [("sammy", "secret", "token")]
    assert outcome.logged_in.principal == Principal("user", "sammy")
    assert outcome.logged_in.name == "sammy"
    assert outcome.logged_in.leftover == b"get a\r\nget b"
    assert outcome.logged_in.token == b"sammy secret"


def test_a_token_sent_twice_at_once_is_left_to_the_session():
    outcome = hold(TextLogin, login() + login())
    assert outcome.replies == [STORED]
    assert outcome.logged_in.leftover == login()


def test_the_password_may_hold_spaces_and_line_ends_do_not_end_it():
    assert hold(TextLogin, login(b"spaces two words")).logged_in.token == b"spaces two words"
    assert hold(TextLogin, login(b"sammy sec\r\nret")).attempts == [("sammy", "sec\r\nret", "token")]


def test_a_name_is_prepared():
    outcome = hold(TextLogin, login("jose\u0301 contraseña".encode()))
    assert outcome.logged_in.name == "josé"


def test_a_failure_and_then_a_login():
    outcome = hold(TextLogin, login(b"sammy wrong") + login(b"nobody secret") + login() + b"mn\r\n")
    assert outcome.replies == [FAILURE, FAILURE, STORED]
    assert outcome.logged_in.leftover == b"mn\r\n"
    assert outcome.refusals == []


@pytest.mark.parametrize(("allowed", "bad"), [(1, b"sammy no"), (3, b"sammy no"), (5, b"nobody x"), (3, b"malformed")])
def test_one_failure_too_many_closes(allowed, bad):
    outcome = hold(lambda: TextLogin(failures=allowed), login(bad) * (allowed + 2) + login())
    assert outcome.replies == [BAD_TOKEN if bad == b"malformed" else FAILURE] * allowed
    assert outcome.end == Close("too many failed logins")


@pytest.mark.parametrize(
    "body", [b"", b"sammy", b"sammy ", b" secret", b" ", b"sammy \xff", b"sammy\xff secret", b"s " + b"x" * 1030]
)
def test_malformed_tokens_are_refused_without_an_attempt(body):
    outcome = hold(TextLogin, login(body) + login())
    assert outcome.replies == [BAD_TOKEN, STORED]
    assert outcome.attempts == [("sammy", "secret", "token")]


@pytest.mark.parametrize(
    "line",
    [
        b"get a",
        b"gets a b c",
        b"gat 0 a",
        b"gats 0 a",
        b"incr a 1",
        b"decr a 1",
        b"delete a",
        b"delete a noreply",
        b"touch a 0",
        b"flush_all",
        b"flush_all noreply",
        b"version",
        b"verbosity 1",
        b"stats",
        b"stats settings",
        b"mn",
        b"mg a v",
        b"md a",
        b"ma a",
        b"me a",
        b"watch",
        b"shutdown",
        b"lru_crawler metadump all",
        b"quit now",
        b"QUIT",
        b"bogus",
        b"SET auth 0 0 12",
        b"get HTTP/1.1",
        b"",
        b"   ",
        b"\x00\xff\x00",
        b"get a\x00b",
    ],
    ids=shown,
)
def test_any_other_line_is_refused_once_and_the_login_still_works(line):
    outcome = hold(TextLogin, line + b"\r\n" + login())
    assert outcome.replies == [UNAUTHENTICATED, STORED]
    assert outcome.refusals == ["a command before login"]


@pytest.mark.parametrize(
    "line",
    [
        b"add k 0 0 %d",
        b"replace k 0 0 %d",
        b"append k 0 0 %d",
        b"prepend k 0 0 %d noreply",
        b"cas k 0 0 %d 7",
        b"cas k 0 0 %d 7 noreply",
        b"set k 0 0 %d noreply 1",
        b"set k 0 0 %d 1",
        b"add " + b"k" * 300 + b" 0 0 %d",
    ],
    ids=shown,
)
@pytest.mark.parametrize("block", [b"hello", b"", b"version\r\nquit\r\n", b"sammy secret"], ids=shown)
def test_a_refused_block_goes_with_its_line(line, block):
    outcome = hold(TextLogin, login(block, line + b"\r\n") + login())
    assert outcome.replies == [UNAUTHENTICATED, STORED]


def test_without_the_token_method_a_token_is_an_ordinary_command():
    outcome = hold(lambda: TextLogin(token=False), login() + login(b"hello") + b"get a\r\n")
    assert outcome.replies == [UNAUTHENTICATED] * 3
    assert outcome.attempts == []
    assert outcome.end is None


@pytest.mark.parametrize(
    "line",
    [
        b"set x 0 0 2147483646",
        b"set x 0 0 4097",
        b"set x 0 0 99999999999",
        b"set x 0 0 -1",
        b"set x 0 0 +12",
        b"set x 0 0 012",
        b"set x 0 0 0x7",
        b"set x 0 0 12x",
        b"set x 0 0 1\x002",
        b"set x 0 0",
        b"set",
        b"add k 0 0 1073741824",
        b"cas k 0 0 ",
        b"ms k",
        b"ms k S5",
        b"ms k 4294967303",
    ],
    ids=shown,
)
def test_a_block_of_unknown_or_unreasonable_length_closes_at_once(line):
    outcome = hold(TextLogin, line + b"\r\nsammy secret\r\n" + login())
    assert outcome.replies == [UNAUTHENTICATED]
    assert outcome.end == Close("a data block of unknown or unreasonable length")


def test_the_longest_block_that_is_taken_along():
    assert hold(TextLogin, login(b"x" * 4096, b"add k 0 0 %d\r\n") + login()).replies == [UNAUTHENTICATED, STORED]


@pytest.mark.parametrize("line", [b"set x 0 0 12\r\n", b"add x 0 0 12\r\n"])
@pytest.mark.parametrize("behind", [b"XX", b"\nX", b" s", b"\r\r"])
def test_a_block_that_does_not_end_where_it_says_closes(line, behind):
    outcome = hold(TextLogin, line + b"sammy secret" + behind + login())
    assert outcome.replies == [b"CLIENT_ERROR bad command line termination\r\n"]
    assert outcome.closed
    assert outcome.attempts == []


@pytest.mark.parametrize("line", [b"\n", b"get a\n", b"set x 0 0 12\n", b"quit\n"])
def test_a_bare_line_feed_closes(line):
    outcome = hold(TextLogin, line + b"sammy secret\r\n" + login())
    assert outcome.replies == [b"CLIENT_ERROR line must end in \\r\\n\r\n"]
    assert outcome.closed


@pytest.mark.parametrize(
    "sent", [b"x" * 2048, b"x" * 3000, b"get" + b" key" * 600 + b"\r\n", b" " * 3000 + b"\r\n", b"x" * 2047 + b"\r\n"]
)
def test_a_line_too_long_closes(sent):
    outcome = hold(TextLogin, sent)
    assert outcome.replies == [b"CLIENT_ERROR line too long\r\n"]
    assert outcome.closed


def test_the_longest_line():
    outcome = hold(TextLogin, b"x" * 2046 + b"\r\n")
    assert outcome.replies == [UNAUTHENTICATED]
    assert outcome.end is None
    assert hold(TextLogin, b"x" * 2047).end is None


def test_quit_closes_without_a_word():
    outcome = hold(TextLogin, b"quit\r\n" + login())
    assert outcome.replies == []
    assert outcome.end == Close("the client quit before login")


def test_http_gets_nothing():
    outcome = hold(TextLogin, b"POST / HTTP/1.1\r\nHost: cache\r\n\r\n" + login())
    assert outcome.replies == []
    assert outcome.end == Close("an HTTP request")


@pytest.mark.parametrize("frame", [b"\r\n", b"get a\r\n", login(b"hello", b"add k 0 0 %d\r\n")], ids=shown)
def test_refused_frames_are_bounded(frame):
    outcome = hold(TextLogin, frame * 300) if len(frame) < 8 else hold(TextLogin, frame * 260)
    assert outcome.closed
    assert 7168 < len(outcome.sent) <= 8192
    assert set(outcome.replies) == {UNAUTHENTICATED}


def test_the_steps_hide_what_they_carry():
    conversation = TextLogin()
    conversation.feed(login(b"sammy hunter2") + b"set k 0 0 5\r\nvalue\r\n")
    attempt = conversation.next()
    conversation.answer(True)
    said = repr([attempt, conversation.next(), conversation.next()])
    assert "hunter2" not in said
    assert "value" not in said
    assert "STORED" in said


def test_misuse_is_an_error():
    conversation = TextLogin()
    with pytest.raises(RuntimeError):
        conversation.answer(True)
    conversation.feed(login())
    conversation.next()
    conversation.answer(True)
    with pytest.raises(RuntimeError):
        conversation.answer(True)
    with pytest.raises(RuntimeError):
        conversation.feed(b"more")
    with pytest.raises(ValueError, match="failure"):
        TextLogin(failures=0)
