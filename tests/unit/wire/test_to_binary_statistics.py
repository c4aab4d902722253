"""`stats` over STAT."""

import pytest

from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import Answer, failed, said, translated

LAST = Answer()
IMPOSSIBLE = "a reply that STAT cannot have"
DUMP = b"stats detail dump\r\n"
PREFIXES = b"PREFIX app get 2 hit 1 set 0 del 0\r\nPREFIX b get 1 hit 1 set 0 del 0\r\nEND\r\n"


def stat(name: bytes, value: bytes) -> Answer:
    """One of them."""
    return Answer(0, value, key=name)


def everything_said(text: bytes, *answers: Answer) -> bytes:
    """What a client gets to one packet that is answered by many."""
    reading = said(text, *answers)
    assert (reading.lost, reading.waiting) == ("", 0)
    return reading.received


@pytest.mark.parametrize("words", [b"", b" items", b" slabs", b" sizes", b" settings"])
def test_lines(words: bytes) -> None:
    text = b"stats%b\r\n" % words
    reading = everything_said(text, stat(b"pid", b"1"), stat(b"a:b", b"two words"), stat(b"empty", b""), LAST)
    assert reading == b"STAT pid 1\r\nSTAT a:b two words\r\nSTAT empty\r\nEND\r\n"
    assert everything_said(text, LAST) == b"END\r\n"


@pytest.mark.parametrize(
    ("words", "line"), [(b"reset", b"RESET\r\n"), (b"detail on", b"OK\r\n"), (b"detail off", b"OK\r\n")]
)
def test_commands_among_them(words: bytes, line: bytes) -> None:
    text = b"stats %b\r\n" % words
    assert everything_said(text, LAST) == line
    assert said(text, stat(b"pid", b"1"), LAST).lost == IMPOSSIBLE


def test_the_dump_of_details() -> None:
    assert everything_said(DUMP, stat(b"detailed", PREFIXES), LAST) == PREFIXES
    assert everything_said(DUMP, stat(b"detailed", b"END\r\n"), LAST) == b"END\r\n"
    long = b"PREFIX p get 2 hit 1 set 0 del 0\r\n" * 1000 + b"END\r\n"
    reading = said(DUMP, stat(b"detailed", long), LAST, every_way=False)
    assert reading.received == long


@pytest.mark.parametrize(
    "answers",
    [
        [LAST],
        [stat(b"detailed", PREFIXES + PREFIXES)],
        [stat(b"detailed", PREFIXES[:-5])],
        [stat(b"detailed", PREFIXES), stat(b"detailed", PREFIXES)],
        [stat(b"detailed", PREFIXES), Answer(value=b"x")],
        [stat(b"other", PREFIXES)],
    ],
)
def test_dumps_that_cannot_be(answers: list[Answer]) -> None:
    """A prefix that holds a line end among them."""
    reading = said(DUMP, *answers, every_way=False)
    assert (reading.lost, reading.received) == (IMPOSSIBLE, b"SERVER_ERROR lost\r\n")


@pytest.mark.parametrize(("length", "fits"), [(2**20, True), (2**20 + 1, False)])
def test_the_longest_dump(length: int, fits: bool) -> None:
    prefixes = b"PREFIX " + b"x" * 1015 + b"\r\n"
    rest = length - len(b"detailed") - len(b"END\r\n") - 1023 * 1024 - len(b"PREFIX \r\n")
    dump = prefixes * 1023 + b"PREFIX " + b"y" * rest + b"\r\nEND\r\n"
    assert len(b"detailed" + dump) == length
    reading = said(DUMP, stat(b"detailed", dump), LAST, every_way=False)
    assert reading.lost == ("" if fits else "statistics that are too long")
    assert reading.received == (dump if fits else b"SERVER_ERROR the statistics are too long\r\n")


@pytest.mark.parametrize(
    "wrong",
    [
        Answer(magic=0x80),
        Answer(opcode=0x0A),
        Answer(opaque=5),
        Answer(extras=b"\0\0\0\0"),
        Answer(value=b"words without a name"),
        stat(b"a", b"line\r\nend"),
        stat(b"a", b"x" * 4096),
    ],
)
def test_faults(wrong: Answer) -> None:
    assert said(b"stats\r\n", stat(b"pid", b"1"), wrong, every_way=False).lost == IMPOSSIBLE
    assert said(b"stats\r\n", wrong).received == b"SERVER_ERROR lost\r\n"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (Answer(1, b"Not found"), b"ERROR\r\n"),
        (Answer(0x24, b"access denied"), b"CLIENT_ERROR access denied\r\n"),
        (Answer(0x86, b"upstream timed out"), b"SERVER_ERROR upstream timed out\r\n"),
    ],
)
def test_errors(answer: Answer, line: bytes) -> None:
    assert everything_said(b"stats sizes\r\n", answer) == line


def test_a_login_that_is_wanted() -> None:
    assert said(b"stats\r\n", Answer(0x20, b"Auth failure.")).lost == "upstream asks for a login"
    assert said(b"stats\r\n", Answer(0x99)).lost == "a reply that the operation cannot have"


def test_a_lost_link() -> None:
    assert failed(b"stats\r\n", b"").received == b"SERVER_ERROR lost\r\n"


def test_it_needs_a_link_of_its_own() -> None:
    (request,) = translated(Collector(), b"stats\r\n")
    assert request.private
    assert request.count == "stats"
