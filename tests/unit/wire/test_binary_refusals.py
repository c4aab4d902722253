"""Binary packets that may not go upstream: one answer each, in step where the packet's end can be believed."""

import pytest

from mcproxy.wire.outcome import Pending, Refusal
from mcproxy.wire.requests import Request
from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import response
from tests.unit.wire.driving import FIRST_OPAQUE, Collector, play, play_every_way
from tests.unit.wire.granting import LIMITS, binary
from tests.unit.wire.test_binary_frames import IN_STEP, KEYED, KEYLESS, LOUD, NOOP, QUIET, request

INVALID = (0x04, b"Invalid arguments")
DENIED = (0x24, b"access denied")
UNKNOWN = (0x81, b"Unknown command")
OPCODES = [*LOUD, *QUIET]
NAMED = [opcode for opcode in OPCODES if QUIET.get(opcode, opcode) in KEYED]
LARGEST = 1 << 30


def refused(data: bytes, status: tuple[int, bytes], *, roles=(), denied: str = "", splits=None) -> None:
    """The packet has this one answer, nothing of it goes up, and the next one is read as one."""
    if len(data) > 60:
        splits = [*range(1, 60), len(data) - 1, len(data), len(data) + 1]
    outcome = play_every_way(binary(*roles), data + NOOP, splits=splits)
    assert outcome.upstream == packet(packets.NOOP, opaque=FIRST_OPAQUE)
    assert outcome.received == response(data[1], 0xABCD, status[0], value=status[1]) + IN_STEP
    assert outcome.end == "open" and [lacks for _, lacks in outcome.refusals] == [denied]


def ended(data: bytes, status: tuple[int, bytes] = INVALID) -> None:
    """Refused by the header alone, without waiting for a body, and nothing behind it is looked at."""
    wanted = response(data[1], 0xABCD, status[0], value=status[1])
    for behind in (b"", NOOP + request(packets.GET)):
        outcome = play_every_way(binary(), NOOP + data + behind, splits=[1, 24, 25, 31, 32, 36, 47, 48, 49, 52])
        assert outcome.upstream == packet(packets.NOOP, opaque=FIRST_OPAQUE)
        assert (outcome.received, outcome.end) == (IN_STEP + wanted, "closed")
    assert play(binary(), data[:24]).received == wanted
    assert play(binary(), data[:23]).end == "unfinished"


@pytest.mark.parametrize("magic", [0x00, 0x0A, 0x67, 0x7F, 0x81, 0xFF])
def test_another_magic_closes(magic):
    """Case 23: text after binary too; without a word, as there is no telling in which protocol to say it."""
    for data in (packet(packets.GET, b"b", magic=magic), bytes([magic]), bytes([magic]) * 100):
        outcome = play_every_way(binary(), NOOP + data + NOOP)
        assert (outcome.received, outcome.end) == (IN_STEP, "closed")
        assert outcome.refusals == [("not a binary packet", "")]


@pytest.mark.parametrize("opcode", [*OPCODES, packets.STAT, packets.QUIT, 0x1B, 0xFF], ids=hex)
def test_a_body_that_nobody_may_send(opcode):
    """Case 20."""
    for body_length in (LARGEST + 1, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF):
        ended(packet(opcode, b"b", opaque=0xABCD, body_length=body_length))


@pytest.mark.parametrize("opcode", [*OPCODES, packets.STAT, packets.QUIT, 0x1B, 0xFF], ids=hex)
def test_a_key_longer_than_the_body(opcode):
    """Case 21: an unknown command in memcached's words, whatever the opcode."""
    ended(packet(opcode, b"b", opaque=0xABCD, key_length=2), UNKNOWN)
    ended(packet(opcode, b"b", opaque=0xABCD, key_length=0xFFFF), UNKNOWN)
    ended(packet(opcode, b"b", extras=b"12345678", opaque=0xABCD, body_length=8), UNKNOWN)
    ended(packet(opcode, extras=b"1", opaque=0xABCD, body_length=0), UNKNOWN)


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_extras_of_another_length(opcode):
    """Case 21; TOUCH and GAT would run what is behind them as the next packet."""
    right = request(opcode)[4]
    for length in {0, 1, 3, 4, 5, 7, 8, 9, 12, 19, 20, 21, 24, 255} - {right}:
        key = b"b" if opcode in NAMED else b""
        if (opcode, length) not in ((packets.FLUSH, 4), (packets.FLUSHQ, 4)):
            ended(packet(opcode, key, extras=b"\0" * length, opaque=0xABCD))


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_bodies_of_what_has_none(opcode):
    if opcode in NAMED:
        extras = request(opcode)[24 : 24 + request(opcode)[4]]
        ended(packet(opcode, b"", extras=extras, opaque=0xABCD))
        ended(packet(opcode, b"", b"value", extras=extras, opaque=0xABCD))
        for length in (251, 252, 1000):
            ended(packet(opcode, b"k" * length, extras=extras, opaque=0xABCD))
        takes_value = QUIET.get(opcode, opcode) in (1, 2, 3, 0x0E, 0x0F)
        if not takes_value:
            ended(packet(opcode, b"b", packet(packets.VERSION), extras=extras, opaque=0xABCD))
    else:
        ended(packet(opcode, b"b", opaque=0xABCD))
        ended(packet(opcode, b"", b"v", opaque=0xABCD))
        ended(packet(opcode, b"", b"1234", opaque=0xABCD))


