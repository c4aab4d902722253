"""What is checked although it cannot be otherwise: a fault elsewhere must not let anything through."""

import re

import pytest

from mcproxy.wire import text_refusals
from mcproxy.wire.multiget import CutRetrieval
from mcproxy.wire.outcome import Pending, Refusal
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import LIMITS, ruleset, text_rules


@pytest.mark.parametrize("line", [b"get a b", b"get a\n", b"get a\r"])
def test_a_pattern_that_matches_too_much_lets_no_unfinished_line_through(line):
    """Python 3.11.2 over-matches possessive groups."""
    rules = TextRules(ruleset(("read", ("*",))), LIMITS)
    rules.match = re.compile(rb"(get [^x]*)").match
    rules.forms = {1: text_rules().forms[1]}
    outcome = TextParser(rules, Collector()).next(line, 0, 10)
    assert outcome is Pending.INCOMPLETE or (isinstance(outcome, Refusal) and outcome.close)


def test_a_piece_of_a_retrieval_is_vetted_again():
    cut = CutRetrieval(text_rules((("read", ("app:*",)),)), Collector(), b"get", [b"app:a", b"x:b"] * 100, 0)
    outcome = cut.next_piece(10)
    assert isinstance(outcome, Refusal) and outcome.close and cut.finished


def test_a_storage_command_that_nothing_is_wrong_with_is_refused_all_the_same():
    refusal = text_refusals.refuse([b"set", b"a", b"0", b"0", b"1"], text_rules())
    assert refusal.close and refusal.reply == b"ERROR\r\n"
