"""`stats` as packets: one for each line, and one without a key at the end."""

import pytest

from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import response
from tests.unit.wire.driving import LOST, Collector, Link
from tests.unit.wire.reading import read, read_every_way
from tests.unit.wire.translating import asking

OPAQUE = 0xC11E


def stat(name: bytes = b"", value: bytes = b"", status: int = 0) -> bytes:
    return response(packets.STAT, OPAQUE, status, key=name, value=value)


def ask(key: bytes = b""):
    return asking(packet(packets.STAT, key, opaque=OPAQUE))


@pytest.mark.parametrize("key", [b"", b"items", b"slabs", b"sizes", b"settings"])
def test_lines(key):
    lines = [(b"pid", b"1"), (b"rusage", b"0.1 of 2"), (b"empty", b""), (b"k" * 250, b"v" * 200), (b"none", b"")]
    text = b"".join(b"STAT %s %s\r\n" % line for line in lines[:-1]) + b"STAT none\r\nEND\r\n"
    reading = read_every_way(ask(key), text)
    assert reading.received == b"".join(stat(*line) for line in lines) + stat()
    assert (reading.lost, reading.waiting) == ("", 0)
    assert read_every_way(ask(key), b"END\r\n").received == stat()


@pytest.mark.parametrize(
    ("key", "last"), [(b"reset", b"RESET\r\n"), (b"detail on", b"OK\r\n"), (b"detail off", b"OK\r\n")]
)
def test_what_has_one_line(key, last):
    assert read_every_way(ask(key), last).received == stat()
    for other in {b"RESET\r\n", b"OK\r\n", b"END\r\n"} - {last}:
        assert read_every_way(ask(key), other).lost


def test_a_dump_is_one_packet():
    """With its END, as memcached has it."""
    lines = b"PREFIX a get 1 hit 0 set 0 del 0\r\nPREFIX b get 1 hit 1 set 0 del 0\r\nEND\r\n"
    for text in (lines, b"END\r\n"):
        reading = read_every_way(ask(b"detail dump"), text)
        assert (reading.received, reading.lost) == (stat(b"detailed", text) + stat(), "")
    assert read_every_way(ask(b"detail dump"), b"STAT a 1\r\nEND\r\n").lost
    assert read_every_way(ask(), b"PREFIX a get 1 hit 0 set 0 del 0\r\nEND\r\n").lost


def test_the_longest_dump():
    line = b"PREFIX " + b"x" * 1015 + b"\r\n"
    assert len(line) == 1024
    for count, lost in ((1023, ""), (1024, "statistics that are too long")):
        reading = read(ask(b"detail dump"), line * count + b"END\r\n")
        assert reading.lost == lost
        if lost:
            assert reading.received == stat(value=b"the statistics are too long", status=0x86)
        else:
            assert len(reading.received) == 24 + 8 + 1024 * 1023 + 5 + 24


@pytest.mark.parametrize("key", [b"", b"reset", b"detail dump"])
def test_errors(key):
    for line, status, words in (
        (b"ERROR\r\n", 1, b"Not found"),
        (b"CLIENT_ERROR access denied\r\n", 0x24, b"access denied"),
        (b"CLIENT_ERROR stats detail not allowed\r\n", 0x24, b"stats detail not allowed"),
        (b"SERVER_ERROR upstream is unavailable\r\n", 0x86, b"upstream is unavailable"),
    ):
        reading = read_every_way(ask(key), line)
        assert (reading.received, reading.lost, reading.waiting) == (stat(value=words, status=status), "", 0)


@pytest.mark.parametrize(
    "text",
    [
        b"STAT \r\n",
        b"STAT  1\r\n",
        b"STAT " + b"k" * 251 + b" 1\r\n",
        b"STAT k " + b"v" * 2001 + b"\r\n",
        b"stat k v\r\n",
        b"STAT k\rk v\r\n",
        b"STAT k v\rv\r\n",
        b"RESET\r\n",
        b"END\r\nEND\r\n",
        b"SERVER_ERROR out of memory writing get response\r\n",
        b"x" * 2049,
    ],
)
def test_what_statistics_cannot_have(text):
    reading = read_every_way(ask(), text) if len(text) < 300 else read(ask(), text)
    assert reading.lost


@pytest.mark.parametrize(
    ("key", "text", "received"),
    [
        (b"", b"STAT k " + b"v" * 2000 + b"\r\n", stat(b"k", b"v" * 2000) + stat()),
        (b"detail dump", b"PREFIX \r\n", stat(b"detailed", b"PREFIX \r\nEND\r\n") + stat()),
        (
            b"detail dump",
            b"PREFIX " + b"x" * 2000 + b"\r\n",
            stat(b"detailed", b"PREFIX " + b"x" * 2000 + b"\r\nEND\r\n") + stat(),
        ),
    ],
)
def test_the_longest_lines(key, text, received):
    reading = read(ask(key), text + b"END\r\n")
    assert (reading.received, reading.lost) == (received, "")


@pytest.mark.parametrize("words", [b"", b" ~", b"x" * 256])
def test_words_of_errors(words):
    reading = read(ask(), b"CLIENT_ERROR " + words + b"\r\n")
    assert (reading.received, reading.lost) == (stat(value=words, status=0x24), "")


@pytest.mark.parametrize("words", [b"\x1f", b"\x7f", b"x" * 257])
def test_what_are_no_words_of_errors(words):
    assert read(ask(), b"CLIENT_ERROR " + words + b"\r\n").lost


@pytest.mark.parametrize(
    "text",
    [b"PREFIX " + b"x" * 2001 + b"\r\n", b"PREFIX a\rb\r\n", b"PREFIX a\n", b"STAT a 1\r\n"],
)
def test_what_a_dump_cannot_have(text):
    assert read(ask(b"detail dump"), text + b"END\r\n").lost


def test_statistics_that_break_off_end_in_an_error():
    text = b"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\n"
    for length in range(len(text)):
        sink, link = Collector(), Link()
        link.waiting.extend(ask()(sink))
        link.receive(text[:length])
        link.close("gone")
        whole = [stat(b"pid", b"1"), stat(b"version", b"1.6.18")][: text[:length].count(b"\n")]
        assert sink.received == b"".join(whole) + stat(value=LOST, status=0x86)
