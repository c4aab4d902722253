"""Commands without a key: who may send which line, how it may be spelled, and what it is answered where it is wrong."""

import pytest

from mcproxy.policy.grants import CLASSES
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Request
from tests.unit.wire.administering import ERROR, LINES, MISTAKES, NEVER, OURS, SPELLED
from tests.unit.wire.driving import Collector, play_every_way
from tests.unit.wire.granting import text

DENIED = b"CLIENT_ERROR access denied\r\n"
READS_NOREPLY = (b"flush_all", b"verbosity", b"cache_memlimit", b"lru ", b"slabs automove")


def answer(data: bytes) -> bytes:
    """A reply that each line can have."""
    replies = {b"mn": b"MN\r\n", b"version": b"VERSION 1\r\n", b"shutdown": b"ERROR: shutdown not enabled\r\n"}
    return b"".join(replies.get(line.split()[0], b"OK\r\n") for line in data.split(b"\r\n")[:-1])


def asked(line: bytes, *roles: tuple[str, tuple[str, ...]]) -> object:
    """What a parser makes of a line."""
    return text(*roles)(Collector()).next(line + b"\r\n", 0, 10)


def only(command_class: str):
    """Makes parsers for somebody who has this class, and nothing else."""
    return text((command_class, ("*",))) if command_class else text(("read", ("nothing",)))


def all_but(command_class: str):
    return text((" ".join(sorted(CLASSES - {command_class})), ("*",)))


@pytest.mark.parametrize("line", LINES, ids=bytes.decode)
def test_a_line_goes_up_as_it_is_for_who_has_its_class(line):
    frame = line + b"\r\n"
    outcome = play_every_way(only(LINES[line]), frame, answer=answer)
    assert outcome.upstream == frame
    assert outcome.received == answer(frame)
    assert (outcome.refusals, outcome.end) == ([], "open")


@pytest.mark.parametrize("line", [line for line in LINES if LINES[line]], ids=bytes.decode)
def test_a_line_is_denied_to_who_has_every_other_class(line):
    outcome = play_every_way(all_but(LINES[line]), line + b"\r\nmn\r\n", answer=answer)
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", DENIED + b"MN\r\n")
    assert (outcome.refusals, outcome.end) == ([("denied", LINES[line])], "open")


@pytest.mark.parametrize("line", [line for line in LINES if LINES[line]], ids=bytes.decode)
def test_a_request_is_counted_under_its_class(line):
    request = asked(line)
    assert isinstance(request, Request)
    assert request.count == LINES[line]
    assert (request.cost, request.lookups) == (1, 0)
    private = line.startswith((b"stats", b"watch", b"shutdown", b"refresh_certs", b"lru_crawler metadump"))
    assert request.private is private
    assert not request.endless


@pytest.mark.parametrize("line", SPELLED, ids=bytes.decode)
def test_other_spellings_of_the_same(line):
    request = asked(line)
    assert isinstance(request, Request)
    assert request.upstream == SPELLED[line] + b"\r\n"
    if command_class := LINES[SPELLED[line]]:
        reply = b"" if line.endswith(b"noreply") else DENIED
        assert asked(line, ("read", ("*",))) == Refusal(reply, "denied", denied=command_class)


@pytest.mark.parametrize("line", [b"flush_all", b"verbosity 1", b"cache_memlimit 64"])
def test_noreply_is_taken_off_and_the_reply_dropped(line):
    outcome = play_every_way(text(), line + b" noreply\r\nmn\r\n", answer=answer)
    assert (outcome.upstream, outcome.received) == (line + b"\r\nmn\r\n", b"MN\r\n")


@pytest.mark.parametrize("line", MISTAKES | OURS, ids=bytes.decode)
def test_a_mistake_has_one_answer_and_who_may_not_is_told_that(line):
    command_class, reply = (MISTAKES | OURS)[line]
    outcome = play_every_way(only(command_class), line + b"\r\nmn\r\n", answer=answer)
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", reply + b"MN\r\n")
    assert (outcome.refusals, outcome.end) == ([("malformed", "")], "open")
    silent = line.endswith(b"noreply") and line.startswith(READS_NOREPLY)
    assert asked(line, ("read", ("*",))) == Refusal(b"" if silent else DENIED, "denied", denied=command_class)


@pytest.mark.parametrize("line", NEVER, ids=bytes.decode)
@pytest.mark.parametrize("make_parser", [text(), text(("read", ("*",)))], ids=["everything", "read"])
def test_what_nobody_may(line, make_parser):
    outcome = play_every_way(make_parser, line + b"\r\nmn\r\n", answer=answer)
    assert (outcome.upstream, outcome.received, outcome.end) == (b"mn\r\n", ERROR + b"MN\r\n", "open")
    assert outcome.refusals == [("unknown command", "")]


def damaged(line: bytes) -> set[bytes]:
    """Each word of a line cut short, made longer, left out or doubled; a word more."""
    words = line.split(b" ")
    lines = {line + b" x", line + b" 0", line + b"\0", line + b"\t", line + b","}
    for index, word in enumerate(words):
        for other in ([word[:-1]], [word + b"x"], [word + b"0"], [], [word, word], [word.upper()], [b"-" + word]):
            lines.add(b" ".join(words[:index] + other + words[index + 1 :]))
    return lines


@pytest.mark.parametrize("line", [line for line in LINES if line not in (b"version", b"mn")], ids=bytes.decode)
def test_nothing_that_is_merely_like_a_line_goes_up(line):
    """Newer memcacheds match prefixes of these words, older ones ignore what follows them."""
    canonical = {known + b"\r\n" for known in LINES}
    numbers = (b"verbosity ", b"cache_memlimit ", b"lru t", b"slabs ", b"lru_crawler ", b"stats cachedump ", b"watch ")
    for other in damaged(line):
        outcome = asked(other)
        if isinstance(outcome, Request):
            assert outcome.upstream in canonical or outcome.upstream.startswith(numbers), other
            # Another line of the table, or one of its numbers with a digit more or less.
            words, before = outcome.upstream.split(), line.split()
            assert [word for word in words if word.isalpha() and word not in before] == [], other


def test_a_line_that_is_granted_is_granted_whatever_else_is():
    """Grants are asked for each line alone: inspect does not open admin, nor admin inspect."""
    for command_class in ("stats", "inspect", "admin", "flush"):
        granted = {line for line in LINES if isinstance(asked(line, (command_class, ("*",))), Request)}
        assert granted == {line for line in LINES if LINES[line] in ("", command_class)}
