"""Meta commands over binary: statuses, flags in the order asked, what q hides, and what no reply may be."""

import pytest

from mcproxy.wire.requests import STREAM_FROM
from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import Answer, asking, failed, faults, gets, hit, miss, number, said, stream
from tests.unit.wire.reading import read

NON_NUMERIC = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
NO_MEMORY = b"SERVER_ERROR out of memory storing object\r\n"
OUT_OF_MEMORY = b"SERVER_ERROR out of memory\r\n"
LARGE = b"END\r\n" * (STREAM_FROM // 4)
STORED = Answer(cas=12)

GETS = [
    (b"mg k\r\n", hit(b"k", b"value"), b"HD\r\n"),
    (b"mg k v\r\n", hit(b"k", b"value"), b"VA 5\r\nvalue\r\n"),
    (b"mg k v\r\n", hit(b"k", b""), b"VA 0\r\n\r\n"),
    (b"mg k s v f O12 k c\r\n", hit(b"k", b"value"), b"VA 5 s5 f7 O12 kk c99\r\nvalue\r\n"),
    (b"mg k c k s f Oq T30\r\n", hit(b"k", b"value", 0xFFFFFFFF, 2**64 - 1), b"HD c%d kk s5 f4294967295 Oq\r\n"),
    (b"mg Zm9v k b O1 v\r\n", hit(b"foo", b"x"), b"VA 1 kZm9v b O1\r\nx\r\n"),
    (b"mg k\r\n", miss(b"k"), b"EN\r\n"),
    (b"mg k v s c f O1 k\r\n", miss(b"k"), b"EN O1 kk\r\n"),
    (b"mg Zm9v b k O1\r\n", miss(b"foo"), b"EN kZm9v b O1\r\n"),
    (b"mg k q O1\r\n", hit(b"k", b"x"), b"HD O1\r\n"),
    (b"mg k q v\r\n", hit(b"k", b"x"), b"VA 1\r\nx\r\n"),
    (b"mg k q O1 k\r\n", miss(b"k"), b""),
]
STORES = [
    (b"ms k 1\r\nx\r\n", {0: b"HD", 3: TOO_LARGE, 0x82: NO_MEMORY}),
    (b"ms k 1 ME k\r\nx\r\n", {0: b"HD kk", 2: b"NS kk", 3: TOO_LARGE, 0x82: NO_MEMORY}),
    (b"ms k 1 MR O1 c\r\nx\r\n", {0: b"HD O1 c12", 1: b"NS O1 c0"}),
    (b"ms k 1 MA c s\r\nx\r\n", {0: b"HD c12", 5: b"NS c0", 2: b"EX c0", 3: TOO_LARGE}),
    (b"ms Zm9v 1 MP k b\r\nx\r\n", {0: b"HD kZm9v b", 5: b"NS kZm9v b"}),
    (b"ms k 1 C5 k c O1\r\nx\r\n", {0: b"HD kk c12 O1", 1: b"NF kk c0 O1", 2: b"EX kk c0 O1"}),
    (b"ms k 1 C5 MR\r\nx\r\n", {0: b"HD", 1: b"NF", 2: b"EX"}),
    (b"ms k 1 C5 ME\r\nx\r\n", {0: b"HD", 2: b"NS"}),
    (b"ms k 1 q k\r\nx\r\n", {0: b"", 3: TOO_LARGE}),
    (b"ms k 1 q ME k\r\nx\r\n", {0: b"", 2: b"NS kk"}),
    (b"md k\r\n", {0: b"HD", 1: b"NF", 2: b"EX"}),
    (b"md k O1 k C5\r\n", {0: b"HD O1 kk", 1: b"NF O1 kk", 2: b"EX O1 kk"}),
    (b"md Zm9v q b k\r\n", {0: b"", 1: b"NF kZm9v b"}),
]
COUNTERS = [
    (b"ma k\r\n", b"HD"),
    (b"ma k v\r\n", b"VA 3\r\n120"),
    (b"ma k c O1 v k\r\n", b"VA 3 c12 O1 kk\r\n120"),
    (b"ma Zm9v b k c MD\r\n", b"HD kZm9v b c12"),
    (b"ma k q v\r\n", b""),
    (b"ma k q\r\n", b""),
]


@pytest.mark.parametrize(("text", "answer", "expected"), GETS)
def test_mg(text: bytes, answer: Answer, expected: bytes) -> None:
    assert gets(text, answer) == (expected % (2**64 - 1) if b"%d" in expected else expected)


@pytest.mark.parametrize(
    ("text", "status", "line"), [(text, status, line) for text, words in STORES for status, line in words.items()]
)
def test_ms_and_md(text: bytes, status: int, line: bytes) -> None:
    expected = line + b"\r\n" if line and not line.endswith(b"\n") else line
    assert gets(text, Answer(status, b"Words." if status else b"", cas=0 if status else 12)) == expected


@pytest.mark.parametrize("text", [text for text, _ in STORES])
def test_statuses_that_cannot_be(text: bytes) -> None:
    possible = next(words for known, words in STORES if known == text)
    for status in {1, 2, 5, 6, 0x81} - set(possible):
        reading = said(text, Answer(status), every_way=False)
        if reading.lost:
            assert reading.received == b"SERVER_ERROR lost\r\n"
        else:
            # As another spelling of the same command has it.
            assert status in {1, 2, 5} - ({1, 5} if b"ME" in text else set())
    assert said(text, Answer(value=b"x"), every_way=False).lost == "a reply that the operation cannot have"


@pytest.mark.parametrize(("text", "line"), COUNTERS)
def test_ma(text: bytes, line: bytes) -> None:
    assert gets(text, number(120, cas=12)) == (line + b"\r\n" if line else b"")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (1, b"NF O1 kk\r\n"),
        (2, b"EX O1 kk\r\n"),
        (5, b"NS O1 kk\r\n"),
        (6, NON_NUMERIC),
        (0x82, OUT_OF_MEMORY),
        (0x24, b"CLIENT_ERROR access denied\r\n"),
        (0x86, b"SERVER_ERROR words\r\n"),
    ],
)
def test_ma_without_success(status: int, line: bytes) -> None:
    """None of them is hidden by q; c and the value belong to a success."""
    assert gets(b"ma k O1 c v k q\r\n", Answer(status, b"words")) == line


