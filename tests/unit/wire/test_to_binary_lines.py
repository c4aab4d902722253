"""Commands of one line: every status in text's own words, and those that the operation cannot have."""

import pytest

from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import Answer, asking, failed, faults, gets, number, packets_of, said

STORED, NOT_STORED, NOT_FOUND = b"STORED\r\n", b"NOT_STORED\r\n", b"NOT_FOUND\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
NO_MEMORY = b"SERVER_ERROR out of memory storing object\r\n"
NON_NUMERIC = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
OUT_OF_MEMORY = b"SERVER_ERROR out of memory\r\n"
COUNTER = {1: NOT_FOUND, 6: NON_NUMERIC, 0x82: OUT_OF_MEMORY}
STORE = {0: STORED, 3: TOO_LARGE, 0x82: NO_MEMORY}

WORDS = {
    b"set k 0 0 1\r\nx\r\n": STORE,
    b"add k 0 0 1\r\nx\r\n": STORE | {2: NOT_STORED},
    b"replace k 0 0 1\r\nx\r\n": STORE | {1: NOT_STORED},
    b"append k 0 0 1\r\nx\r\n": STORE | {5: NOT_STORED},
    b"prepend k 0 0 1\r\nx\r\n": STORE | {5: NOT_STORED},
    b"cas k 0 0 1 9\r\nx\r\n": STORE | {1: NOT_FOUND, 2: b"EXISTS\r\n"},
    b"incr k 1\r\n": COUNTER,
    b"decr k 1\r\n": COUNTER,
    b"delete k\r\n": {0: b"DELETED\r\n", 1: NOT_FOUND},
    b"touch k 1\r\n": {1: NOT_FOUND},
    b"flush_all\r\n": {0: b"OK\r\n", 0x20: b"CLIENT_ERROR flush_all not allowed\r\n"},
    b"mn\r\n": {0: b"MN\r\n"},
    b"version\r\n": {},
}
NEVER_DENIED = {b"mn\r\n", b"version\r\n"}
CASES = [(text, status, line) for text, words in WORDS.items() for status, line in words.items()]


@pytest.mark.parametrize(("text", "status", "line"), CASES)
def test_statuses_in_words(text: bytes, status: int, line: bytes) -> None:
    assert gets(text, Answer(status, b"Some words." if status else b"")) == line


@pytest.mark.parametrize(("text", "status"), [case[:2] for case in CASES if case[0] != b"mn\r\n"])
def test_noreply_hides_them_all(text: bytes, status: int) -> None:
    silent = text.replace(b"\r\n", b" noreply\r\n", 1)
    assert gets(silent + b"version\r\n", Answer(status), Answer(value=b"1.6.18")) == b"VERSION 1.6.18\r\n"


@pytest.mark.parametrize("text", WORDS)
def test_no_other_status(text: bytes) -> None:
    possible = {0x24, 0x86, 0x20, *WORDS[text]}
    for status in {0, 1, 2, 3, 4, 5, 6, 7, 0x21, 0x81, 0x82, 0x83} - possible - {0}:
        reading = said(text, Answer(status, b"Words."), every_way=False)
        assert (reading.lost, reading.received) == (
            "a reply that the operation cannot have",
            b"SERVER_ERROR lost\r\n",
        ), status


@pytest.mark.parametrize("value", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("verb", [b"incr", b"decr"])
def test_numbers(verb: bytes, value: int) -> None:
    assert gets(verb + b" k 1\r\n", number(value)) == b"%d\r\n" % value


def test_touched() -> None:
    assert gets(b"touch k 1\r\n", Answer(extras=b"\0\0\0\7")) == b"TOUCHED\r\n"
    assert said(b"touch k 1\r\n", Answer()).lost == "a reply that the operation cannot have"


def test_version() -> None:
    assert gets(b"version\r\n", Answer(value=b"1.6.18")) == b"VERSION 1.6.18\r\n"
    for value in (b"", b"1 6", b"1\r\n", b"1" * 65):
        assert said(b"version\r\n", Answer(value=value), every_way=False).lost, value


@pytest.mark.parametrize(
    ("text", "right"), [(b"set k 0 0 1\r\nx\r\n", Answer()), (b"incr k 1\r\n", number(4)), (b"mn\r\n", Answer())]
)
def test_faults(text: bytes, right: Answer) -> None:
    faults(text, right)


@pytest.mark.parametrize("text", [b"set k 0 0 1\r\nx\r\n", b"incr k 1\r\n", b"mn\r\n", b"delete k\r\n"])
def test_values_of_the_wrong_length(text: bytes) -> None:
    for length in (1, 7, 9):
        assert said(text, Answer(value=b"x" * length), every_way=False).lost == "a reply that the operation cannot have"


@pytest.mark.parametrize("text", WORDS)
def test_a_guard_that_denies_or_has_lost_its_upstream(text: bytes) -> None:
    if text in NEVER_DENIED:
        assert said(text, Answer(0x24, b"no")).lost == "a reply that the operation cannot have"
    else:
        assert gets(text, Answer(0x24, b"no")) == b"CLIENT_ERROR access denied\r\n"
    assert gets(text, Answer(0x86, b"upstream timed out")) == b"SERVER_ERROR upstream timed out\r\n"


def test_a_lost_link() -> None:
    assert failed(b"delete k\r\nset k 0 0 1 noreply\r\nx\r\nmn\r\n", b"").received == b"SERVER_ERROR lost\r\n" * 2


def test_a_value_is_not_kept_once_it_was_sent() -> None:
    (request,) = asking(b"set k 0 0 5\r\nvalue\r\n")(Collector())
    assert request.upstream == b""
    assert packets_of(b"set k 0 0 5\r\nvalue\r\n")[0].endswith(b"kvalue")
