"""Binary frames (cases 20 to 25): only well-formed packets with known opcodes and plain keys reach memcached."""

import struct

import pytest

from tests.support import packets
from tests.support.conversation import Connection
from tests.support.cutting import WAYS, cuts, listener_for
from tests.support.packets import packet
from tests.support.pressure import push_until_refused
from tests.support.processes import resident_bytes
from tests.support.proxy import Proxy
from tests.support.tap import Tap

MIB = 1 << 20
KEYED = [code for code in range(0x25) if code not in range(0x20, 0x23)]
for keyless in (
    packets.QUIT,
    packets.FLUSH,
    packets.NOOP,
    packets.VERSION,
    packets.STAT,
    packets.QUITQ,
    packets.FLUSHQ,
):
    KEYED.remove(keyless)
for unknown in (packets.VERBOSITY, 0x1F):
    KEYED.remove(unknown)
STORES = [packets.SET, packets.ADD, packets.REPLACE, packets.SETQ, packets.ADDQ, packets.REPLACEQ]


def refused_and_closed(connection: Connection, *statuses: int) -> None:
    """One error with one of these statuses, and the end."""
    answer = connection.response()
    assert answer.status in statuses, f"{answer}\n{connection}"
    connection.expect_closed()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000001, 0x7FFFFFFF, 0x40000001])
@pytest.mark.parametrize("code", [packets.GET, packets.SET, packets.SETQ, packets.APPEND, packets.NOOP, packets.STAT])
def test_a_body_that_claims_too_much(proxy: Proxy, tap: Tap, code: int, length: int, way: str) -> None:
    extras = b"\0" * 8 if code in STORES else b""
    sent = packet(code, b"" if code in (packets.NOOP, packets.STAT) else b"k", extras=extras, body_length=length)
    before = resident_bytes(proxy.pid)
    for pieces in cuts(sent, way):
        with proxy.logged_in_binary(listener=listener_for(way)) as connection:
            connection.send(sent, pieces)
            refused_and_closed(connection, packets.INVALID)
    assert resident_bytes(proxy.pid) - before < 4 * MIB
    assert tap.recording.requests() == []


@pytest.mark.parametrize("code", KEYED)
def test_lengths_that_contradict_each_other(proxy: Proxy, tap: Tap, code: int) -> None:
    good = packets.with_key(code, b"key")
    body = packets.HEADER.unpack(good[:24])[6]
    wrong = {
        "key longer than the body": good[:2] + b"\x00\xfa" + good[4:],
        "key of no bytes": packets.with_key(code, b""),
        "a byte of extras too many": good[:4]
        + bytes([good[4] + 1])
        + good[5:8]
        + struct.pack(">I", body + 1)
        + good[12:24]
        + b"\0"
        + good[24:],
    }
    if good[4]:
        wrong["no extras"] = (
            good[:4] + b"\0" + good[5:8] + struct.pack(">I", body - good[4]) + good[12:24] + good[24 + good[4] :]
        )
    if code not in (*STORES, packets.APPEND, packets.PREPEND, packets.APPENDQ, packets.PREPENDQ):
        wrong["a value where none may be"] = (
            good[:8] + struct.pack(">I", body + 24) + good[12:] + packet(packets.VERSION)
        )
    for name, sent in wrong.items():
        with proxy.logged_in_binary() as connection:
            connection.send(sent)
            answer = connection.response()
            expected = packets.UNKNOWN if name == "key longer than the body" else packets.INVALID
            assert answer.status == expected, f"{name}: {answer}\n{connection}"
            connection.expect_closed()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", KEYED)
def test_a_key_that_text_could_not_name(proxy: Proxy, tap: Tap, code: int, way: str) -> None:
    """Bytes of a key that would be something else on a text line are refused; the connection stays in step or ends."""
    keys = [b"a b\r\nget x", b"a b", b"a\nb", b"a\0b", b"\x7f", b"k" * 251]
    for key in keys if way == "whole" else keys[:1]:
        sent = packets.with_key(code, key, opaque=9)
        for pieces in cuts(sent, way):
            with proxy.logged_in_binary(listener=listener_for(way)) as connection:
                connection.send(sent, pieces)
                answer = connection.response()
                assert (answer.status, answer.opaque) == (packets.INVALID, 9), f"{key!r}: {answer}\n{connection}"
                connection.send(packet(packets.NOOP, opaque=packets.IN_STEP))
                after = connection.receive(24)
                assert after == b"" or after[12:16] == packets.IN_STEP.to_bytes(4, "big"), str(connection)
    assert tap.recording.requests() == []


