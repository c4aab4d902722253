"""Replies in text as packets: opcode, opaque, status, words and cas as memcached's own binary protocol has them."""

import struct

import pytest

from tests.support import packets
from tests.support.packets import arithmetic, packet, store, touching
from tests.unit.wire.answering import response
from tests.unit.wire.driving import LOST, Collector, Link
from tests.unit.wire.reading import read_every_way
from tests.unit.wire.test_binary_frames import KEYED, LOUD, QUIET, request
from tests.unit.wire.translating import asking

OPAQUE = 0xC11E
ALL = [*LOUD, *QUIET]
TEXTS = {
    1: b"Not found",
    2: b"Data exists for key.",
    3: b"Too large.",
    5: b"Not stored.",
    6: b"Non-numeric server-side value for incr or decr",
    0x20: b"Auth failure.",
    0x24: b"access denied",
}
STORES = [packets.SET, packets.ADD, packets.REPLACE, packets.APPEND, packets.PREPEND]
COUNTS = [packets.INCR, packets.DECR]
RETRIEVALS = [packets.GET, packets.GETK, packets.GAT, packets.GATK, packets.TOUCH]
UNNAMED = [packets.FLUSH, packets.NOOP, packets.VERSION]


def asked(opcode: int, cas: int = 0, create: bool = False) -> bytes:
    if create:
        return arithmetic(opcode, b"b", 1, 5, 0, opaque=OPAQUE, cas=cas)
    return request(opcode, opaque=OPAQUE, cas=cas)


def meta(words: bytes, cas: int | None = None) -> bytes:
    return words + b" kb O7001" + (b"" if cas is None else b" c%d" % cas) + b"\r\n"


def number(text: bytes, cas: int | None = 9, length: int | None = None) -> bytes:
    return meta(b"VA %d" % (len(text) if length is None else length), cas) + text + b"\r\n"


def check(sent: bytes, reply: bytes, status: int, value: bytes = b"", cas: int = 0) -> None:
    """The reply becomes that packet; from the quiet twin, nothing if that is what its client doesn't want."""
    loud = sent[1]
    wanted = TEXTS.get(status, value)
    for opcode in (loud, *(quiet for quiet, its_loud in QUIET.items() if its_loud == loud)):
        packet_sent = sent[:1] + bytes([opcode]) + sent[2:]
        reading = read_every_way(asking(packet_sent), reply)
        expected = response(opcode, OPAQUE, status, value=wanted, cas=cas)
        assert reading.received == (b"" if opcode != loud and status == 0 else expected), hex(opcode)
        assert (reading.lost, reading.waiting, reading.hits) == ("", 0, 0)


def check_lost(sent: bytes, reply: bytes, reason: str | None = None) -> None:
    """No such reply can be: the client gets an error packet, a quiet one too."""
    reading = read_every_way(asking(sent), reply)
    assert reading.received == response(sent[1], OPAQUE, 0x86, value=LOST)
    assert reading.lost == (reason or reading.lost) != ""
    assert not reading.was_cut_short


STATUSES = {
    (packets.SET, 0): {b"HD": 0},
    (packets.ADD, 0): {b"HD": 0, b"NS": 2},
    (packets.REPLACE, 0): {b"HD": 0, b"NS": 1},
    **{(opcode, 0): {b"HD": 0, b"NS": 5} for opcode in (packets.APPEND, packets.PREPEND)},
    **{(opcode, 5): {b"HD": 0, b"NF": 1, b"EX": 2} for opcode in (packets.SET, packets.ADD, packets.REPLACE)},
    **{(opcode, 5): {b"HD": 0, b"NS": 5, b"EX": 2} for opcode in (packets.APPEND, packets.PREPEND)},
    (packets.DELETE, 0): {b"HD": 0, b"NF": 1},
    (packets.DELETE, 5): {b"HD": 0, b"NF": 1, b"EX": 2},
    **{(opcode, 0): {b"NF": 1} for opcode in COUNTS},
    **{(opcode, 5): {b"NF": 1, b"EX": 2} for opcode in COUNTS},
}


@pytest.mark.parametrize(("opcode", "cas"), STATUSES)
def test_statuses_of_changes(opcode, cas):
    possible = STATUSES[opcode, cas]
    new = 77 if opcode in STORES else None
    for word in (b"HD", b"NS", b"EX", b"NF", b"EN", b"MN", b"VA"):
        reply = meta(word, new if word == b"HD" else 0 if opcode in STORES else None)
        if word in possible:
            check(asked(opcode, cas), reply, possible[word], cas=77 if word == b"HD" and new else 0)
        else:
            check_lost(asked(opcode, cas), reply, "a reply that the command cannot have" if word < b"VA" else None)