SASL = [packets.LIST_MECHS, packets.AUTH, packets.STEP]
UNKNOWN_OPCODES = sorted({*range(256)} - {*OPCODES, *SASL, packets.STAT, packets.QUIT, packets.QUITQ})


@pytest.mark.parametrize("number", range(16))
def test_unknown_opcodes_never_go_up(number):
    """With their bodies: memcached itself would lose count."""
    for opcode in UNKNOWN_OPCODES[number::16]:
        for data in (b"", b"v" * 30, packet(packets.FLUSH)):
            refused(packet(opcode, b"", data, opaque=0xABCD), UNKNOWN, splits=[2, 23, 24, 25, 40, 48])
            with_a_login = play(binary(mechanisms=b"PLAIN"), packet(opcode, b"", data, opaque=0xABCD) + NOOP)
            assert with_a_login.received == response(opcode, 0xABCD, UNKNOWN[0], value=UNKNOWN[1]) + IN_STEP
        refused(packet(opcode, b"k", b"v", extras=b"1234", opaque=0xABCD, cas=5), UNKNOWN, splits=[24, 29, 30, 31])
        assert play(binary(), packet(opcode, opaque=0xABCD, body_length=LARGEST)).end == "unfinished"
        # A key that no operation could have is an error of its own, before memcached looks at the opcode.
        ended(packet(opcode, b"k" * 251, b"v", opaque=0xABCD))


@pytest.mark.parametrize("opcode", [packets.QUIT, packets.QUITQ], ids=hex)
def test_quit_has_no_body(opcode):
    for body in ({"key": b"k"}, {"value": b"v"}, {"extras": b"1234"}):
        ended(packet(opcode, opaque=0xABCD, **body))


@pytest.mark.parametrize("mechanisms", [None, b"PLAIN"])
def test_sasl_packets_that_memcached_would_not_take(mechanisms):
    """Never an unknown command where a login is offered: some clients take that for "no login needed"."""
    malformed = [packet(packets.LIST_MECHS, opaque=0xABCD, **body) for body in ({"key": b"k"}, {"extras": b"1"})]
    malformed += [packet(opcode, b"PLAIN", extras=b"1", opaque=0xABCD) for opcode in SASL[1:]]
    malformed += [packet(opcode, b"", b"data", opaque=0xABCD) for opcode in SASL[1:]]
    for data in malformed:
        outcome = play_every_way(binary(mechanisms=mechanisms), data + NOOP)
        if mechanisms is not None and data[1] != packets.LIST_MECHS:
            assert (outcome.received, outcome.end) == (b"", "log in again")
        else:
            assert outcome.received == response(data[1], 0xABCD, INVALID[0], value=INVALID[1])
            assert outcome.end == "closed"


@pytest.mark.parametrize("opcode", SASL, ids=hex)
def test_sasl_where_no_login_is_offered(opcode):
    key = b"" if opcode == packets.LIST_MECHS else b"PLAIN"
    refused(packet(opcode, key, b"data" if key else b"", opaque=0xABCD), UNKNOWN)


BAD_KEYS = [b"a b", b" ", b"\0", b"a\r\nget x", b"a b\r\nget x", b"\x7f", b"a\t", b"\n", b"a\0b", b"k" * 249 + b" "]


@pytest.mark.parametrize("opcode", NAMED, ids=hex)
def test_keys_that_text_could_not_name(opcode):
    """Case 25: what is one key here could be two there."""
    for key in BAD_KEYS:
        refused(request(opcode, key, opaque=0xABCD), INVALID)
        refused(request(opcode, key, opaque=0xABCD), INVALID, roles=(("read", ("app:*",)),))


@pytest.mark.parametrize("opcode", [packets.FLUSH, packets.FLUSHQ], ids=hex)
@pytest.mark.parametrize("delay", [b"\0\0\0\1", b"\xff\xff\xff\xff", b"\1\0\0\0"])
def test_flush_later(opcode, delay):
    refused(packet(opcode, extras=delay, opaque=0xABCD), INVALID)
    refused(packet(opcode, extras=delay, opaque=0xABCD), DENIED, roles=(("read", ("*",)),), denied="flush")
    refused(packet(opcode, extras=b"\0\0\0\0", opaque=0xABCD), DENIED, roles=(("read", ("*",)),), denied="flush")


NO_STATISTICS = [b"cachedump", b"cachedump 1 0", b"conns", b"extstore", b"resetxyz", b"r", b"detail", b"detail o"]
NO_STATISTICS += [b"detail on ", b" ", b"a\0", b"sizes_enable", b"ITEMS", b"items ", b" items", b"k" * 250, b"\r\n"]