@pytest.mark.parametrize("code", [packets.VERBOSITY, 0x1F, *range(0x25, 0x100)])
def test_unknown_opcodes_get_an_answer_of_the_proxy(proxy: Proxy, tap: Tap, code: int) -> None:
    for sent in (
        packet(code, opaque=5),
        packet(code, b"key", opaque=5),
        packets.store(code, b"key", b"value", opaque=5),
    ):
        with proxy.logged_in_binary() as connection:
            answer = connection.ask(sent)
            assert (answer.opcode, answer.status, answer.opaque) == (code, packets.UNKNOWN, 5), str(connection)
            connection.in_step_binary()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("opcode", [packets.FLUSH, packets.FLUSHQ])
def test_a_flush_with_a_delay_is_refused(proxy: Proxy, tap: Tap, opcode: int) -> None:
    with proxy.logged_in_binary() as connection:
        assert connection.ask(packet(opcode, extras=b"\0\0\3\xe8")).status != packets.OK
    assert tap.recording.requests() == []


@pytest.mark.parametrize("opcode", [packets.FLUSH, packets.FLUSHQ])
def test_a_flush_with_a_delay_of_zero_is_a_flush(proxy: Proxy, opcode: int) -> None:
    """As python-binary-memcached and memccapable send it; what goes up has no extras."""
    with proxy.logged_in_binary() as connection:
        connection.ask(packets.store(packets.SET, b"flushed", b"x"))
        connection.send(packet(opcode, extras=bytes(4), opaque=8))
        if opcode == packets.FLUSH:
            assert connection.response().opaque == 8
        assert connection.ask(packet(packets.GET, b"flushed")).status == packets.NOT_FOUND
        connection.in_step_binary()


def test_response_magic_first_is_closed(proxy: Proxy, tap: Tap) -> None:
    with proxy.connect() as connection:
        connection.send(packet(packets.GET, b"k", magic=0x81))
        connection.finish_sending()
        assert len(connection.rest()) < 1024
    with proxy.logged_in_binary() as connection:
        connection.send(packet(packets.GET, b"k", magic=0x81))
        assert b"VALUE" not in connection.rest()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("text", [b"get k\r\n", b"version\r\n" * 10, b"\x00" * 24, b"\x81" * 24])
@pytest.mark.parametrize("before", [b"", packet(packets.NOOP)], ids=["at once", "after a NOOP"])
def test_text_after_binary_ends_the_connection(proxy: Proxy, tap: Tap, before: bytes, text: bytes) -> None:
    with proxy.logged_in_binary() as connection:
        connection.send(before + text)
        if before:
            assert connection.response().status == packets.OK
        said = connection.rest()
        assert len(said) <= 64, str(connection)
        assert b"VERSION" not in said
    assert tap.recording.requests() == []


def test_a_long_auth_before_login_is_not_collected(proxy: Proxy, tap: Tap) -> None:
    before = resident_bytes(proxy.pid)
    with proxy.connect() as connection:
        connection.send_while_reading(packet(packets.AUTH, b"PLAIN", b"x" * MIB))
        assert len(connection.rest()) < 256
    assert resident_bytes(proxy.pid) - before < MIB
    assert tap.recording.requests() == []


@pytest.mark.parametrize("way", WAYS)
def test_a_value_that_looks_like_packets(proxy: Proxy, way: str) -> None:
    value = packet(packets.VERSION) + b"END\r\n" + b"\x81" * 24 + bytes(range(256))
    sent = packets.store(packets.SET, b"k", value, flags=7, opaque=1) + packet(packets.GETK, b"k", opaque=2)
    for pieces in cuts(sent, way):
        with proxy.logged_in_binary(listener=listener_for(way)) as connection:
            connection.send(sent, pieces)
            stored, got = connection.response(), connection.response()
            assert (stored.opcode, stored.status, stored.opaque, stored.value) == (packets.SET, 0, 1, b"")
            assert (got.opaque, got.extras, got.key, got.value) == (2, b"\0\0\0\7", b"k", value)
            assert got.cas == stored.cas != 0
            connection.in_step_binary()


