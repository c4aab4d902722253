"""What means one thing to every memcached goes up in the one spelling of the canonical grammar."""

import pytest

from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

BODY = b"version\r\n"


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (b"  get   a  b ", b"get a b"),
        (b"gat 060 a", b"gat 60 a"),
        (b"gats -0 a", b"gats 0 a"),
        (b"gat -4294967295 a b", b"gat -1 a b"),
        (b"touch a -5", b"touch a -1"),
        (b"touch a 007 noreply", b"touch a 7"),
        (b"incr a 0010", b"incr a 10"),
        (b"decr a 00", b"decr a 0"),
        (b"incr a 0018446744073709551615", b"incr a 18446744073709551615"),
        (b"delete a 0", b"delete a"),
        (b"delete a 0 noreply", b"delete a"),
        (b"flush_all 0 noreply", b"flush_all"),
        (b"version 7 of 9", b"version"),
        (b"mn  k", b"mn"),
        (b"mg  a  v", b"mg a v"),
        (b"mg a q v", b"mg a v"),
        (b"mg a N-7 T0060 R-0 v", b"mg a N-1 T60 R0 v"),
        (b"ma a D007 J00 C010", b"ma a D7 J0 C10"),
        (b"md a T30", b"md a"),
        (b"md a T30 I", b"md a T30 I"),
        (b"me a", b"me a"),
        (b"me Zm9v b", b"me foo"),
    ],
)
def test_a_line(written, sent):
    outcome = play_every_way(text(), written + b"\r\nmn\r\n")
    assert (outcome.upstream, outcome.refusals, outcome.end) == (sent + b"\r\nmn\r\n", [], "open")
    assert outcome.received.endswith(b"MN\r\n")


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (b"set a 007 -9 7", b"set a 7 -1 7"),
        (b"add a 00 -00 7 noreply", b"add a 0 0 7"),
        (b"cas a 01 060 7 0099", b"cas a 1 60 7 99"),
        (b"ms a 7 F007 T-2 q", b"ms a 7 F7 T-1"),
        (b"ms a 7 I", b"ms a 7"),
        (b"ms a 7 I C05", b"ms a 7 I C5"),
        (b"ms  a  7  MA", b"ms a 7 MA"),
    ],
)
def test_a_line_with_a_block(written, sent):
    outcome = play_every_way(text(), written + b"\r\n" + BODY + b"mn\r\n")
    assert (outcome.upstream, outcome.refusals) == (sent + b"\r\n" + BODY + b"mn\r\n", [])


@pytest.mark.parametrize("length", [b"07", b"+7", b"-7", b"00"])
@pytest.mark.parametrize("line", [b"set a 0 0 %s", b"cas a 0 0 %s 1", b"ms a %s", b"ms a %s q"])
def test_the_length_of_a_block_is_never_respelled(line, length):
    outcome = play_every_way(text(), line % length + b"\r\n" + BODY)
    assert (outcome.upstream, outcome.end) == (b"", "closed")
    assert outcome.received == b"CLIENT_ERROR bad command line format\r\n"