@pytest.mark.parametrize("value", [0, 2**64 - 1])
def test_extreme_numbers(value: int) -> None:
    text = b"%d" % value
    assert gets(b"ma k v\r\n", number(value)) == b"VA %d\r\n%b\r\n" % (len(text), text)


@pytest.mark.parametrize("text", [b"mg k q\r\n", b"ms k 1 q\r\nx\r\n", b"md k q\r\n"])
def test_a_guard_that_denies_or_has_lost_its_upstream(text: bytes) -> None:
    assert gets(text, Answer(0x24, b"no")) == b"CLIENT_ERROR access denied\r\n"
    assert gets(text, Answer(0x86, b"upstream timed out")) == b"SERVER_ERROR upstream timed out\r\n"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (b"mg k v\r\n", hit(b"k", b"x")),
        (b"mg k v T5\r\n", miss(b"k")),
        (b"ms k 1\r\nx\r\n", STORED),
        (b"md k\r\n", STORED),
        (b"ma k q\r\n", number(4)),
    ],
)
def test_faults(text: bytes, right: Answer) -> None:
    faults(text, right)


def test_not_under_another_name() -> None:
    for wrong in (hit(b"j", b"x"), miss(b"j")):
        assert said(b"mg k v\r\n", wrong).lost == "a reply about another key"


def test_a_number_has_eight_bytes() -> None:
    for length in (0, 7, 9):
        assert said(b"ma k v\r\n", Answer(value=b"x" * length)).lost == "a reply that the operation cannot have"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"mg k v s\r\n", b"VA %d s%d\r\n%b\r\n" % (len(LARGE), len(LARGE), LARGE)),
        (b"mg k s\r\n", b"HD s%d\r\n" % len(LARGE)),
    ],
)
def test_large_values(text: bytes, expected: bytes) -> None:
    data = stream(text, hit(b"k", LARGE))
    for positions in [*([cut] for cut in range(1, len(data), 97)), [len(data) - 1], range(1, len(data), 97)]:
        reading = read(asking(text), data, positions)
        assert (reading.received, reading.lost, reading.waiting, reading.hits) == (expected, "", 0, 1)


def test_a_large_value_is_passed_on_as_it_comes() -> None:
    sink = Collector()
    (request,) = asking(b"mg k v\r\n")(sink)
    data = stream(b"mg k v\r\n", hit(b"k", LARGE))
    assert request.take(data[:-9], 0) == len(data) - 9
    assert sink.received == b"VA %d\r\n%b" % (len(LARGE), LARGE[:-9])
    assert sink.largest_value == len(LARGE)


def test_a_lost_link() -> None:
    error = b"SERVER_ERROR lost\r\n"
    assert failed(b"mg k q\r\nms k 1 q\r\nx\r\nmd k q\r\nma k q\r\n", b"").received == error * 4
    sink = failed(b"mg k v\r\n", stream(b"mg k v\r\n", hit(b"k", LARGE))[:-1])
    assert sink.was_cut_short
    # Nobody was to see the value.
    sink = failed(b"mg k s\r\n", stream(b"mg k s\r\n", hit(b"k", LARGE))[:-1])
    assert (sink.was_cut_short, sink.received) == (False, error)


def test_what_is_counted() -> None:
    sink = Collector()
    get, store, delete, count = asking(b"mg k\r\nms k 1\r\nx\r\nmd k\r\nma k\r\n")(sink)
    assert [request.count for request in (get, store, delete, count)] == ["read", "write", "delete", "counter"]
    assert [request.lookups for request in (get, store, delete, count)] == [1, 0, 0, 0]
    assert all(request.cost == request.packets() == 1 and request.upstream == b"" for request in (get, store, delete))