@pytest.mark.parametrize("code", [packets.GETQ, packets.GETKQ, packets.GATQ, packets.GATKQ])
@pytest.mark.parametrize("opaque", [0, 0x12345678, 0xFFFFFFFF])
def test_quiet_reads_keep_opcode_and_opaque_and_hide_misses(proxy: Proxy, code: int, opaque: int) -> None:
    with proxy.logged_in_binary() as connection:
        connection.ask(packets.store(packets.SET, b"here", b"value"))
        connection.send(b"".join(packets.with_key(code, key, opaque=opaque) for key in (b"gone", b"here", b"gone")))
        answer = connection.response()
        assert (answer.opcode, answer.opaque, answer.value) == (code, opaque, b"value")
        assert answer.key == (b"here" if code in (packets.GETKQ, packets.GATKQ) else b"")
        connection.in_step_binary()


@pytest.mark.parametrize("code", [0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x19, 0x1A])
def test_quiet_writes_hide_success_and_show_errors(proxy: Proxy, code: int) -> None:
    present, absent = packets.store(packets.SET, b"quiet", b"5"), packet(packets.DELETE, b"quiet")
    works_on, fails_on = (absent, present) if code == packets.ADDQ else (present, absent)
    with proxy.logged_in_binary() as connection:
        connection.ask(works_on)
        connection.send(packets.with_key(code, b"quiet", opaque=3))
        connection.in_step_binary()
        connection.ask(fails_on)
        cas = 99 if code == packets.SETQ else 0  # otherwise a SET always works
        answer = connection.ask(packets.with_key(code, b"quiet", opaque=3, cas=cas))
        assert (answer.opcode, answer.opaque) == (code, 3), str(connection)
        assert answer.status in (packets.NOT_FOUND, packets.EXISTS, packets.NOT_STORED), str(answer)
        connection.in_step_binary()


@pytest.mark.parametrize("code", [*STORES, packets.APPEND, packets.PREPEND, packets.APPENDQ, packets.PREPENDQ])
def test_a_value_over_the_cap_is_swallowed(proxy: Proxy, tap: Tap, code: int) -> None:
    def attempt(size: int) -> None:
        with proxy.logged_in_binary() as connection:
            connection.send_while_reading(packets.store(code, b"k", packet(packets.VERSION) * (size // 24), opaque=4))
            answer = connection.response()
            assert (answer.opcode, answer.status, answer.opaque) == (code, packets.TOO_LARGE, 4), str(connection)
            connection.in_step_binary()

    attempt(MIB + 24)
    before = resident_bytes(proxy.pid)
    attempt(24 * MIB)
    assert resident_bytes(proxy.pid) - before < MIB
    assert tap.recording.requests() == []


def test_a_hundred_thousand_quiet_gets(proxy: Proxy) -> None:
    """Nobody reads at first: the proxy stops taking requests, does not grow, and then has every answer right."""
    count, value = 100_000, b"v" * 1000
    # As long as keys may be: the kernel's buffers take some 8 MB before a proxy that doesn't read is noticed.
    present, absent = b"p" * 250, b"a" * 250
    with proxy.logged_in_binary() as connection:
        connection.ask(packets.store(packets.SET, present, value))
        batch = [packet(packets.GETQ, present if number % 10 else absent, opaque=number) for number in range(count)]
        sent = b"".join(batch) + packet(packets.NOOP, opaque=packets.IN_STEP)
        before = resident_bytes(proxy.pid)
        taken = push_until_refused(connection, sent)
        assert taken < len(sent), "the proxy took everything although nobody read"
        assert resident_bytes(proxy.pid) - before < 16 * MIB
        connection.send_while_reading(sent[taken:])
        for number in range(count):
            if number % 10:
                answer = connection.response()
                assert (answer.opcode, answer.opaque, answer.value) == (packets.GETQ, number, value)
        answer = connection.response()
        assert (answer.opcode, answer.opaque) == (packets.NOOP, packets.IN_STEP)
        assert resident_bytes(proxy.pid) - before < 16 * MIB
