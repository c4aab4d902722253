"""What stands behind the pattern, should it match too little or too much: a regular expression engine has done so.

Only here are rules made that contradict themselves; the patterns of the program give no occasion.
"""

import re

import pytest

from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import EVERYTHING, LIMITS, ruleset, text_rules


def with_match(pattern: bytes):
    """Makes parsers whose pattern is another one, while all else of their rules is as it should be."""
    rules = TextRules(ruleset(*EVERYTHING), LIMITS)
    rules.match = re.compile(pattern).match
    return lambda sink: TextParser(rules, sink)


@pytest.mark.parametrize("line", [b"get a", b"get a\n", b"get a b\r", b"get a\r\nset b 0 0"])
def test_a_match_without_a_line_end_is_no_request(line):
    """The first group is that of get in every ruleset which has it."""
    assert text_rules().forms[1].kind == "retrieval"
    data = line + b"\r\n"
    outcome = play_every_way(with_match(b"(" + line + b")"), data)
    assert outcome.upstream == b""
    assert outcome.refusals


@pytest.mark.parametrize("frame", [b"set a 0 0 1\r\nx\r\n", b"cas a 0 0 1 1 noreply\r\nx\r\n"])
def test_a_storage_command_that_is_sound_but_not_matched_ends_the_connection(frame):
    outcome = play_every_way(with_match(rb"(?!)"), frame + b"flush_all\r\n")
    assert (outcome.upstream, outcome.end) == (b"", "closed")


@pytest.mark.parametrize("pattern", [rb"(?!)", rb"(get a)"])
def test_a_piece_that_is_not_matched_does_not_go_up(pattern):
    keys = b" ".join(b"a%d" % number for number in range(150))
    outcome = play_every_way(with_match(pattern), b"get " + keys + b"\r\nmn\r\n", splits=[1, 5, 100])
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", b"ERROR\r\n", "closed")
    assert outcome.refusals == [("malformed", "")]
