"""Binary requests for a text upstream: the one canonical line that each of them becomes."""

import pytest

from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import Local
from mcproxy.wire.to_text import to_text
from mcproxy.wire.to_text_changes import ChangeAsPacket
from tests.support import packets
from tests.support.packets import arithmetic, packet, store, touching
from tests.unit.wire.answering import frames_of
from tests.unit.wire.driving import Collector
from tests.unit.wire.test_binary_frames import LOOKUPS, LOUD, QUIET, request
from tests.unit.wire.translating import line_of, translated

LAST = 2**64 - 1
LINES = [
    (packet(packets.GET, b"b"), b"gets b\r\n"),
    (packet(packets.GETK, b"noreply"), b"gets noreply\r\n"),
    (touching(packets.GAT, b"b", 0), b"gats 0 b\r\n"),
    (touching(packets.GATK, b"b", 600), b"gats 600 b\r\n"),
    (touching(packets.TOUCH, b"b", 600), b"gats 600 b\r\n"),
    (store(packets.SET, b"b", b"v\r\nmn\r\n"), b"ms b 7 k O7001 c F0 T0 MS\r\nv\r\nmn\r\n\r\n"),
    (store(packets.SET, b"b", b"", flags=2**32 - 1, expiry=9), b"ms b 0 k O7001 c F4294967295 T9 MS\r\n\r\n"),
    (store(packets.SET, b"b", b"v", cas=5), b"ms b 1 k O7001 c F0 T0 MS C5\r\nv\r\n"),
    (store(packets.ADD, b"b", b"v", flags=7), b"ms b 1 k O7001 c F7 T0 ME\r\nv\r\n"),
    (store(packets.ADD, b"b", b"v", cas=LAST), b"ms b 1 k O7001 c F0 T0 MS C%d\r\nv\r\n" % LAST),
    (store(packets.REPLACE, b"b", b"v"), b"ms b 1 k O7001 c F0 T0 MR\r\nv\r\n"),
    (store(packets.REPLACE, b"b", b"v", cas=1), b"ms b 1 k O7001 c F0 T0 MS C1\r\nv\r\n"),
    (store(packets.APPEND, b"b", b"v"), b"ms b 1 k O7001 c MA\r\nv\r\n"),
    (store(packets.APPEND, b"b", b"v", cas=5), b"ms b 1 k O7001 c MA C5\r\nv\r\n"),
    (store(packets.PREPEND, b"b", b""), b"ms b 0 k O7001 c MP\r\n\r\n"),
    (store(packets.PREPEND, b"b", b"v", cas=5), b"ms b 1 k O7001 c MP C5\r\nv\r\n"),
    (packet(packets.DELETE, b"b"), b"md b k O7001\r\n"),
    (packet(packets.DELETE, b"b", cas=5), b"md b k O7001 C5\r\n"),
    (arithmetic(packets.INCR, b"b", LAST), b"ma b k O7001 v c D%d MI\r\n" % LAST),
    (arithmetic(packets.DECR, b"b", 1, cas=5), b"ma b k O7001 v c D1 MD C5\r\n"),
    (arithmetic(packets.INCR, b"b", 1, 42, 0), b"ma b k O7001 v c D1 MI N0 J42\r\n"),
    (arithmetic(packets.DECR, b"b", 0, LAST, 9, cas=5), b"ma b k O7001 v c D0 MD N9 J%d C5\r\n" % LAST),
    (packet(packets.FLUSH), b"flush_all\r\n"),
    (packet(packets.FLUSH, extras=bytes(4)), b"flush_all\r\n"),
    (packet(packets.NOOP), b"mn\r\n"),
    (packet(packets.VERSION), b"version\r\n"),
    (packet(packets.STAT), b"stats\r\n"),
    *((packet(packets.STAT, word), b"stats " + word + b"\r\n") for word in (b"items", b"slabs", b"sizes", b"settings")),
    (packet(packets.STAT, b"reset"), b"stats reset\r\n"),
    *(
        (packet(packets.STAT, b"detail " + word), b"stats detail " + word + b"\r\n")
        for word in (b"on", b"off", b"dump")
    ),
]


@pytest.mark.parametrize(("sent", "line"), LINES)
def test_lines(sent, line):
    assert line_of(sent) == line
    assert len(frames_of(line)) == 1


@pytest.mark.parametrize("opcode", QUIET, ids=hex)
def test_a_quiet_operation_is_asked_as_its_loud_one(opcode):
    assert line_of(request(opcode)) == line_of(request(QUIET[opcode]))


@pytest.mark.parametrize("opcode", [*LOUD, *QUIET], ids=hex)
@pytest.mark.parametrize("key", [b"k" * 250, b"\x80\xff!~", b"noreply"], ids=["long", "bytes", "noreply"])
def test_any_key_makes_one_canonical_line(opcode, key):
    made = translated(request(opcode, key, cas=LAST))
    (frame,) = frames_of(made.upstream)
    assert frame.keys == ((key,) if QUIET.get(opcode, opcode) not in (8, 10, 11) else ())
    assert made.cost == 1
    assert made.lookups == (1 if QUIET.get(opcode, opcode) in LOOKUPS else 0)
    assert not made.private


@pytest.mark.parametrize(
    ("expiry", "text"),
    [(0, 0), (1, 1), (2592001, 2592001), (2**31 - 1, 2**31 - 1), (2**31, 2**31 - 1), (2**32 - 2, 2**31 - 1)],
)
def test_times(expiry, text):
    """Text has none after January 2038."""
    assert b" T%d " % text in line_of(store(packets.SET, b"b", b"v", expiry=expiry))
    assert line_of(touching(packets.GAT, b"b", expiry)) == b"gats %d b\r\n" % text
    assert b" N%d " % text in line_of(arithmetic(packets.INCR, b"b", 1, 5, expiry))


def test_all_ones_is_a_time_but_for_arithmetic():
    assert b" T2147483647 " in line_of(store(packets.SET, b"b", b"v", expiry=2**32 - 1))
    assert line_of(touching(packets.TOUCH, b"b", 2**32 - 1)) == b"gats 2147483647 b\r\n"
    assert b" N" not in line_of(arithmetic(packets.INCR, b"b", 1, 5, 2**32 - 1))


def test_every_meta_command_has_a_number_of_its_own():
    made = [translated(packet(packets.DELETE, b"b")) for _ in range(100)]
    numbers = {request.number for request in made if isinstance(request, ChangeAsPacket)}
    assert len(numbers) == 100


def test_statistics_need_a_link_of_their_own():
    assert translated(packet(packets.STAT)).private


def test_the_class_that_a_request_is_counted_under_stays():
    for sent, count in (
        (packet(packets.GET, b"b"), "read"),
        (touching(packets.GAT, b"b"), "touch"),
        (touching(packets.TOUCH, b"b"), "touch"),
        (store(packets.SET, b"b", b"v"), "write"),
        (arithmetic(packets.INCR, b"b", 1, 1, 1), "counter"),
        (packet(packets.DELETE, b"b"), "delete"),
        (packet(packets.FLUSH), "flush"),
        (packet(packets.NOOP), "other"),
        (packet(packets.STAT, b"items"), "inspect"),
    ):
        assert translated(sent).count == count


def test_what_comes_from_no_binary_client_is_refused():
    outcome = to_text(Local(Collector(), b"x"))
    assert isinstance(outcome, Refusal)
    assert (outcome.reply, outcome.close) == (b"", True)
