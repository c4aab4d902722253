"""`mcproxy acl` and the corpus: what the parser makes of each text case is what the command says of it."""

from functools import cache

import pytest

from mcproxy.cli.acl.grounds import Grounds
from mcproxy.cli.acl.judging import Circumstances, frames
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.text_rules import TextRules
from mcproxy.wire.to_binary import to_binary
from tests.support import corpus
from tests.support.corpus import Case
from tests.support.verbs import VERBS, Verb
from tests.unit.wire.granting import EVERYTHING, text_rules

LIMITS = WireLimits(value=corpus.VALUE_LIMIT, keys=corpus.KEYS_LIMIT)
TEXT = {
    rule: whole
    for rule, cases in corpus.rules().items()
    if (whole := [case for case in cases if not case.binary and case.end != "unfinished"])
}
"""Without those that are not whole: a line end, or a data block, that is missing is put there."""


@cache
def rules(role: str) -> TextRules:
    settings = corpus.roles()[role]
    return text_rules(((" ".join(settings["commands"]), tuple(settings["keys"])),), LIMITS)


def check(case: Case) -> None:
    digest = corpus.LISTENERS[case.listener].get("overlong_keys") == "digest"
    found = list(frames(case.sent, rules(case.role), Circumstances(digest_overlong_keys=digest)))
    denied = [frame.refusal.denied for frame in found if frame.refusal is not None and frame.refusal.denied]
    assert denied == case.lacks.split(), case
    assert any(frame.closes for frame in found) == (case.end == "closed"), case
    assert b"".join(request.upstream for frame in found for request in frame.upstream) == case.upstream, case
    if not case.upstream and all(frame.allowed for frame in found):
        assert case.reply.fullmatch(b"".join(frame.answer for frame in found)), case


@pytest.mark.parametrize("rule", TEXT)
def test_the_verdict_is_the_one_of_the_corpus(rule: str) -> None:
    for case in TEXT[rule]:
        check(case)


@pytest.fixture(scope="module")
def grounds() -> Grounds:
    return Grounds(LIMITS, Circumstances())


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_what_a_command_needs(grounds: Grounds, verb: Verb) -> None:
    for line in verb.text(b"app:1"):
        assert grounds.needs(line) == (sorted(verb.classes), [b"app:1"] if verb.keyed else []), line


@pytest.mark.parametrize(
    "line", [b"set k 0 0 5", b"set k 0 0 5\r\n", b"set k 0 0 5\r\nvalue", b"set k 0 0 0", b"ms k 5"]
)
def test_what_is_missing_at_the_end_is_put_there(line: bytes) -> None:
    (frame,) = frames(line, text_rules(EVERYTHING), Circumstances())
    assert frame.allowed
    assert frame.line == line.split(b"\r\n")[0]


def test_a_data_block_that_is_too_short_is_not_made_up() -> None:
    (frame,) = frames(b"set k 0 0 9\r\nval\r\n", text_rules(EVERYTHING), Circumstances())
    assert (frame.allowed, frame.missing) == (False, 6)


def test_frames_behind_each_other() -> None:
    everything = text_rules(EVERYTHING)
    first, second = frames(b"get a\r\nget b\r\nset c 0 0 1\r\nx\r\n", everything, Circumstances())
    assert (first.line, second.line) == (b"get a\r\nget b", b"set c 0 0 1")
    alone = list(frames(b"get a\r\nget b\r\n", everything, Circumstances(refuse_pipelining=True)))
    assert [(frame.line, frame.allowed) for frame in alone] == [(b"get a", True), (b"get b", False)]
    (silent,) = frames(b"set c 0 0 1 noreply", everything, Circumstances(refuse_pipelining=True))
    assert silent.refusal is not None and silent.refusal.reason == "pipelining"


def test_what_upstream_has_no_words_for() -> None:
    (frame,) = frames(b"cache_memlimit 64", text_rules(EVERYTHING), Circumstances(translate=to_binary))
    assert frame.refusal is not None
    assert (frame.refusal.reason, frame.refusal.denied) == ("not translatable", "")


def test_many_keys_are_one_frame() -> None:
    keys = [b"key:%d" % number for number in range(150)]
    everything = text_rules(EVERYTHING, LIMITS)
    (frame,) = frames(b"get " + b" ".join(keys), everything, Circumstances())
    assert (frame.allowed, len(frame.upstream)) == (True, 2)
    assert Grounds(LIMITS, Circumstances()).needs(frame.line) == (["read"], keys)
