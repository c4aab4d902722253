"""`sasl` in a text session: another login, never a command for memcached; and its data block is no commands either."""

import pytest

from mcproxy.wire.pipelining import one_at_a_time
from tests.support.conversation import shown
from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

READER = ("read", ("app:*",))
MESSAGE = b"\0sammy\0secret"


def offered(*roles):
    return text(*roles, mechanisms=b"SCRAM-SHA-256 PLAIN")


def auth(line=b"sasl auth PLAIN %d", data=MESSAGE):
    return line % len(data) + b"\r\n" + data + b"\r\n"


@pytest.mark.parametrize("role", [("*", ("*",)), READER])
@pytest.mark.parametrize(
    "frame",
    [
        auth(),
        auth(b"sasl auth %d"),
        auth(b" sasl  auth  PLAIN %d "),
        auth(b"sasl auth PLAIN %d more words"),
        b"sasl auth\r\n",
        b"sasl auth PLAIN -5\r\n",
        b"sasl auth PLAIN 4294967303\r\n",
    ],
    ids=shown,
)
def test_auth_goes_back_to_the_login_with_all_that_follows(role, frame):
    outcome = play_every_way(offered(role), b"mn\r\n" + frame + b"flush_all\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"MN\r\n")
    assert (outcome.end, outcome.refusals) == ("log in again", [])


def test_mech_lists_the_same_as_before_the_login():
    outcome = play_every_way(offered(READER), b"sasl mech\r\nmn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"SASL_MECH SCRAM-SHA-256 PLAIN\r\nMN\r\n")
    assert outcome.refusals == []


@pytest.mark.parametrize("line", [b"sasl", b"sasl mech all", b"sasl MECH", b"sasl list", b"sasl step 5"], ids=shown)
def test_other_lines_are_refused(line):
    outcome = play_every_way(offered(), line + b"\r\nmn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"CLIENT_ERROR bad command line format\r\nMN\r\n")
    without = play_every_way(text(), line + b"\r\nmn\r\n")
    assert (without.upstream, without.received) == (b"mn\r\n", b"ERROR\r\nMN\r\n")


@pytest.mark.parametrize("data", [MESSAGE, b"", b"flush_all\r\nversion"], ids=shown)
@pytest.mark.parametrize("line", [b"sasl auth PLAIN %d", b"sasl auth %d"], ids=shown)
def test_where_it_is_not_offered_the_block_goes_with_its_line(line, data):
    outcome = play_every_way(text(), auth(line, data) + b"mn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"ERROR\r\nMN\r\n")
    assert outcome.refusals == [("unknown command", "")]


@pytest.mark.parametrize("line", [b"sasl auth", b"sasl auth PLAIN", b"sasl auth PLAIN 012", b"sasl auth A 5 noreply"])
def test_where_it_is_not_offered_a_block_of_unknown_length_closes(line):
    outcome = play_every_way(text(), line + b"\r\nflush_all\r\n")
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", b"ERROR\r\n", "closed")


def test_a_block_that_does_not_end_where_it_says_closes():
    outcome = play_every_way(text(), b"sasl auth PLAIN 5\r\n\0sammy\0secret\r\nflush_all\r\n")
    assert (outcome.upstream, outcome.end) == (b"", "closed")


@pytest.mark.parametrize("make", [offered(), text()])
def test_one_command_at_a_time(make):
    outcome = play_every_way(lambda sink: one_at_a_time(make(sink), sink), auth())
    assert (outcome.upstream, outcome.received) in ((b"", b""), (b"", b"ERROR\r\n"))
    assert outcome.end in ("log in again", "open")


def test_words_that_only_begin_so():
    for line in (b"saslx auth PLAIN 5", b"SASL auth PLAIN 5", b"sas"):
        outcome = play_every_way(offered(), line + b"\r\nmn\r\n")
        assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"ERROR\r\nMN\r\n")
