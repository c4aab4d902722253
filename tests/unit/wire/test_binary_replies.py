"""Replies to binary packets: the opaque, opcode, status, shape and key that the request can have, or none (R3)."""

import pytest

from mcproxy.wire.requests import STREAM_FROM, Request
from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import FLAGS, response
from tests.unit.wire.driving import LOST, Collector, Link
from tests.unit.wire.granting import binary
from tests.unit.wire.reading import read, read_every_way
from tests.unit.wire.test_binary_frames import LOOKUPS, LOUD, QUIET, request

OURS, CLIENTS = 0x51, 0xC11E
OPCODES = [*LOUD, *QUIET]
FOREIGN = "a value under a key that was not asked for"
IMPOSSIBLE = "a reply that the operation cannot have"
ANOTHER = "a reply to another request"
LOGIN = "upstream asks for a login"
ERRORS = {
    **{key: {1} for key in LOOKUPS | {packets.TOUCH}},
    **{key: {1, 2, 3, 5, 130} for key in [packets.SET, packets.ADD, packets.REPLACE]},
    **{key: {2, 3, 5, 130} for key in [packets.APPEND, packets.PREPEND]},
    **{key: {1, 2, 5, 6, 130} for key in [packets.INCR, packets.DECR]},
    packets.DELETE: {1, 2},
    packets.FLUSH: {0x20},
    packets.NOOP: set(),
    packets.VERSION: set(),
}


def loud(opcode: int) -> int:
    return QUIET.get(opcode, opcode)


def asking(*opcodes: int, key: bytes = b"b"):
    """Makes requests under the link's opaques OURS, OURS + 1 and so on."""

    def make(sink: Collector) -> list[Request]:
        requests = []
        for number, opcode in enumerate(opcodes):
            made = binary()(sink).next(request(opcode, key, opaque=CLIENTS + number), 0, 10)
            assert isinstance(made, Request)
            made.packet(OURS + number)
            requests.append(made)
        return requests

    return make


def success(
    opcode: int, sent: int | None = None, opaque: int = OURS, value: bytes | None = None, key: bytes = b"b"
) -> bytes:
    kind = loud(opcode)
    body = (
        value
        if value is not None
        else {packets.INCR: b"\0" * 8, packets.DECR: b"\0" * 8, packets.VERSION: b"1.6.18"}.get(kind, b"")
    )
    named = key if kind in (packets.GETK, packets.GATK) else b""
    extras = FLAGS if kind in LOOKUPS or kind == packets.TOUCH else b""
    return response(kind if sent is None else sent, opaque, 0, extras, named, body, cas=0xCA5)


def error(opcode: int) -> bytes:
    return response(opcode, CLIENTS, 0x86, value=LOST)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_success(opcode):
    for value in (None, b"", b"\x81" * 30) if loud(opcode) in LOOKUPS else (None,):
        reading = read_every_way(asking(opcode), success(opcode, value=value))
        wanted = success(opcode, sent=opcode, opaque=CLIENTS, value=value)
        silent = opcode in QUIET and loud(opcode) not in LOOKUPS
        assert (reading.received, reading.lost, reading.waiting) == (b"" if silent else wanted, "", 0)
        assert reading.hits == (1 if loud(opcode) in LOOKUPS else 0)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_every_status(opcode):
    """Errors of quiet operations show; only a miss of a lookup does not. For 0x24 see test_upstream_denials."""
    names_its_key = loud(opcode) in (packets.GETK, packets.GATK)
    key, words = (b"b", b"") if names_its_key else (b"", b"words")
    for status in [*range(1, 0x24), *range(0x25, 0x28), *range(0x80, 0x8A), 0x100, 0xFFFF]:
        reply = response(loud(opcode), OURS, status, key=key, value=words)
        reading = read_every_way(asking(opcode), reply)
        if status not in ERRORS[loud(opcode)]:
            lost = LOGIN if status == 0x20 else IMPOSSIBLE
            assert (reading.received, reading.lost) == (error(opcode), lost), status
        elif status == 1 and opcode in QUIET and loud(opcode) in LOOKUPS:
            assert (reading.received, reading.lost) == (b"", "")
        else:
            wanted = response(opcode, CLIENTS, status, key=key, value=words)
            assert (reading.received, reading.lost) == (wanted, "")
        assert reading.hits == 0


