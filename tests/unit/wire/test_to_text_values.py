"""Values in text as packets: the key that was asked, flags and cas, and large ones as they come."""

import pytest

from mcproxy.wire.requests import STREAM_FROM
from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import response
from tests.unit.wire.driving import LOST, Collector, Link
from tests.unit.wire.reading import read, read_every_way
from tests.unit.wire.test_binary_frames import LOOKUPS, QUIET, request
from tests.unit.wire.translating import asking

OPAQUE = 0xC11E
HITS = sorted([*LOOKUPS, packets.TOUCH, *(quiet for quiet, loud in QUIET.items() if loud in LOOKUPS)])
NAMING = {packets.GETK, packets.GATK, packets.GETKQ, packets.GATKQ}
FOREIGN = "a value under a key that was not asked for"
IMPOSSIBLE = "a reply that the command cannot have"
OVERLONG = "a value that is longer than its length, or that isn't the only one"
LARGE = b"END\r\n" + bytes(range(256)) * 64 + b"\r\nEND\r\n"


def asked(opcode: int) -> bytes:
    return request(opcode, opaque=OPAQUE)


def text(value: bytes, key: bytes = b"b", flags: int = 7, cas: int = 9) -> bytes:
    return b"VALUE %s %d %d %d\r\n%s\r\nEND\r\n" % (key, flags, len(value), cas, value)


def hit(opcode: int, value: bytes, flags: int = 7, cas: int = 9) -> bytes:
    key = b"b" if opcode in NAMING else b""
    shown = b"" if opcode == packets.TOUCH else value
    return response(opcode, OPAQUE, 0, flags.to_bytes(4, "big"), key, shown, cas=cas)


def error(opcode: int) -> bytes:
    return response(opcode, OPAQUE, 0x86, value=LOST)


@pytest.mark.parametrize("opcode", HITS, ids=hex)
def test_hits(opcode):
    for value in (b"", b"v", b"END\r\n", b"\r\nEND\r\nVALUE b 0 1 1\r\nx\r\n", bytes(range(256))):
        reading = read_every_way(asking(asked(opcode)), text(value))
        assert (reading.received, reading.lost, reading.waiting) == (hit(opcode, value), "", 0)
        assert reading.hits == (0 if opcode == packets.TOUCH else 1)
    reading = read_every_way(asking(asked(opcode)), text(b"v", flags=2**32 - 1, cas=2**64 - 1))
    assert reading.received == hit(opcode, b"v", 2**32 - 1, 2**64 - 1)


@pytest.mark.parametrize("opcode", HITS, ids=hex)
def test_misses(opcode):
    reading = read_every_way(asking(asked(opcode)), b"END\r\n")
    named = response(opcode, OPAQUE, 1, key=b"b")
    wanted = named if opcode in NAMING else response(opcode, OPAQUE, 1, value=b"Not found")
    assert reading.received == (b"" if opcode in QUIET else wanted)
    assert (reading.lost, reading.waiting, reading.hits) == ("", 0, 0)


@pytest.mark.parametrize("opcode", HITS, ids=hex)
@pytest.mark.parametrize(
    ("reply", "lost"),
    [
        (text(b"v", key=b"c"), FOREIGN),
        (text(b"v", key=b"bb"), FOREIGN),
        (b"VALUE b 7 1 9\r\nvv\r\nEND\r\n", OVERLONG),
        (b"VALUE b 7 1 9\r\nv\r\nVALUE b 7 1 9\r\nv\r\nEND\r\n", OVERLONG),
        (b"VALUE b 7 1 9\r\nv\nEND\r\n...", OVERLONG),
        (b"VALUE b 7 1\r\nv\r\nEND\r\n", IMPOSSIBLE),
        (b"VALUE b 4294967296 1 9\r\nv\r\nEND\r\n", IMPOSSIBLE),
        (b"VALUE b 7 -1 9\r\nv\r\nEND\r\n", IMPOSSIBLE),
        (b"VALUE b 7 1073741825 9\r\n", IMPOSSIBLE),
        (b"VALUE b 7 1 18446744073709551616\r\nv\r\nEND\r\n", IMPOSSIBLE),
        (b"HD\r\n", IMPOSSIBLE),
        (b"EN\r\n", IMPOSSIBLE),
        (b"END \r\n", IMPOSSIBLE),
        (b"x" * 2049, IMPOSSIBLE),
    ],
)
def test_replies_to_another_request(opcode, reply, lost):
    reading = read_every_way(asking(asked(opcode)), reply) if len(reply) < 100 else read(asking(asked(opcode)), reply)
    assert (reading.received, reading.lost, reading.was_cut_short) == (error(opcode), lost, False)