@pytest.mark.parametrize("key", NO_STATISTICS, ids=lambda key: repr(key[:14]))
def test_statistics_that_there_are_none(key):
    """Exact words only: memcached takes `resetxyz` for `reset`."""
    refused(packet(packets.STAT, key, opaque=0xABCD), (0x01, b"Not found"))
    refused(packet(packets.STAT, key, opaque=0xABCD), (0x01, b"Not found"), roles=(("read", ()),))


def test_malformed_statistics():
    ended(packet(packets.STAT, b"k" * 251, opaque=0xABCD))
    ended(packet(packets.STAT, b"items", b"x", opaque=0xABCD))
    ended(packet(packets.STAT, b"items", extras=b"1", opaque=0xABCD))
    ended(packet(packets.STAT, b"", b"items", opaque=0xABCD))


CLASSES = {
    "read": [packets.GET, packets.GETQ, packets.GETK, packets.GETKQ],
    "touch": [packets.TOUCH, packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ],
    "write": [opcode for opcode in OPCODES if QUIET.get(opcode, opcode) in (1, 2, 3, 0x0E, 0x0F)],
    "delete": [packets.DELETE, packets.DELETEQ],
    "counter": [packets.INCR, packets.INCRQ, packets.DECR, packets.DECRQ],
}


def test_every_named_opcode_has_a_class():
    assert sorted(opcode for opcodes in CLASSES.values() for opcode in opcodes) == sorted(NAMED)


@pytest.mark.parametrize("lacks", CLASSES)
def test_denied_keys(lacks):
    all_but_one = " ".join(set(CLASSES) - {lacks})
    for opcode in CLASSES[lacks]:
        refused(request(opcode, b"app:a", opaque=0xABCD), DENIED, roles=((all_but_one, ("*",)),), denied=lacks)
        roles = ((lacks, ("app:*",)), (all_but_one, ("*",)))
        refused(request(opcode, b"ap", opaque=0xABCD), DENIED, roles=roles, denied=lacks)
        assert play_every_way(binary(*roles), request(opcode, b"app:", opaque=1)).upstream


@pytest.mark.parametrize(
    ("data", "lacks"),
    [
        (packet(packets.FLUSH, opaque=0xABCD), "flush"),
        (packet(packets.FLUSHQ, opaque=0xABCD), "flush"),
        (packet(packets.STAT, opaque=0xABCD), "stats"),
        (packet(packets.STAT, b"items", opaque=0xABCD), "inspect"),
        (packet(packets.STAT, b"detail dump", opaque=0xABCD), "inspect"),
        (packet(packets.STAT, b"reset", opaque=0xABCD), "admin"),
        (packet(packets.STAT, b"detail off", opaque=0xABCD), "admin"),
    ],
)
def test_denied_operations_without_a_key(data, lacks):
    others = " ".join({"read", "flush", "stats", "inspect", "admin"} - {lacks})
    refused(data, DENIED, roles=((others, ("*",)),), denied=lacks)
    # A class on some keys is not the class.
    refused(data, DENIED, roles=((others, ("*",)), (lacks, ("app:*",))), denied=lacks)


def test_without_any_grant_only_noop_and_version_remain():
    for opcode in OPCODES:
        outcome = play_every_way(binary(("read", ())), request(opcode, opaque=1))
        assert bool(outcome.upstream) is (opcode in (packets.NOOP, packets.VERSION))
    assert len(KEYLESS) == 3


@pytest.mark.parametrize("key", [b"x", b"a b"])
def test_the_body_of_a_denied_value_is_swallowed(key):
    """Whatever its length, and before it has come."""
    for size in (0, 1, 100, 5000):
        data = packets.store(packets.SET, key, packet(packets.FLUSH) * (size // 24) + b"x", opaque=1)
        status = DENIED if key == b"x" else INVALID
        outcome = play_every_way(binary(("write", ("app:*",))), data + NOOP, splits=range(1, 80))
        assert outcome.received == response(packets.SET, 1, status[0], value=status[1]) + IN_STEP
        answered = play(binary(("write", ("app:*",))), data[: 24 + 8 + len(key)])
        assert answered.received == response(packets.SET, 1, status[0], value=status[1])


def test_what_is_kept_of_a_frame_that_comes_slowly_is_bounded():
    """The parser asks for the header, then for the key, then for a value that may go up; nothing else is ever kept."""
    sink = Collector()
    parser = binary()(sink)
    frames = [request(opcode, b"k" * 250) for opcode in OPCODES] + [packet(packets.STAT, b"k" * 250)]
    frames += [packets.store(packets.SET, b"k", b"v" * LIMITS.value), packets.store(packets.SET, b"k", b"v" * 10_000)]
    for data in frames:
        length, asked = 1, 0
        while (outcome := parser.next(data[:length], 0, 10)) is Pending.INCOMPLETE:
            assert length < parser.needed <= 24 + 20 + 250 + LIMITS.value
            assert not parser.until_newline
            length, asked = parser.needed, asked + 1
        assert asked <= 3
        assert isinstance(outcome, Request | Refusal)