@pytest.mark.parametrize("opcode", [packets.GETK, packets.GATK], ids=hex)
def test_a_miss_that_names_its_key(opcode):
    reading = read_every_way(asking(opcode), response(opcode, OURS, 1, key=b"b"))
    assert reading.received == response(opcode, CLIENTS, 1, key=b"b")
    for key, words in ((b"", b"Not found"), (b"", b""), (b"b", b"Not found"), (b"bb", b"")):
        reading = read_every_way(asking(opcode), response(opcode, OURS, 1, key=key, value=words))
        assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)
    reading = read_every_way(asking(opcode), response(opcode, OURS, 1, key=b"c"))
    assert (reading.received, reading.lost) == (error(opcode), FOREIGN)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_a_reply_to_another_request(opcode):
    """Case 27."""
    good = success(opcode)
    other = packets.SET if loud(opcode) != packets.SET else packets.ADD
    for reply in (
        success(opcode, opaque=OURS + 1),
        success(opcode, opaque=CLIENTS),
        success(opcode, opaque=0),
        success(opcode, sent=other),
        *([success(opcode, sent=opcode)] if opcode in QUIET else []),
        b"\x80" + good[1:],
        b"\0" * 24,
        b"E" + good[1:],
    ):
        reading = read_every_way(asking(opcode, packets.NOOP), reply + success(packets.NOOP, opaque=OURS + 1))
        wanted = error(opcode) + response(packets.NOOP, CLIENTS + 1, 0x86, value=LOST)
        assert (reading.received, reading.lost) == (wanted, ANOTHER)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_a_shape_that_the_operation_cannot_have(opcode):
    kind = loud(opcode)
    right_extras = success(opcode)[4]
    for length in {0, 1, 4, 8} - {right_extras}:
        reading = read_every_way(asking(opcode), response(kind, OURS, 0, b"\0" * length, value=b"12345678"))
        assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)
    if kind in LOOKUPS:
        for key in (b"", b"c", b"bb") if kind in (packets.GETK, packets.GATK) else (b"b",):
            reading = read_every_way(asking(opcode), response(kind, OURS, 0, FLAGS, key, b"value"))
            assert (reading.received, reading.lost) == (error(opcode), FOREIGN if key == b"c" else IMPOSSIBLE)
        lying = bytearray(success(opcode))
        lying[8:12] = (len(lying) - 25).to_bytes(4, "big")
        assert read(asking(opcode), bytes(lying)).lost == IMPOSSIBLE
    else:
        for value in (b"", b"v" * 65) if kind == packets.VERSION else (b"x", b"1234567", b"123456789"):
            reading = read_every_way(asking(opcode), success(opcode, value=value))
            assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)
    typed = bytearray(success(opcode))
    typed[5] = 1
    assert read(asking(opcode), bytes(typed)).lost == IMPOSSIBLE
    for status in ERRORS[kind]:
        for reply in (
            response(kind, OURS, status, FLAGS),
            response(kind, OURS, status, key=b"c1"),
            response(kind, OURS, status, value=b"x" * 1025),
        ):
            reading = read_every_way(asking(opcode), reply) if len(reply) < 100 else read(asking(opcode), reply)
            assert (reading.received, reading.lost) == (error(opcode), IMPOSSIBLE)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_a_lost_link(opcode):
    reply = success(opcode)
    for length in range(len(reply)):
        sink, link = Collector(), Link()
        link.waiting.extend(asking(opcode)(sink))
        link.receive(reply[:length])
        link.close("gone")
        assert (sink.received, sink.was_cut_short) == (error(opcode), False)


def test_bytes_that_answer_nothing():
    reading = read_every_way(asking(packets.GET), success(packets.GET) * 2)
    assert reading.lost == "bytes that answer no request"
    assert reading.received == success(packets.GET, opaque=CLIENTS)


LARGE = bytes(range(256)) * 64 + b"tail"


@pytest.mark.parametrize("opcode", [packets.GET, packets.GETKQ, packets.GATQ, packets.GATK], ids=hex)
def test_a_large_value_is_passed_on_as_it_comes(opcode):
    assert len(LARGE) > STREAM_FROM
    reply = success(opcode, value=LARGE) + success(packets.NOOP, opaque=OURS + 1)
    make = asking(opcode, packets.NOOP)
    whole = read(make, reply)
    noop = success(packets.NOOP, opaque=CLIENTS + 1)
    assert whole.received == success(opcode, sent=opcode, opaque=CLIENTS, value=LARGE) + noop
    assert (whole.hits, whole.lost) == (1, "")
    for position in [*range(1, 100), *range(100, len(reply) - 60, 211), *range(len(reply) - 60, len(reply))]:
        assert read(make, reply, [position]) == whole, position
    assert read(make, reply, range(1, len(reply))) == whole


@pytest.mark.parametrize("opcode", [packets.GET, packets.GETKQ], ids=hex)
def test_a_large_value_that_breaks_off_ends_the_connection(opcode):
    reply = success(opcode, value=LARGE)
    begins = 24 + 4 + (1 if opcode == packets.GETKQ else 0) if opcode == packets.GETKQ else 24
    for length in [*range(0, 60), *range(60, len(reply), 1009), len(reply) - 1]:
        sink, link = Collector(), Link()
        link.waiting.extend(asking(opcode)(sink))
        link.receive(reply[:length])
        link.close("gone")
        assert sink.was_cut_short is (length >= begins), length
        if length < begins:
            assert sink.received == error(opcode)
        else:
            assert success(opcode, sent=opcode, opaque=CLIENTS, value=LARGE).startswith(sink.received)


def test_a_large_value_of_a_foreign_key_is_not_begun():
    reply = response(packets.GETK, OURS, 0, FLAGS, b"c", LARGE)
    for position in range(1, 100):
        reading = read(asking(packets.GETK), reply, [position])
        assert (reading.received, reading.lost, reading.was_cut_short) == (error(packets.GETK), FOREIGN, False)