@pytest.mark.parametrize("opcode", COUNTS, ids=hex)
@pytest.mark.parametrize("cas", [0, 5])
def test_numbers(opcode, cas):
    for text in (b"0", b"9", b"18446744073709551615", *(b"9" * length for length in range(1, 20))):
        check(asked(opcode, cas), number(text), 0, struct.pack(">Q", int(text)), 9)
        check(asked(opcode, cas, create=True), number(text), 0, struct.pack(">Q", int(text)), 9)
    check(asked(opcode, cas), b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", 6)


@pytest.mark.parametrize("opcode", COUNTS, ids=hex)
@pytest.mark.parametrize(
    "reply",
    [
        number(b"42", length=3) + b"x",
        number(b"42", length=1),
        number(b"x"),
        number(b"18446744073709551616"),
        number(b"42", cas=None),
        number(b"007"),
        meta(b"VA 0", 9) + b"\r\n",
        meta(b"VA /", 9) + b"\r\n",
        meta(b"VA 2 ", 9) + b"42\r\n",
        meta(b"VA :", 9) + b"\r\n",
        meta(b"VA 1/", 9) + b"\r\n",
        meta(b"VA 1:", 9) + b"\r\n",
        meta(b"VA 21", 9) + b"1" * 21 + b"\r\n",
        meta(b"HD", 9),
        meta(b"EX"),
        b"42\r\n",
        b"CLIENT_ERROR invalid numeric delta argument\r\n",
    ],
)
def test_what_is_no_number(opcode, reply):
    check_lost(asked(opcode), reply)


@pytest.mark.parametrize("opcode", COUNTS, ids=hex)
def test_a_counter_that_is_created_is_never_missing(opcode):
    check_lost(asked(opcode, create=True), meta(b"NF"))
    check(asked(opcode, cas=5, create=True), meta(b"EX"), 2)


@pytest.mark.parametrize("opcode", [*STORES, packets.DELETE, *COUNTS], ids=hex)
@pytest.mark.parametrize(
    "reply",
    [
        b"HD kc O7001 c9\r\n",
        b"HD kb O7002 c9\r\n",
        b"HD kb O c9\r\n",
        b"HD kb c9\r\n",
        b"HD O7001 c9\r\n",
        b"HD O7001 kb c9\r\n",
        b"HD kb O7001 c9 \r\n",
        b"HD kb O7001 c9 s1\r\n",
        b"HD kb O7001 c-1\r\n",
        b"HD kb O7001 c18446744073709551616\r\n",
        b"HD kbb O7001 c9\r\n",
        b"HD kYg== O7001 c9\r\n",
        b"HD kYw== b O7001 c9\r\n",
        b"HD\r\n",
        b"STORED\r\n",
        b"END\r\n",
        b"CLIENT_ERROR cannot increment\r\n",
        b"ERROR\r\n",
    ],
)
def test_replies_to_another_request(opcode, reply):
    """Case 27."""
    shown = reply if opcode not in COUNTS else reply.replace(b"HD", b"VA 1").replace(b"\r\n", b"\r\n1\r\n")
    plain = shown if opcode != packets.DELETE else shown.replace(b" c9", b"")
    check_lost(asked(opcode), plain)


def test_a_cas_is_there_if_it_was_asked_for():
    check_lost(asked(packets.SET), meta(b"HD"), "a reply with more or less than was asked for")
    check_lost(asked(packets.DELETE), meta(b"HD", 9), "a reply with more or less than was asked for")


@pytest.mark.parametrize(("opcode", "cas"), STATUSES)
def test_a_doubled_blank(opcode, cas):
    """memcached before 1.6.18 has it behind the status, and nowhere else."""
    new = 77 if opcode in STORES else None
    for word, status in STATUSES[opcode, cas].items():
        reply = meta(word + b" ", new if word == b"HD" else 0 if opcode in STORES else None)
        check(asked(opcode, cas), reply, status, cas=77 if word == b"HD" and new else 0)
        for wrong in (reply.replace(b"  ", b"   "), reply.replace(b" O", b"  O"), reply.replace(b"\r", b" \r")):
            check_lost(asked(opcode, cas), wrong)


def test_a_key_in_base64_is_compared_decoded():
    for sent, reply in ((packets.SET, b"HD kYg== b O7001 c9\r\n"), (packets.APPEND, b"HD kYg== b O7001 c9\r\n")):
        check(asked(sent), reply, 0, cas=9)
    check(asked(packets.DELETE), b"HD kYg== b O7001\r\n", 0)


@pytest.mark.parametrize(
    ("sent", "reply", "status", "value"),
    [
        (packets.FLUSH, b"OK\r\n", 0, b""),
        (packets.FLUSH, b"CLIENT_ERROR flush_all not allowed\r\n", 0x20, b""),
        (packets.NOOP, b"MN\r\n", 0, b""),
        (packets.VERSION, b"VERSION 1.6.18\r\n", 0, b"1.6.18"),
        (packets.VERSION, b"VERSION " + b"x" * 64 + b"\r\n", 0, b"x" * 64),
        (packets.VERSION, b"VERSION !~\r\n", 0, b"!~"),
    ],
)
def test_what_names_no_key(sent, reply, status, value):
    check(asked(sent), reply, status, value)


def test_what_they_cannot_have():
    good = {packets.FLUSH: b"OK\r\n", packets.NOOP: b"MN\r\n", packets.VERSION: b"VERSION 1.6.18\r\n"}
    refused = b"CLIENT_ERROR flush_all not allowed\r\n"
    for opcode in UNNAMED:
        replies = [
            b"VERSION \r\n",
            b"VERSION a b\r\n",
            b"VERSION " + b"x" * 65 + b"\r\n",
            b"END\r\n",
            b"OK \r\n",
            b"\r\n",
        ]
        replies += [reply for other, reply in good.items() if other != opcode]
        replies += [refused] if opcode != packets.FLUSH else []
        for reply in replies:
            check_lost(asked(opcode), reply, "a reply that the command cannot have")


@pytest.mark.parametrize("opcode", LOUD, ids=hex)
def test_errors_that_everything_can_have(opcode):
    check(asked(opcode), b"SERVER_ERROR upstream is unavailable\r\n", 0x86, b"upstream is unavailable")
    check(asked(opcode), b"SERVER_ERROR \r\n", 0x86)
    too_large = b"object too large for cache"
    if opcode in STORES:
        check(asked(opcode), b"SERVER_ERROR " + too_large + b"\r\n", 3)
    else:
        check(asked(opcode), b"SERVER_ERROR " + too_large + b"\r\n", 0x86, too_large)
    if opcode in UNNAMED[1:]:
        check_lost(asked(opcode), b"CLIENT_ERROR access denied\r\n")
    else:
        check(asked(opcode), b"CLIENT_ERROR access denied\r\n", 0x24)
    for line in (
        b"SERVER_ERROR out of memory writing get response\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR line too long\r\n",
    ):
        check_lost(asked(opcode), line, "a reply that the command cannot have")
    check_lost(asked(opcode), b"SERVER_ERROR " + b"x" * 300 + b"\r\n")


@pytest.mark.parametrize("opcode", LOUD, ids=hex)
def test_out_of_memory(opcode):
    status = 0x82 if opcode in (*STORES, *COUNTS) else 0x86
    for words, shown in (
        (b"out of memory storing object", b"Out of memory allocating item"),
        (b"out of memory", b"Out of memory incrementing value"),
        (b"Out of memory allocating new item", b"Out of memory allocating new item"),
        (b"Out of memory during read", b"Out of memory during read"),
    ):
        check(asked(opcode), b"SERVER_ERROR " + words + b"\r\n", status, shown if status == 0x82 else words)


@pytest.mark.parametrize("opcode", ALL, ids=hex)
def test_a_lost_link(opcode):
    """Whatever has come of a short reply, the client gets one error packet."""
    loud = QUIET.get(opcode, opcode)
    reply = meta(b"HD", 9) if loud in STORES else b"VALUE b 7 1 9\r\nv\r\nEND\r\n"
    reply = {packets.NOOP: b"MN\r\n", packets.VERSION: b"VERSION 1\r\n", packets.FLUSH: b"OK\r\n"}.get(loud, reply)
    reply = number(b"42") if loud in COUNTS else meta(b"HD") if loud == packets.DELETE else reply
    for length in range(len(reply)):
        sink, link = Collector(), Link()
        link.waiting.extend(asking(asked(opcode))(sink))
        link.receive(reply[:length])
        assert not link.lost
        link.close("gone")
        assert (sink.received, sink.was_cut_short) == (response(opcode, OPAQUE, 0x86, value=LOST), False)
    assert not read_every_way(asking(asked(opcode)), reply).lost


def test_replies_in_a_pipeline():
    sent = [
        store(packets.SETQ, b"b", b"v", opaque=1),
        packet(packets.GETQ, b"a", opaque=2),
        packet(packets.GETKQ, b"b", opaque=3),
        touching(packets.TOUCH, b"b", opaque=4),
        arithmetic(packets.INCRQ, b"b", 1, opaque=5),
        packet(packets.NOOP, opaque=6),
    ]
    replies = meta(b"HD", 9) + b"END\r\nVALUE b 7 1 9\r\nv\r\nEND\r\nVALUE b 7 1 9\r\nv\r\nEND\r\n" + number(b"2")
    reading = read_every_way(asking(*sent), replies + b"MN\r\n")
    flags = b"\0\0\0\7"
    assert reading.received == (
        response(packets.GETKQ, 3, 0, flags, b"b", b"v", cas=9)
        + response(packets.TOUCH, 4, 0, flags, cas=9)
        + response(packets.NOOP, 6)
    )
    assert (reading.lost, reading.hits) == ("", 1)


def test_nothing_is_kept_of_what_was_sent():
    """It may be a large value."""
    for opcode in LOUD:
        (made,) = asking(asked(opcode))(Collector())
        assert made.to_send()
        assert made.upstream == b""


def test_every_operation_is_held_to_something():
    assert {*STORES, *COUNTS, *RETRIEVALS, *UNNAMED, packets.DELETE} == {*LOUD}
    assert {*KEYED} == {*LOUD} - {*UNNAMED}
