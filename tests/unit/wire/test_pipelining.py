"""`pipelining: refuse`: one command at a time passes in every way; a second one, or one without a reply, never does."""

import pytest

from mcproxy.wire.outcome import Pending, Refusal
from mcproxy.wire.pipelining import one_at_a_time
from mcproxy.wire.requests import Request
from tests.support import packets
from tests.support.packets import packet, store, with_key
from tests.unit.wire.administering import LINES
from tests.unit.wire.answering import response
from tests.unit.wire.driving import Collector, MakeParser, play, play_every_way
from tests.unit.wire.granting import binary, text

REFUSED = b"CLIENT_ERROR pipelining is refused\r\n"
STORED = b"STORED\r\n"


def one(make_parser: MakeParser) -> MakeParser:
    """Makes parsers for who may send one command at a time."""
    return lambda sink: one_at_a_time(make_parser(sink), sink)  # type: ignore[arg-type]


SINGLE = {
    b"get a\r\n": b"END\r\n",
    b"get noreply\r\n": b"END\r\n",
    b"gets a noreply\r\n": b"END\r\n",
    b"gat 0 a\r\n": b"END\r\n",
    b"  get   a  \r\n": b"END\r\n",
    b"get" + b" a" * 300 + b"\r\n": b"END\r\n",
    b"set k 0 0 16\r\nget a\r\nflush_all\r\n": STORED,
    b" set noreply 0 -5 0\r\n\r\n": STORED,
    b"delete k\r\n": STORED,
    b"version\r\n": STORED,
    b"bogus\r\n": b"ERROR\r\n",
    b"\r\n": b"ERROR\r\n",
    b"set k 0 0 2000\r\n" + b"get a\r\n" * 285 + b"12345\r\n": b"SERVER_ERROR object too large for cache\r\n",
    b"set %s 0 0 7\r\nget a\r\n\r\n" % (b"k" * 251): b"CLIENT_ERROR bad command line format\r\n",
    b"get" + b" a" * 1001 + b"\r\n": b"CLIENT_ERROR too many keys in one request\r\n",
    b"stats\r\n": b"END\r\n",
}

OPEN = [frame for frame in SINGLE if frame.count(b" a") <= 1000]
"""Those that the connection goes on after."""


def answer(data: bytes) -> bytes:
    """A reply to each line that goes up; whether it is the command's own is for other tests."""
    first = data.split(b" ")[0].rstrip()
    replies = {
        b"delete": b"DELETED\r\n",
        b"version": b"VERSION 1\r\n",
        b"set": STORED,
        b"incr": b"1\r\n",
        b"mn": b"MN\r\n",
    }
    return replies.get(first, b"END\r\n")


@pytest.mark.parametrize("frame", SINGLE, ids=lambda frame: repr(frame[:24]))
def test_a_single_command_passes_as_it_does_without(frame):
    """In every split, and cut into pieces on its way up."""
    splits = range(1, len(frame), 7) if len(frame) > 200 else None
    for window in (1000, 32):
        with_guard = play_every_way(one(text()), frame, answer=answer, window=window, splits=splits)
        without = play(text(), frame, answer=answer, window=window)
        assert with_guard == without
        assert with_guard.end in ("open", "closed")


@pytest.mark.parametrize(
    "frame", [frame for frame in SINGLE if frame.count(b" a") <= 1000], ids=lambda frame: repr(frame[:24])
)
@pytest.mark.parametrize(
    "second", [b"get b\r\n", b"flush_all\r\n", b"x", b"\r\n", b"quit\r\n", b"set k 0 0 1\r\nx\r\n"]
)
def test_a_second_command_in_the_same_receive_is_refused(frame, second):
    alone = play(text(), frame, answer=answer)
    for window in (1000, 32):
        outcome = play(one(text()), frame + second, answer=answer, window=window)
        assert (outcome.upstream, outcome.received) == (
            play(text(), frame, answer=answer, window=window).upstream,
            alone.received + REFUSED,
        )
        assert (outcome.refusals, outcome.end) == ([*alone.refusals, ("pipelining", "")], "closed")


