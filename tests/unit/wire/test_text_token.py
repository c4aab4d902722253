"""The login token, sent again by a client that is logged in already: answered, and never stored (case 40)."""

import pytest

from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

TOKEN = b"sammy secret"
READER = ("read", ("app:*",))
WRITER = ("write", ("*",))


@pytest.mark.parametrize(
    "role", [("*", ("*",)), WRITER, READER, ("read", ())], ids=["all", "writer", "reader", "nothing"]
)
@pytest.mark.parametrize(
    "line",
    [
        b"set k 0 0 12",
        b"set _ _ _ 12",
        b"set x 0 0 12 noreply",
        b"set  auth auth 0 12",
        b"set " + b"k" * 251 + b" -9 x 12",
    ],
)
def test_the_token_is_answered_and_goes_nowhere(role, line):
    frame = line + b"\r\n" + TOKEN + b"\r\n"
    outcome = play_every_way(text(role, token=TOKEN), frame + b"mn\r\n" + frame)
    assert outcome.upstream == b"mn\r\n"
    assert outcome.received == b"STORED\r\nMN\r\nSTORED\r\n"
    assert (outcome.end, outcome.refusals) == ("open", [])


@pytest.mark.parametrize("value", [b"sammy Secret", b"sammy secre", b"sammy secret2", b"SAMMY SECRET", b"\0" * 12])
def test_another_value_is_stored(value):
    frame = b"set k 0 0 %d\r\n%s\r\n" % (len(value), value)
    assert play_every_way(text(WRITER, token=TOKEN), frame).upstream == frame
    outcome = play_every_way(text(READER, token=TOKEN), frame + b"mn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"CLIENT_ERROR access denied\r\nMN\r\n")


def test_only_set_is_a_login():
    frame = b"add k 0 0 12\r\n" + TOKEN + b"\r\n"
    assert play_every_way(text(WRITER, token=TOKEN), frame).upstream == frame


@pytest.mark.parametrize(
    "line", [b"set _ _ _ 12 junk more", b"set k 0 0 11", b"set k 0 0 10", b"set k 0 0 -1", b"set _ _ 12"]
)
def test_a_token_in_a_wrong_frame_is_no_token(line):
    outcome = play_every_way(text(READER, token=TOKEN), line + b"\r\n" + TOKEN + b"\r\n")
    assert outcome.upstream == b""
    assert outcome.end == "closed"
    assert b"STORED" not in outcome.received


@pytest.mark.parametrize("token", [None, b"", TOKEN])
@pytest.mark.parametrize("line", [b"set k 0 0 -1", b"set k 0 0 -1 noreply", b"set x y z -1", b"set k 0 0 -2"])
def test_a_negative_length_is_refused_at_once(token, line):
    """Without waiting for a byte that may never come."""
    outcome = play_every_way(text(token=token), line + b"\r\n")
    assert (outcome.received, outcome.end) == (b"CLIENT_ERROR bad command line format\r\n", "closed")
    outcome = play_every_way(text(token=token), line + b"\r\n" + b"\r\nmn\r\n")
    assert (outcome.received, outcome.end) == (b"CLIENT_ERROR bad command line format\r\n", "closed")


def test_without_a_token_nothing_is_one():
    frame = b"set k 0 0 0\r\n\r\n"
    assert play_every_way(text(WRITER), frame).upstream == frame
    outcome = play_every_way(text(READER), b"set _ _ _ 0\r\n\r\nmn\r\n")
    assert outcome.received == b"CLIENT_ERROR bad command line format\r\nMN\r\n"


@pytest.mark.parametrize("role", [("*", ("*",)), WRITER, READER], ids=["all", "writer", "reader"])
@pytest.mark.parametrize(
    "line", [b"ms k 12", b"ms _ 12 q", b"ms  x  12 T5 O1", b"ms " + b"k" * 251 + b" 12", b"ms Zm8 12 b", b"ms x 12 ??"]
)
def test_the_token_by_a_meta_command(role, line):
    """Whichever command it came with at the login."""
    frame = line + b"\r\n" + TOKEN + b"\r\n"
    outcome = play_every_way(text(role, token=TOKEN), frame + b"mn\r\n" + frame)
    assert outcome.upstream == b"mn\r\n"
    assert outcome.received == b"HD\r\nMN\r\nHD\r\n"
    assert (outcome.end, outcome.refusals) == ("open", [])


@pytest.mark.parametrize("value", [b"sammy Secret", b"sammy secre", b"sammy secret2"])
def test_another_value_by_a_meta_command_is_stored(value):
    frame = b"ms k %d\r\n%s\r\n" % (len(value), value)
    assert play_every_way(text(WRITER, token=TOKEN), frame).upstream == frame
    outcome = play_every_way(text(READER, token=TOKEN), frame + b"mn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", b"CLIENT_ERROR access denied\r\nMN\r\n")


@pytest.mark.parametrize("line", [b"ms k", b"ms k S12", b"ms k 012", b"ms k 11", b"mg k 12"])
def test_a_token_in_a_wrong_meta_frame_is_no_token(line):
    outcome = play_every_way(text(WRITER, token=TOKEN), line + b"\r\n" + TOKEN + b"\r\n")
    assert TOKEN not in outcome.upstream
    assert b"HD" not in outcome.received
