"""Text commands as packets: exactly what goes up for each, and what is refused because there is no packet for it."""

import pytest

from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.requests import Request
from mcproxy.wire.text import TextParser
from mcproxy.wire.to_binary import to_binary
from tests.support import packets
from tests.support.packets import arithmetic, packet, store, touching
from tests.unit.wire.driving import Collector
from tests.unit.wire.going_up_as_packets import FIRST_OPAQUE, packets_of, refusal
from tests.unit.wire.granting import EVERYTHING, text_rules

EXPIRED = 2592001
NEVER = 0xFFFFFFFFFFFFFFFF
NOT_AVAILABLE = b"CLIENT_ERROR not available: upstream speaks only the binary protocol\r\n"

ONE_PACKET = [
    (b"get k\r\n", packet(packets.GETK, b"k")),
    (b"gets k\r\n", packet(packets.GETK, b"k")),
    (b"gat 100 k\r\n", touching(packets.GATK, b"k", 100)),
    (b"gats -1 k\r\n", touching(packets.GATK, b"k", EXPIRED)),
    (b"set k 7 100 5\r\nvalue\r\n", store(packets.SET, b"k", b"value", flags=7, expiry=100)),
    (b"set k 4294967295 -1 0 noreply\r\n\r\n", store(packets.SET, b"k", b"", flags=0xFFFFFFFF, expiry=EXPIRED)),
    (b"add k 7 2147483647 2\r\n\r\n\r\n", store(packets.ADD, b"k", b"\r\n", flags=7, expiry=2147483647)),
    (b"replace k 0 0 1\r\nx\r\n", store(packets.REPLACE, b"k", b"x")),
    (b"append k 5 5 1\r\nx\r\n", store(packets.APPEND, b"k", b"x")),
    (b"prepend k 5 5 1\r\nx\r\n", store(packets.PREPEND, b"k", b"x")),
    (b"cas k 1 2 1 33\r\nx\r\n", store(packets.REPLACE, b"k", b"x", flags=1, expiry=2, cas=33)),
    (b"cas k 1 2 1 0\r\nx\r\n", store(packets.REPLACE, b"k", b"x", flags=1, expiry=2, cas=NEVER)),
    (b"incr k 18446744073709551615\r\n", arithmetic(packets.INCR, b"k", 2**64 - 1)),
    (b"decr k 0 noreply\r\n", arithmetic(packets.DECR, b"k", 0)),
    (b"delete k\r\n", packet(packets.DELETE, b"k")),
    (b"touch k 9\r\n", touching(packets.TOUCH, b"k", 9)),
    (b"touch k -1\r\n", touching(packets.TOUCH, b"k", EXPIRED)),
    (b"flush_all\r\n", packet(packets.FLUSH)),
    (b"version\r\n", packet(packets.VERSION)),
    (b"mn\r\n", packet(packets.NOOP)),
    (b"stats\r\n", packet(packets.STAT)),
    (b"stats detail dump\r\n", packet(packets.STAT, b"detail dump")),
    (b"mg k\r\n", packet(packets.GETK, b"k")),
    (b"mg Zm9v b v k\r\n", packet(packets.GETK, b"foo")),
    (b"mg k T30 v\r\n", touching(packets.GATK, b"k", 30)),
    (b"mg k T-5\r\n", touching(packets.GATK, b"k", EXPIRED)),
    (b"ms k 2\r\nxy\r\n", store(packets.SET, b"k", b"xy")),
    (b"ms Zm9v 2 b F7 T9 MS s\r\nxy\r\n", store(packets.SET, b"foo", b"xy", flags=7, expiry=9)),
    (b"ms k 1 ME T-1\r\nx\r\n", store(packets.ADD, b"k", b"x", expiry=EXPIRED)),
    (b"ms k 1 ME C5\r\nx\r\n", store(packets.ADD, b"k", b"x")),
    (b"ms k 1 MA F3\r\nx\r\n", store(packets.APPEND, b"k", b"x")),
    (b"ms k 1 MA C0\r\nx\r\n", store(packets.APPEND, b"k", b"x")),
    (b"ms k 1 MP C5\r\nx\r\n", store(packets.PREPEND, b"k", b"x", cas=5)),
    (b"ms k 1 MR\r\nx\r\n", store(packets.REPLACE, b"k", b"x")),
    (b"ms k 1 MR C5\r\nx\r\n", store(packets.SET, b"k", b"x", cas=5)),
    (b"ms k 1 C0\r\nx\r\n", store(packets.SET, b"k", b"x", cas=NEVER)),
    (b"md k q\r\n", packet(packets.DELETE, b"k")),
    (b"md Zm9v b C7\r\n", packet(packets.DELETE, b"foo", cas=7)),
    (b"md k C0\r\n", packet(packets.DELETE, b"k", cas=NEVER)),
    (b"ma k\r\n", arithmetic(packets.INCR, b"k", 1)),
    (b"ma k N0 J13 D2\r\n", arithmetic(packets.INCR, b"k", 2, 13, 0)),
    (b"ma k N-1 MI\r\n", arithmetic(packets.INCR, b"k", 1, 0, EXPIRED)),
    (b"ma k J13 M- C4\r\n", arithmetic(packets.DECR, b"k", 1, 13, cas=4)),
    (b"ma k MD C0\r\n", arithmetic(packets.DECR, b"k", 1)),
    (b"ma k M+\r\n", arithmetic(packets.INCR, b"k", 1)),
]