def test_a_run_of_gets_is_one_command_and_a_refusal():
    outcome = play(one(text()), b"get a\r\nget b\r\nget c\r\n", answer=answer)
    assert (outcome.requests, outcome.received, outcome.end) == ([b"get a\r\n"], b"END\r\n" + REFUSED, "closed")


@pytest.mark.parametrize("frame", [b"get a\r\n", b"set k 0 0 1\r\nx\r\n", b"version\r\n"])
def test_a_second_command_while_a_reply_is_owed_is_refused(frame):
    """Also if it comes byte by byte, and if its first byte is all that has come."""
    for second in (b"g", b"get b\r\n"):
        outcome = play(one(text()), frame + second, [len(frame)], answer=answer, late=True)
        assert (outcome.upstream, outcome.received, outcome.end) == (frame, answer(frame) + REFUSED, "closed")


def test_commands_one_after_another():
    """Each reply is read before the next command is sent."""
    positions = [sum(map(len, OPEN[:index])) for index in range(1, len(OPEN))]
    with_guard = play(one(text()), b"".join(OPEN), positions, answer=answer)
    assert with_guard == play(text(), b"".join(OPEN), positions, answer=answer)
    assert with_guard.end == "open"


def test_a_command_behind_a_refused_block():
    """It is a second one if all came at once; else the refusal may have been read before the block's end was sent."""
    frame = b"set k 0 0 2000\r\n" + b"v" * 2000 + b"\r\n"
    whole = frame + b"get a\r\n"
    refusal = b"SERVER_ERROR object too large for cache\r\n"
    for positions in ([], [5], [10, 15]):
        outcome = play(one(text()), whole, positions, answer=answer)
        assert (outcome.upstream, outcome.received, outcome.end) == (b"", refusal + REFUSED, "closed"), positions
    for positions in ([16], [17], [1000], [len(frame) - 2], [len(frame) - 1], [len(frame)], [5, 16, 700, 900]):
        outcome = play(one(text()), whole, positions, answer=answer)
        assert (outcome.upstream, outcome.received, outcome.end) == (b"get a\r\n", refusal + b"END\r\n", "open"), (
            positions
        )
        more = play(one(text()), whole + b"get b\r\n", positions, answer=answer)
        assert (more.upstream, more.refusals[-1], more.end) == (b"get a\r\n", ("pipelining", ""), "closed"), positions


@pytest.mark.parametrize(
    "frame",
    [
        *(b"set k 0 0 1 noreply\r\nx\r\n", b"cas k 0 0 1 5 noreply\r\nx\r\n", b"incr k 1 noreply\r\n"),
        *(b"delete k noreply\r\n", b"touch k 0 noreply\r\n", b"flush_all noreply\r\n", b"verbosity 1 noreply\r\n"),
        *(b"cache_memlimit 64 noreply\r\n", b"lru noreply\r\n", b" delete  k 0  noreply \r\n", b"boguscmd noreply\r\n"),
        *(
            b"mg a v q\r\n",
            b"ms a 1 q\r\nx\r\n",
            b"md a q\r\n",
            b"ma a q N0\r\n",
            b"mg  q  q\r\n",
            b"delete noreply noreply\r\n",
        ),
        b"set k 0 0 2000 noreply\r\n",
    ],
    ids=lambda frame: repr(frame[:20]),
)
def test_a_command_without_a_reply_is_refused(frame):
    """What comes behind it could not be told from what was slipped in."""
    outcome = play_every_way(one(text()), frame, answer=answer)
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", REFUSED, "closed")
    assert outcome.refusals == [("pipelining", "")]


@pytest.mark.parametrize("line", [line for line in LINES if LINES[line]], ids=bytes.decode)
def test_administration_passes(line):
    sink = Collector()
    outcome = one(text())(sink).next(line + b"\r\n", 0, 10)
    assert isinstance(outcome, Request) and outcome.upstream == line + b"\r\n"
    behind = one(text())(sink)
    assert isinstance(behind.next(line + b"\r\nmn\r\n", 0, 10), Request)
    assert behind.next(line + b"\r\nmn\r\n", len(line) + 2, 10) == Refusal(REFUSED, "pipelining", close=True)


# Binary.

