"""Binary packets that are as they should be: loud and canonical upstream, the client's own again on the way back."""

import struct

import pytest

from mcproxy.wire.outcome import WireLimits
from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import CAS, answer, binary_reply, frames_of, response
from tests.unit.wire.driving import FIRST_OPAQUE, play, play_every_way
from tests.unit.wire.granting import binary

QUIET = {
    packets.GETQ: packets.GET,
    packets.GETKQ: packets.GETK,
    packets.GATQ: packets.GAT,
    packets.GATKQ: packets.GATK,
    packets.SETQ: packets.SET,
    packets.ADDQ: packets.ADD,
    packets.REPLACEQ: packets.REPLACE,
    packets.APPENDQ: packets.APPEND,
    packets.PREPENDQ: packets.PREPEND,
    packets.DELETEQ: packets.DELETE,
    packets.INCRQ: packets.INCR,
    packets.DECRQ: packets.DECR,
    packets.FLUSHQ: packets.FLUSH,
}
LOOKUPS = {packets.GET, packets.GETK, packets.GAT, packets.GATK}
KEYLESS = [packets.FLUSH, packets.NOOP, packets.VERSION]
KEYED = sorted((LOOKUPS | set(QUIET.values()) | {packets.TOUCH}) - {packets.FLUSH})
LOUD = KEYED + KEYLESS
WITH_CAS = set(QUIET.values()) - LOOKUPS - {packets.FLUSH}
HIT, MISS = b"b", b"a"
NOOP = packet(packets.NOOP, opaque=packets.IN_STEP)
IN_STEP = response(packets.NOOP, packets.IN_STEP, cas=CAS)


def request(opcode: int, key: bytes = HIT, **more) -> bytes:
    if QUIET.get(opcode, opcode) in KEYLESS:
        return packet(opcode, **more)
    return packets.with_key(opcode, key, **more)


def upstream(opcode: int, key: bytes = HIT, number: int = 0, **more) -> bytes:
    return request(opcode, key, opaque=FIRST_OPAQUE + number, **more)


def expected(opcode: int, key: bytes = HIT, opaque: int = 0) -> bytes:
    """memcached's answer, with the client's opcode and opaque."""
    (frame,) = frames_of(request(QUIET.get(opcode, opcode), key))
    return binary_reply(frame, opcode, opaque)


@pytest.mark.parametrize("opcode", LOUD, ids=hex)
@pytest.mark.parametrize("key", [HIT, MISS, b"k" * 250, b"noreply", b"\x80\xff!~"], ids=repr)
def test_every_opcode(opcode, key):
    opaque = 0xFFFFFFFF if key == HIT else 0
    outcome = play_every_way(binary(), request(opcode, key, opaque=opaque) + NOOP)
    assert outcome.upstream == upstream(opcode, key) + packet(packets.NOOP, opaque=FIRST_OPAQUE + 1)
    assert outcome.received == expected(opcode, key, opaque) + IN_STEP
    assert (outcome.end, outcome.refusals) == ("open", [])


@pytest.mark.parametrize("opcode", QUIET, ids=hex)
@pytest.mark.parametrize("key", [HIT, MISS], ids=["hit", "miss"])
def test_quiet_opcodes_are_loud_upstream(opcode, key):
    """And what their client doesn't want is dropped: misses of lookups, successes of everything else."""
    outcome = play_every_way(binary(), request(opcode, key, opaque=7) + NOOP)
    assert outcome.upstream == upstream(QUIET[opcode], key) + packet(packets.NOOP, opaque=FIRST_OPAQUE + 1)
    wanted = (key == HIT) is (QUIET[opcode] in LOOKUPS) and opcode != packets.FLUSHQ
    assert outcome.received == (expected(opcode, key, 7) if wanted else b"") + IN_STEP


@pytest.mark.parametrize("opcode", [*LOUD, *QUIET], ids=hex)
def test_cas_data_type_and_vbucket(opcode):
    """A cas goes up where it means something; the other two never do."""
    data = bytearray(request(opcode, cas=0x0102030405060708))
    data[5] = 9
    data[6:8] = b"\x12\x34"
    outcome = play_every_way(binary(), bytes(data))
    loud = QUIET.get(opcode, opcode)
    assert outcome.upstream == upstream(loud, cas=0x0102030405060708 if loud in WITH_CAS else 0)


@pytest.mark.parametrize(
    "opcode", [packets.SET, packets.ADDQ, packets.REPLACE, packets.APPEND, packets.PREPENDQ], ids=hex
)
@pytest.mark.parametrize("value", [b"", b"\x80" * 24, packet(packets.FLUSH), b"\r\n", bytes(range(256))], ids=repr)
def test_a_value_is_never_looked_into(opcode, value):
    data = packets.store(opcode, HIT, value, flags=0xFFFFFFFF, expiry=0xFFFFFFFF)
    outcome = play_every_way(binary(), data * 2)
    loud = QUIET.get(opcode, opcode)
    assert outcome.upstream == b"".join(
        packets.store(loud, HIT, value, flags=0xFFFFFFFF, expiry=0xFFFFFFFF, opaque=FIRST_OPAQUE + number)
        for number in range(2)
    )


@pytest.mark.parametrize("opcode", [packets.FLUSH, packets.FLUSHQ], ids=hex)
def test_flush_at_once_may_say_so(opcode):
    outcome = play_every_way(binary(), packet(opcode, extras=b"\0\0\0\0", opaque=5) + NOOP)
    assert outcome.upstream == upstream(packets.FLUSH) + packet(packets.NOOP, opaque=FIRST_OPAQUE + 1)
    assert outcome.received == (expected(opcode, opaque=5) if opcode == packets.FLUSH else b"") + IN_STEP