@pytest.mark.parametrize(("text", "expected"), ONE_PACKET, ids=[repr(text) for text, _ in ONE_PACKET])
def test_what_goes_up(text: bytes, expected: bytes) -> None:
    opaque = FIRST_OPAQUE.to_bytes(4, "big")
    assert packets_of(text) == [expected[:12] + opaque + expected[16:]]


@pytest.mark.parametrize("size", [16 * 1024 - 2, 16 * 1024 - 1, 100_000])
@pytest.mark.parametrize(
    ("line", "opcode"),
    [(b"set k 7 0 %d\r\n", packets.SET), (b"append k 7 0 %d\r\n", packets.APPEND), (b"ms k %d F7\r\n", packets.SET)],
)
def test_a_value_copied_or_viewed(line: bytes, opcode: int, size: int) -> None:
    """A longer one than 16 KiB with its line end is not copied first."""
    value = (b"\r\n" + bytes(range(256)) * (size // 256 + 1))[:size]
    parser = TextParser(text_rules(EVERYTHING, WireLimits(value=size, keys=1)), Collector())
    request = parser.next(line % size + value + b"\r\n", 0, 1)
    assert isinstance(request, Request)
    translated = to_binary(request)
    assert isinstance(translated, Request)
    assert translated.packet(0) == store(opcode, b"k", value, flags=7)


def test_a_packet_for_every_key() -> None:
    """Of every line of a run, under consecutive opaques."""
    sent = packets_of(b"get a b\r\nget c\r\n")
    keys = [b"a", b"b", b"c"]
    assert sent == [packet(packets.GETK, key, opaque=index) for key, index in zip(keys, [2**32 - 1, 0, 1], strict=True)]
    assert packets_of(b"get a\r\nget b\r\nget c\r\n") == sent


def test_a_retrieval_that_is_cut_has_them_all() -> None:
    keys = [b"%d" % number for number in range(30)]
    sent = packets_of(b"gat 5 %b\r\n" % b" ".join(keys), room=20)
    opaques = [(FIRST_OPAQUE + number) % 2**32 for number in range(30)]
    assert sent == [touching(packets.GATK, key, 5, opaque=opaque) for key, opaque in zip(keys, opaques, strict=True)]


@pytest.mark.parametrize(
    "line",
    [
        *(b"stats conns", b"stats cachedump 1 1", b"stats extstore", b"cache_memlimit 1", b"lru mode flat"),
        *(b"slabs automove 1", b"lru_crawler enable", b"lru_crawler metadump all", b"watch", b"watch evictions"),
        *(b"shutdown", b"refresh_certs", b"me k", b"me Zm9v b"),
    ],
)
def test_what_is_not_available(line: bytes) -> None:
    answer = refusal(line + b"\r\n")
    assert (answer.reply, answer.reason, answer.swallow, answer.close) == (
        NOT_AVAILABLE,
        "not translatable",
        None,
        False,
    )


def test_a_refusal_that_nobody_wants_to_see() -> None:
    assert refusal(b"cache_memlimit 1 noreply\r\n").reply == b""
    assert refusal(b"verbosity 1 noreply\r\n").reply == b""


def test_verbosity_is_granted_without_effect() -> None:
    answer = refusal(b"verbosity 1\r\n")
    assert (answer.reply, answer.reason) == (b"OK\r\n", "")


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        *((b"mg k v %b O1\r\n" % flag, flag[:1]) for flag in (b"h", b"l", b"t", b"u", b"N1", b"R1", b"C1")),
        (b"ms k 3 I C1\r\nabc\r\n", b"I"),
        (b"ms k 3 N1\r\nabc\r\n", b"N"),
        (b"md k I\r\n", b"I"),
        (b"md k T1 I\r\n", b"T"),
        (b"ma k t v\r\n", b"t"),
        (b"ma k T1 q\r\n", b"T"),
    ],
)
def test_flags_that_binary_has_no_word_for(text: bytes, flag: bytes) -> None:
    """By name, and not hidden by q; a data block has been taken with it."""
    answer = refusal(text)
    expected = b"CLIENT_ERROR not available: upstream speaks only the binary protocol, without flag %b\r\n" % flag
    assert (answer.reply, answer.reason, answer.swallow) == (expected, "not translatable", None)
