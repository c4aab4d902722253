"""The corpus of tests/corpus, by the parsers alone: whole, byte by byte and cut in two everywhere, with one outcome.

What upstream answers is made up here; tests/integration/test_conformance.py asks a real memcached.
"""

from functools import cache

import pytest

from mcproxy.wire.binary import BinaryParser
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.text import TextParser
from tests.support import corpus, packets
from tests.support.corpus import Case
from tests.unit.wire.answering import CAS, frames_of, response
from tests.unit.wire.answering import answer as answer_to_the_rest
from tests.unit.wire.driving import MakeParser, play_every_way
from tests.unit.wire.granting import binary_rules, text_rules

pytestmark = pytest.mark.thorough

LIMITS = WireLimits(value=corpus.VALUE_LIMIT, keys=corpus.KEYS_LIMIT)
IN_STEP = {
    False: (b"mn\r\n", b"MN\r\n"),
    True: (
        packets.packet(packets.NOOP, opaque=packets.IN_STEP),
        response(packets.NOOP, packets.IN_STEP, cas=CAS),
    ),
}
"""What follows every frame that leaves the connection in step, and its answer."""

ADMINISTRATION = {
    "lru": b"OK\r\n",
    "slabs": b"OK\r\n",
    "lru_crawler": b"OK\r\n",
    "lru_crawler metadump": b"END\r\n",
    "cache_memlimit": b"OK\r\n",
    "refresh_certs": b"Error TLS not enabled\r\n",
    "shutdown": b"ERROR: shutdown not enabled\r\n",
    "watch": b"OK\r\n",
}
"""A reply to each verb that answering.py has none for."""

FEW = 300
"""Bytes; longer conversations are cut in two at the beginning, at the end and at some places between."""


@cache
def parser(role: str, listener: str, binary: bool) -> MakeParser:
    """Makes parsers for somebody with this role of the corpus."""
    settings = corpus.roles()[role]
    classes = " ".join(settings["commands"])
    roles = ((classes, tuple(settings["keys"])),)
    if binary:
        packet_rules = binary_rules(roles, LIMITS)
        return lambda sink: BinaryParser(packet_rules, sink)
    line_rules = text_rules(roles, LIMITS)
    digest = corpus.LISTENERS[listener].get("overlong_keys") == "digest"
    return lambda sink: TextParser(line_rules, sink, digest_overlong_keys=digest)


def places(size: int, ends_with: int) -> list[int] | None:
    """Where to cut a long conversation in two; None for everywhere."""
    if size <= FEW:
        return None
    return sorted({*range(1, 60), *range(60, size - ends_with - 30, size // 20), *range(size - ends_with - 30, size)})


def answer(data: bytes) -> bytes:
    """What upstream says; nothing but canonical requests may have come there. Raises NotCanonical."""
    words = data.split(b"\r\n")[0].decode("latin-1").split(" ")
    if words[0] not in ADMINISTRATION:
        return answer_to_the_rest(data)
    (_,) = frames_of(data)
    return ADMINISTRATION.get(" ".join(words[:2]), ADMINISTRATION[words[0]])


@pytest.mark.parametrize("rule", corpus.rules())
def test_conformance(rule: str) -> None:
    for case in corpus.rules()[rule]:
        check(case)


def check(case: Case) -> None:
    """Hold the conversation in every way, and compare what becomes of it. Raises AssertionError."""
    last, answer_to_last = IN_STEP[case.binary] if case.end == "open" else (b"", b"")
    sent = case.sent + last
    make_parser = parser(case.role, case.listener, case.binary)
    outcome = play_every_way(make_parser, sent, answer=answer, splits=places(len(sent), len(last)))
    upstream = corpus.without_opaques(outcome.upstream) if case.binary else outcome.upstream
    assert upstream == case.upstream + (corpus.without_opaques(last) if case.binary else last), case
    assert outcome.received.endswith(answer_to_last), case
    if not case.upstream:
        received = outcome.received.removesuffix(answer_to_last)
        assert case.reply.fullmatch(received), f"{case}: {received!r} is not {case.reply.pattern!r}"
    assert outcome.end == ("open" if case.end == "endless" else case.end), case
    denied = [command_class for _, command_class in outcome.refusals if command_class]
    assert denied == case.lacks.split(), case