def test_a_value_beyond_what_an_item_can_be_is_no_reply():
    """It would swallow every reply behind it."""
    header = bytearray(response(packets.GET, OURS, 0, FLAGS))
    header[8:12] = (0xFFFFFFFF).to_bytes(4, "big")
    reading = read(asking(packets.GET), bytes(header))
    assert (reading.received, reading.lost) == (error(packets.GET), IMPOSSIBLE)


def statistics(sink: Collector) -> list[Request]:
    made = binary()(sink).next(packet(packets.STAT, opaque=CLIENTS), 0, 10)
    assert isinstance(made, Request) and made.private
    made.packet(OURS)
    return [made]


def stat(name: bytes = b"", value: bytes = b"", opaque: int = OURS, **more) -> bytes:
    return response(packets.STAT, opaque, key=name, value=value, **more)


def test_statistics():
    lines = [(b"pid", b"1"), (b"version", b"1.6.18"), (b"empty", b""), (b"k" * 250, b"\0" * 300), (b"", b"")]
    reading = read_every_way(statistics, b"".join(stat(*line) for line in lines))
    assert reading.received == b"".join(stat(*line, opaque=CLIENTS) for line in lines)
    assert (reading.lost, reading.waiting) == ("", 0)


def test_a_long_statistic():
    """`detail dump` is one packet with a line for each prefix: 8,303 bytes for 200 of them (memcached 1.6.18)."""
    reply = stat(b"detailed", b"PREFIX prefix1 get 1 hit 0 set 0 del 0\r\n" * 207) + stat()
    reading = read(statistics, reply)
    assert (reading.lost, reading.waiting) == ("", 0)
    assert reading.received == reply.replace(OURS.to_bytes(4, "big"), CLIENTS.to_bytes(4, "big"))


def test_statistics_may_be_one_error():
    reading = read_every_way(statistics, stat(status=1, value=b"Not found"))
    assert (reading.received, reading.lost, reading.waiting) == (
        stat(status=1, value=b"Not found", opaque=CLIENTS),
        "",
        0,
    )


@pytest.mark.parametrize(
    "reply",
    [
        stat(opaque=OURS + 1),
        stat(b"pid", b"1", opaque=CLIENTS),
        stat(b"pid", b"1", magic=0x80),
        stat(b"pid", b"1", extras=b"1234"),
        stat(b"pid", b"1")[:5] + b"\1" + stat(b"pid", b"1")[6:],
        stat(b"pid", b"1", status=2),
        stat(b"pid", b"1", status=0x81),
        response(packets.GET, OURS, key=b"pid", value=b"1"),
        stat(b"pid", b"1")[:2] + b"\0\7" + stat(b"pid", b"1")[4:],
        stat() + b"x",
        stat() * 2,
    ],
)
def test_what_statistics_cannot_have(reply):
    assert read_every_way(statistics, reply).lost


def test_statistics_that_break_off_end_in_an_error():
    reply = stat(b"pid", b"1") + stat(b"version", b"1.6.18") + stat()
    for length in range(len(reply)):
        sink, link = Collector(), Link()
        link.waiting.extend(statistics(sink))
        link.receive(reply[:length])
        link.close("gone")
        assert sink.received.endswith(response(packets.STAT, CLIENTS, 0x86, value=LOST))
        assert len(sink.received) <= length + 28


def test_the_longest_statistic():
    header = bytearray(stat(b"detailed"))
    for length, lost in ((1 << 20, False), ((1 << 20) + 1, True)):
        header[8:12] = length.to_bytes(4, "big")
        assert bool(read(statistics, bytes(header)).lost) is lost


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_lookups_are_counted(opcode):
    (made,) = asking(opcode)(Collector())
    assert (made.lookups, made.hits) == (1 if loud(opcode) in LOOKUPS else 0, 0)


def test_the_rest_of_a_large_value_may_begin_anywhere():
    sink, reply = Collector(), success(packets.GET, value=LARGE)
    (made,) = asking(packets.GET)(sink)
    assert made.take(reply[:5000], 0) == 5000
    assert made.take(b"before" + reply[5000:] + b"after", 6) == 6 + len(reply) - 5000
    assert made.done
    assert sink.received == success(packets.GET, opaque=CLIENTS, value=LARGE)


@pytest.mark.parametrize("length", [0, 1, 1023, 1024])
def test_the_text_of_an_error_has_any_length_up_to_a_bound(length):
    reply = response(packets.SET, OURS, 5, value=b"x" * length)
    assert read(asking(packets.SET), reply).lost == ""
    assert read(asking(packets.SET), response(packets.SET, OURS, 5, value=b"x" * 1025)).lost == IMPOSSIBLE


def test_the_size_of_values_is_learnt():
    sink = Collector()
    made = asking(packets.GET)(sink)[0]
    made.take(success(packets.GET, value=b"v" * 100), 0)
    assert 100 <= sink.largest_value <= 104