@pytest.mark.parametrize("opcode", HITS, ids=hex)
def test_a_large_value_is_passed_on_as_it_comes(opcode):
    assert len(LARGE) > STREAM_FROM
    reply = text(LARGE) + b"MN\r\n"
    make = asking(asked(opcode), packet(packets.NOOP, opaque=1))
    whole = read(make, reply)
    assert (whole.received, whole.lost) == (hit(opcode, LARGE) + response(packets.NOOP, 1), "")
    for position in [*range(1, 60), *range(60, len(reply) - 60, 211), *range(len(reply) - 60, len(reply))]:
        assert read(make, reply, [position]) == whole, position
    assert read(make, reply, range(1, len(reply))) == whole
    sink = Collector()
    link = Link()
    link.waiting.extend(make(sink))
    link.receive(reply[:5000])
    assert (b"" if opcode == packets.TOUCH else hit(opcode, LARGE)[:4000]) == sink.received[:4000]


@pytest.mark.parametrize("opcode", HITS, ids=hex)
def test_a_large_value_that_breaks_off_ends_the_connection(opcode):
    """But for TOUCH, of which nothing was delivered. Nobody is left with a packet that looks whole."""
    reply, wanted = text(LARGE), hit(opcode, LARGE)
    begins = reply.index(b"\n") + 1
    for length in [*range(60), *range(60, len(reply) - 20, 1009), *range(len(reply) - 20, len(reply))]:
        sink, link = Collector(), Link()
        link.waiting.extend(asking(asked(opcode))(sink))
        link.receive(reply[:length])
        link.close("gone")
        if length < begins or opcode == packets.TOUCH:
            assert (sink.received, sink.was_cut_short) == (error(opcode), False)
        else:
            assert sink.was_cut_short
            assert wanted.startswith(sink.received)
            assert len(sink.received) < len(wanted)


@pytest.mark.parametrize("opcode", HITS, ids=hex)
def test_a_large_value_that_does_not_end_where_it_must(opcode):
    for tail in (b"\r\nEND \n", b"x\r\nEND\r\n", b"\r\nVALUE b 7 1 9\r\nv\r\nEND\r\n"):
        reply = text(LARGE)[: -len(b"\r\nEND\r\n")] + tail
        for positions in ([], [100], [len(reply) - 12], range(1, len(reply))):
            reading = read(asking(asked(opcode)), reply, positions)
            assert reading.lost == OVERLONG
            if reading.was_cut_short:
                assert len(reading.received) < len(hit(opcode, LARGE))
            else:
                assert reading.received == error(opcode)
        assert read(asking(asked(opcode)), reply, [100]).was_cut_short is (opcode != packets.TOUCH)


def test_a_large_value_of_a_foreign_key_is_not_begun():
    for position in range(1, 60):
        reading = read(asking(asked(packets.GET)), text(LARGE, key=b"c"), [position])
        assert (reading.received, reading.lost, reading.was_cut_short) == (error(packets.GET), FOREIGN, False)


@pytest.mark.parametrize(("length", "waits"), [(STREAM_FROM, True), (STREAM_FROM + 1, False)])
def test_how_large_a_value_is_passed_on(length, waits):
    sink, link = Collector(), Link()
    link.waiting.extend(asking(asked(packets.GET))(sink))
    link.receive(text(b"v" * length)[:-1])
    assert (sink.received == b"") is waits


def test_the_size_of_values_is_learnt():
    """TOUCH's too: they are what it is answered with upstream."""
    for opcode, learnt in ((packets.GET, 100), (packets.TOUCH, 100)):
        sink = Collector()
        (made,) = asking(asked(opcode))(sink)
        made.take(text(b"v" * 100), 0)
        assert made.done
        assert sink.largest_value == learnt


def test_the_rest_of_a_large_value_may_begin_anywhere():
    sink, reply = Collector(), text(LARGE)
    (made,) = asking(asked(packets.GET))(sink)
    assert made.take(b"before" + reply[:5000], 6) == 5006
    assert made.take(b"again" + reply[5000:] + b"after", 5) == 5 + len(reply) - 5000
    assert made.done
    assert sink.received == hit(packets.GET, LARGE)