@pytest.mark.parametrize(
    "key", [b"", b"items", b"slabs", b"sizes", b"settings", b"reset", b"detail on", b"detail off", b"detail dump"]
)
def test_statistics(key):
    outcome = play_every_way(binary(), packet(packets.STAT, key, opaque=77) + NOOP)
    sent = packet(packets.STAT, key, opaque=FIRST_OPAQUE)
    assert outcome.upstream == sent + packet(packets.NOOP, opaque=FIRST_OPAQUE + 1)
    (frame,) = frames_of(sent)
    assert outcome.received == binary_reply(frame, opaque=77) + IN_STEP


@pytest.mark.parametrize("window", [1, 2, 1000])
def test_replies_and_refusals_come_in_the_order_of_the_requests(window):
    """Every opcode at once, refused ones between them."""
    data, wanted = b"", b""
    for number, opcode in enumerate([*LOUD, *QUIET]):
        for key in (HIT, MISS):
            data += request(opcode, key, opaque=number)
            loud = QUIET.get(opcode, opcode)
            status = expected(opcode, key)[6:8]
            dropped = b"\0\1" if loud in LOOKUPS else b"\0\0"
            if opcode == loud or status != dropped:
                wanted += expected(opcode, key, number)
        data += packet(0x1B, b"k", b"value", opaque=number)
        wanted += response(0x1B, number, 0x81, value=b"Unknown command")
    outcome = play_every_way(binary(), data, window=window, splits=range(1, len(data), 13))
    assert outcome.received == wanted


@pytest.mark.parametrize("limit", [0, 1, 1000])
@pytest.mark.parametrize("opcode", [packets.SET, packets.SETQ, packets.APPEND, packets.PREPENDQ], ids=hex)
def test_the_cap_on_values(opcode, limit):
    parser = binary(limits=WireLimits(value=limit))
    at_cap = packets.store(opcode, HIT, b"x" * limit, opaque=9)
    splits = range(1, len(at_cap) + 1, 1 + limit // 50)
    assert frames_of(play_every_way(parser, at_cap, splits=splits).upstream)
    above = packets.store(opcode, HIT, b"x" * (limit + 1), opaque=9)
    outcome = play_every_way(parser, above + NOOP, splits=splits)
    assert outcome.upstream == packet(packets.NOOP, opaque=FIRST_OPAQUE)
    assert outcome.received == response(opcode, 9, 3, value=b"Too large.") + IN_STEP
    # Its answer waits for the key, not for a body of a gigabyte.
    begun = above[: 24 + above[4] + 1]
    begun = begun[:8] + (1 << 30).to_bytes(4, "big") + begun[12:]
    assert play(parser, begun).received == response(opcode, 9, 3, value=b"Too large.")


def test_quit():
    before = request(packets.GETQ, HIT, opaque=1) + request(packets.SETQ, HIT, opaque=2)
    for opcode, goodbye in ((packets.QUIT, response(packets.QUIT, 3)), (packets.QUITQ, b"")):
        outcome = play_every_way(binary(), before + packet(opcode, opaque=3) + request(packets.GET))
        assert outcome.received == expected(packets.GETQ, HIT, 1) + goodbye
        assert (outcome.end, outcome.refusals) == ("closed", [])
        assert len(outcome.requests) == 2


def test_sasl_after_the_login():
    """Never sent upstream: memcached logs a connection out that asks for the mechanisms."""
    offering = binary(mechanisms=b"PLAIN")
    outcome = play_every_way(offering, packet(packets.LIST_MECHS, opaque=4) + NOOP)
    assert outcome.received == response(packets.LIST_MECHS, 4, value=b"PLAIN") + IN_STEP
    for opcode in (packets.AUTH, packets.STEP):
        data = request(packets.GET) + packets.sasl(b"PLAIN", b"\0a\0b", opcode) + request(packets.GET)
        for length in range(24 + 1 + 24, len(data)):
            outcome = play(offering, data[:length], [30])
            assert (len(outcome.requests), outcome.end) == (1, "log in again")


def test_counting_that_may_create_needs_to_write():
    counter, writer = ("counter", ("app:*",)), ("counter write", ("app:n*",))
    for roles, key, expiry, granted in (
        ((counter,), b"app:n", 0xFFFFFFFF, True),
        ((counter,), b"app:n", 0, False),
        ((counter,), b"app:n", 0xFFFFFFFE, False),
        ((counter, writer), b"app:n", 0, True),
        ((counter, writer), b"app:m", 0, False),
        ((writer,), b"app:n", 0xFFFFFF, True),
        ((writer,), b"app:m", 0xFFFFFFFF, False),
    ):
        for opcode in (packets.INCR, packets.DECRQ):
            data = packets.arithmetic(opcode, key, 1, 5, expiry, opaque=3)
            outcome = play_every_way(binary(*roles), data + NOOP)
            assert (len(outcome.requests) == 2) is granted, (roles, key, expiry)
            if not granted:
                assert outcome.received == response(opcode, 3, 0x24, value=b"access denied") + IN_STEP
                assert outcome.refusals[0] == ("denied", "counter" if expiry == 0xFFFFFFFF else "write")


def test_a_delta_that_looks_like_the_mark_is_none():
    """It is the expiry that says whether to create, not the same bytes elsewhere."""
    extras = struct.pack(">QQI", 2**64 - 1, 2**64 - 1, 0)
    outcome = play_every_way(binary(("counter", ("*",))), packet(packets.INCR, HIT, extras=extras))
    assert (outcome.upstream, outcome.refusals) == (b"", [("denied", "write")])


def test_the_judge_answers_what_is_expected():
    assert answer(request(packets.GET)) == expected(packets.GET)
