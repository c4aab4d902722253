"""The tokens of the canonical grammar: exactly what they name, nothing beside it."""

import base64
import binascii
import random
import re

import pytest

from mcproxy.wire import grammar

EDGES = [9, 10, 99, 100, 101, 109, 110, 190, 199, 255, 999, 1000, 65535, 1 << 20, 1 << 30, 2**31 - 1, 2**31, 2**32 - 1]
EDGES += [2**32, 10**9, 10**9 - 1, 2**63 - 1, 2**64 - 1, 10**19]


def matcher(largest: int):
    return re.compile(grammar.decimal_at_most(largest)).fullmatch


def test_small_numbers_are_all_told_apart():
    for largest in range(0, 131):
        matches = matcher(largest)
        accepted = [number for number in range(0, 1300) if matches(b"%d" % number)]
        assert accepted == list(range(largest + 1))


@pytest.mark.parametrize("largest", EDGES)
def test_large_numbers_end_where_they_should(largest):
    matches = matcher(largest)
    chosen = random.Random(largest)
    numbers = {
        0,
        1,
        largest - 1,
        largest,
        largest + 1,
        largest * 10,
        largest * 10 + 9,
        largest + 10 ** len(str(largest)),
    }
    numbers |= {chosen.randrange(2 * largest) for _ in range(300)}
    # Numbers that differ from the largest in one digit.
    digits = str(largest)
    numbers |= {int(digits[:at] + digit + digits[at + 1 :]) for at in range(len(digits)) for digit in "0123456789"}
    for number in numbers:
        assert (matches(b"%d" % number) is not None) is (number <= largest), number


@pytest.mark.parametrize(
    "spelling", ["", "00", "01", "+1", "-1", "-0", " 1", "1 ", "1\n", "1\0", "1x", "0x1", "1e1", "\u0661"]
)
def test_one_number_has_one_spelling(spelling):
    for largest in (0, 7, 10, 255, 2**31 - 1, 2**64 - 1):
        assert matcher(largest)(spelling.encode()) is None


@pytest.mark.parametrize(
    ("matches", "largest"),
    [
        (grammar.is_uint32, 2**32 - 1),
        (grammar.is_uint64, 2**64 - 1),
        (grammar.is_length, 1 << 30),
        (grammar.is_exptime, 2**31 - 1),
    ],
    ids=["32 bits", "64 bits", "length", "exptime"],
)
def test_ranges(matches, largest):
    assert matches(b"0") and matches(b"%d" % largest)
    assert not matches(b"%d" % (largest + 1))


def test_exptime_is_negative_in_one_way():
    assert grammar.is_exptime(b"-1")
    for other in (b"-0", b"-2", b"-10", b"-2147483648", b"--1", b"- 1", b"-"):
        assert not grammar.is_exptime(other), other


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (b"-1", b"-1"),
        (b"-2", b"-1"),
        (b"-010", b"-1"),
        (b"-2147483649", b"-1"),
        (b"-4294967295", b"-1"),
        (b"-" + b"9" * 60, b"-1"),
        (b"-0", b"0"),
        (b"-000", b"0"),
        (b"00", b"0"),
        (b"007", b"7"),
        (b"0", b"0"),
        (b"60", b"60"),
    ],
)
def test_a_time_has_one_spelling(written, sent):
    assert grammar.plain_exptime(written) == sent


@pytest.mark.parametrize(
    "other", [b"", b"-", b"--1", b"-1x", b"-1\n", b"+1", b"1x", b"0x1", b"- 1", b"1.5", b"0-", b"-x", b"0/1", b"0:1"]
)
def test_what_is_no_number_stays_as_it_is(other):
    assert grammar.plain_exptime(other) == other
    assert grammar.plain_number(other) == other


def test_a_number_has_no_leading_zeros():
    assert [grammar.plain_number(text) for text in (b"0", b"00", b"01", b"0010", b"100")] == [
        b"0",
        b"0",
        b"1",
        b"10",
        b"100",
    ]
    assert grammar.plain_number(b"-1") == b"-1"
    assert [grammar.plain_number(b"0%d" % digit) for digit in range(10)] == [b"%d" % digit for digit in range(10)]


@pytest.mark.parametrize(
    ("token", "key"),
    [(b"Zm9v", b"foo"), (b"Zg==", b"f"), (b"Zm8=", b"fo"), (b"gIH/", b"\x80\x81\xff"), (b"QUFB" * 62, b"AAA" * 62)],
)
def test_base64_of_a_key(token, key):
    assert grammar.decode_key(token) == key


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"Zm9",
        b"Zm9=",  # bits that are left over
        b"Zh==",
        b"Zm!9v",
        b"Zm9v\n",
        b"Zm9vYg==Zm9v",
        b"=m9v",
        b"====",
        b"Zm-_",  # base64url
        b"YSBi",  # "a b"
        b"YQpi",
        b"AAAA",
        b"YX9i",  # a DEL
        b"QUFB" * 63,
    ],
)
def test_what_is_no_base64_of_a_key(token):
    assert grammar.decode_key(token) is None


def reference(token: bytes) -> bytes | None:
    """The same, by the standard library: what it decodes strictly and encodes to the same characters."""
    try:
        key = base64.b64decode(token, validate=True)
    except binascii.Error:
        return None
    sound = base64.b64encode(key) == token and len(key) > 0 and all(byte > 0x20 and byte != 0x7F for byte in key)
    return key if sound else None


@pytest.mark.parametrize("token", [b"Zm9v", b"Zm8=", b"Zg==", b"Zm9vZm9v", b"Zm9vZm8=", b"Zm9vZg==", b"/+//"])
def test_base64_whatever_stands_in_any_place(token):
    for at in range(len(token)):
        for byte in range(256):
            changed = token[:at] + bytes([byte]) + token[at + 1 :]
            assert grammar.decode_key(changed) == reference(changed), changed


@pytest.mark.parametrize("length", range(1, 14))
def test_base64_of_any_length(length):
    for padding in (b"", b"=", b"=="):
        for last in (b"", b"A", b"Q", b"E", b"8"):
            token = b"Zm9vZm9vZm9vZm8"[:length] + last + padding
            assert grammar.decode_key(token) == reference(token), token


def test_the_longest_base64_key():
    assert grammar.decode_key(b"QUFB" * 62) == b"A" * 186
    assert grammar.decode_key(b"QUFB" * 61 + b"QUE=") == b"A" * 185
    assert grammar.decode_key(b"QUFB" * 63) is None


def test_bytes_of_a_key():
    allowed = {byte for byte in range(256) if grammar.is_key(bytes([byte]))}
    assert allowed == set(range(256)) - set(range(0x21)) - {0x7F}
    for byte in set(range(256)) - allowed:
        for key in (b"%ca", b"a%c", b"a%cb"):
            assert not grammar.is_key(key % byte)


@pytest.mark.parametrize(
    ("length", "fits"), [(0, False), (1, True), (249, True), (250, True), (251, False), (500, False)]
)
def test_length_of_a_key(length, fits):
    assert (grammar.is_key(b"k" * length) is not None) is fits
    assert (grammar.is_key(b"\xff" * length) is not None) is fits