GET = with_key(packets.GET, b"b", opaque=7)
PIPELINED = b"pipelining is refused"


def test_a_line_that_is_too_long_is_refused_as_such():
    outcome = play_every_way(one(text()), b"set noreply" + b" noreply" * 400, splits=[1, 100, 2048, 2049])
    assert (outcome.received, outcome.end) == (b"CLIENT_ERROR line too long\r\n", "closed")


def test_what_is_no_packet_is_refused_as_such():
    for data in (b"x", b"get a\r\n", b"\x81" + bytes(30)):
        outcome = play_every_way(one(binary()), data)
        assert (outcome.received, outcome.refusals, outcome.end) == (b"", [("not a binary packet", "")], "closed")


def test_a_single_packet_passes():
    for frame in (GET, store(packets.SET, b"k", GET * 3, opaque=1), packet(packets.NOOP), packet(packets.VERSION)):
        assert play_every_way(one(binary()), frame).upstream == play(binary(), frame).upstream != b""
    frames = [GET, packet(packets.NOOP), store(packets.SET, b"k", b"x"), packet(0x55), GET]
    positions = [sum(map(len, frames[:index])) for index in range(1, len(frames))]
    assert play(one(binary()), b"".join(frames), positions) == play(binary(), b"".join(frames), positions)


@pytest.mark.parametrize("opcode", [packets.GET, packets.NOOP, packets.QUIT, 0x55])
def test_a_second_packet_is_refused(opcode):
    second = packet(opcode, opaque=9)
    refusal = response(opcode, 9, packets.DENIED, value=PIPELINED)
    alone = play(binary(), GET)
    same = play(one(binary()), GET + second)
    assert (same.upstream, same.received) == (alone.upstream, alone.received + refusal)
    assert (same.refusals, same.end) == ([("pipelining", "")], "closed")
    owed = play(one(binary()), GET + second, [len(GET)], late=True)
    assert (owed.received, owed.end) == (alone.received + refusal, "closed")


def test_a_second_packet_is_answered_once_its_header_is_there():
    sink = Collector()
    parser = one(binary())(sink)
    assert isinstance(parser.next(GET + GET[:5], 0, 10), Request)
    assert parser.next(GET + GET[:5], len(GET), 10) is Pending.INCOMPLETE
    assert parser.needed == len(GET) + 24
    assert parser.next(GET, 0, 10) == Refusal(
        response(packets.GET, 7, packets.DENIED, value=PIPELINED), "pipelining", close=True
    )


def test_a_packet_behind_a_refused_body():
    """As in text."""
    frame = store(packets.SET, b"k", b"v" * 2000, opaque=3)
    whole = play(one(binary()), frame + GET)
    assert (whole.upstream, whole.end) == (b"", "closed")
    assert whole.refusals == [("value too large", ""), ("pipelining", "")]
    for positions in ([100], [len(frame) - 1], [len(frame)], [100, len(frame)], [40, 41, 500]):
        outcome = play(one(binary()), frame + GET, positions)
        assert (outcome.end, outcome.refusals) == ("open", [("value too large", "")]), positions
        assert len(outcome.requests) == 1
        more = play(one(binary()), frame + GET + GET, positions)
        assert (more.end, len(more.requests), more.refusals[-1]) == ("closed", 1, ("pipelining", "")), positions


@pytest.mark.parametrize(
    "opcode",
    [
        packets.GETQ,
        packets.GETKQ,
        packets.SETQ,
        packets.DELETEQ,
        packets.INCRQ,
        packets.APPENDQ,
        packets.GATQ,
        packets.QUITQ,
    ],
)
def test_a_quiet_packet_is_refused(opcode):
    if opcode == packets.QUITQ:
        frame = packet(opcode, opaque=4)
    elif opcode in (packets.SETQ, packets.APPENDQ):
        frame = store(opcode, b"k", b"x", opaque=4)
    else:
        frame = with_key(opcode, b"k", opaque=4)
    outcome = play_every_way(one(binary()), frame)
    assert (outcome.upstream, outcome.received) == (b"", response(opcode, 4, packets.DENIED, value=PIPELINED))
    assert (outcome.refusals, outcome.end) == ([("pipelining", "")], "closed")
