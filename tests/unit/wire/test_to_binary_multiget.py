"""Retrievals that are cut on their way up: one answer, one END, one error, whatever they are cut into."""

import pytest

from mcproxy.wire.requests import STREAM_FROM
from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import (
    Answer,
    asking,
    failed,
    gets,
    hit,
    miss,
    packets_of,
    said,
    stream,
    translated,
)
from tests.unit.wire.reading import read_every_way

ROOM = 2
TEXT = b"get a b c d e\r\n"
DENIAL = Answer(0x24, b"access denied")
DENIED = b"CLIENT_ERROR access denied\r\n"
LARGE = b"y" * (STREAM_FROM + 1000)
LONG = b"k" * 300


def value(key: bytes, data: bytes = b"x") -> bytes:
    """A VALUE block."""
    return b"VALUE %b 7 %d\r\n%b\r\n" % (key, len(data), data)


def test_one_end() -> None:
    answers = [hit(b"a", b"x"), miss(b"b"), hit(b"c", b"x"), hit(b"d", b"x"), miss(b"e")]
    reading = said(TEXT, *answers, room=ROOM)
    assert (reading.lost, reading.hits) == ("", 3)
    assert reading.received == value(b"a") + value(b"c") + value(b"d") + b"END\r\n"


@pytest.mark.parametrize("place", range(5))
def test_one_denial(place: int) -> None:
    """Pieces before it may have been delivered; nothing comes behind it."""
    keys = [b"a", b"b", b"c", b"d", b"e"]
    answers = [DENIAL if index == place else hit(key, b"x") for index, key in enumerate(keys)]
    delivered = b"".join(value(key) for key in keys[: place // ROOM * ROOM])
    assert said(TEXT, *answers, room=ROOM).received == delivered + DENIED
    assert said(TEXT, *answers[:place], *[DENIAL] * 5, room=ROOM).received == delivered + DENIED


def test_large_values_behind_a_denial() -> None:
    answers = [DENIAL, miss(b"b"), hit(b"c", LARGE), miss(b"d"), hit(b"e", LARGE)]
    data = stream(TEXT, *answers, room=ROOM)
    for cut in (30, 100, 10_000, len(data) - 1):
        assert failed(TEXT, data[:cut], room=ROOM).received in (DENIED, b"SERVER_ERROR lost\r\n")
    assert failed(TEXT, data, room=ROOM).received == DENIED


def test_a_lost_link() -> None:
    data = stream(TEXT, hit(b"a", b"x"), hit(b"b", b"x"), hit(b"c", LARGE), room=ROOM)
    before = value(b"a") + value(b"b")
    assert failed(TEXT, b"", room=ROOM).received == b"SERVER_ERROR lost\r\n"
    sink = failed(TEXT, data, room=ROOM)
    assert (sink.received, sink.was_cut_short) == (before + value(b"c", LARGE) + b"SERVER_ERROR lost\r\n", False)
    sink = failed(TEXT, data[:-1], room=ROOM)
    assert sink.was_cut_short
    assert sink.received.startswith(before + b"VALUE c 7 ")


def test_nothing_more_goes_up_behind_an_error() -> None:
    sink = Collector()
    pieces = asking(TEXT, room=ROOM)(sink)
    pieces[0].fail(b"lost")
    pieces[1].fail(b"lost")
    assert sink.received == b"SERVER_ERROR lost\r\n"


def test_names_of_overlong_keys() -> None:
    """The value comes back under the client's name for it."""
    text = b"get a %b b\r\n" % LONG
    sent = packets_of(text, overlong=True)
    name = sent[1][24:]
    assert len(name) <= 250
    answers = [hit(b"a", b"x"), hit(name, b"x"), miss(b"b")]
    assert gets(text, *answers, overlong=True) == value(b"a") + value(LONG) + b"END\r\n"
    assert gets(text, miss(b"a"), miss(name), miss(b"b"), overlong=True) == b"END\r\n"
    large = [miss(b"a"), hit(name, LARGE), miss(b"b")]
    reading = said(text, *large, every_way=False, overlong=True)
    assert reading.received == value(LONG, LARGE) + b"END\r\n"


def test_other_commands_with_overlong_keys() -> None:
    text = b"mg %b k v\r\n" % LONG
    (sent,) = packets_of(text, overlong=True)
    name = sent[24:]
    data = hit(name, b"x").to(sent)
    assert read_every_way(asking(text, overlong=True), data).received == b"VA 1 k%b\r\nx\r\n" % LONG
    assert len(translated(Collector(), text, overlong=True)) == 1
