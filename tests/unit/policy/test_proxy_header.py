"""The PROXY header, versions 1 and 2: what is one, what it says, and that nothing else passes."""

import random
from ipaddress import ip_address

import pytest

from mcproxy.policy.proxy_header import (
    LONGEST_BLOCK,
    LONGEST_LINE,
    ProxyHeaderError,
    crc32c,
    parse_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def block(version_and_command=0x21, family=0x11, content=bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2])):
    return SIGNATURE + bytes([version_and_command, family]) + len(content).to_bytes(2) + content


def inet6(source, destination="2001:db8::2"):
    return ip_address(source).packed + ip_address(destination).packed + b"\0\1\0\2"


def addition(kind, value):
    return bytes([kind]) + len(value).to_bytes(2) + value


def with_checksum(before=b"", after=b""):
    content = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]) + before
    zeroed = block(content=content + addition(3, bytes(4)) + after)
    checksum = crc32c(zeroed)
    return block(content=content + addition(3, checksum.to_bytes(4)) + after)


UNIX = b"/run/client".ljust(108, b"\0") + b"/run/balancer".ljust(108, b"\0")
RIGHT = {
    "IPv4": (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65535\r\n", "10.0.0.1"),
    "port 0": (b"PROXY TCP4 10.0.0.1 10.0.0.2 0 0\r\n", "10.0.0.1"),
    "longest IPv4": (b"PROXY TCP4 254.255.255.255 255.255.255.255 65535 65535\r\n", "254.255.255.255"),
    "IPv6": (b"PROXY TCP6 2001:db8::7 ::1 56324 443\r\n", "2001:db8::7"),
    "capitals": (b"PROXY TCP6 2001:DB8::A ::1 56324 443\r\n", "2001:db8::a"),
    "longest IPv6": (
        b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b":".join([b"fd00"] * 8),) * 2),
        ":".join(["fd00"] * 8),
    ),
    "IPv4-mapped": (b"PROXY TCP6 ::ffff:10.0.0.5 ::1 1 2\r\n", "10.0.0.5"),
    "IPv4-mapped in hexadecimal": (b"PROXY TCP6 ::ffff:a00:5 ::1 1 2\r\n", "10.0.0.5"),
    "loopback": (b"PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n", "127.0.0.9"),
    "unknown": (b"PROXY UNKNOWN\r\n", None),
    "unknown and more": (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    "unknown and anything": (b"PROXY UNKNOWN \xff\0 junk\r\n", None),
    "IPv4 2": (block(), "10.0.0.1"),
    "IPv6 2": (block(family=0x21, content=inet6("2001:db8::7")), "2001:db8::7"),
    "IPv4-mapped 2": (block(family=0x21, content=inet6("::ffff:10.0.0.5")), "10.0.0.5"),
    "unix": (block(family=0x31, content=UNIX), None),
    "unspecified": (block(family=0x00, content=b""), None),
    "unspecified with content": (block(family=0x00, content=b"\xff" * 20), None),
    "unspecified transport": (block(family=0x10), None),
    "local": (block(0x20, 0x00, b""), None),
    "local with addresses": (block(0x20), None),
    "local with anything": (block(0x20, 0xFF, b"\xff" * 7), None),
    "additions": (
        block(content=block()[16:] + addition(1, b"h2") + addition(4, b"") + addition(0xEA, b"x")),
        "10.0.0.1",
    ),
    "longest 2": (block(content=(block()[16:] + addition(4, bytes(LONGEST_BLOCK - 15)))), "10.0.0.1"),
    "checksum": (with_checksum(), "10.0.0.1"),
    "checksum amid others": (with_checksum(addition(1, b"h2"), addition(2, b"name")), "10.0.0.1"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_header_is_understood_whatever_follows_and_however_it_is_cut(name):
    data, source = RIGHT[name]
    for behind in (b"", b"\n", b"get a\r\n", b"\x16\x03\x01", data):
        header = parse_proxy_header(data + behind)
        assert header is not None
        assert header.length == len(data)
        assert header.source == (None if source is None else ip_address(source))
    for cut in range(len(data)):
        assert parse_proxy_header(data[:cut]) is None, "a header that isn't whole says nothing"


JUNK = "no PROXY header, which a listed balancer must send first"
MALFORMED = "the PROXY line is malformed"
ADDRESS = "an address in the PROXY line is malformed, or of another family than it says"
IMPOSSIBLE = "the PROXY header names an address that no client can have"
WRONG = {
    b"get a\r\n": JUNK,
    b"\x16\x03\x01": JUNK,
    b"\x80\x0a": JUNK,
    b"\0": JUNK,
    b"proxy TCP4 10.0.0.1 10.0.0.2 1 2\r\n": JUNK,
    b"PROXY\tTCP4": JUNK,
    b"PROXY\r\n": JUNK,
    b"\r\nPROXY": JUNK,
    b" PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n": JUNK,
    SIGNATURE[:-1] + b"\r": JUNK,
    b"PROXY \r\n": MALFORMED,
    b"PROXY TCP4\r\n": MALFORMED,
    b"PROXY TCP5 10.0.0.1 10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY tcp4 10.0.0.1 10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY unknown\r\n": MALFORMED,
    b"PROXY UNKNOWNx\r\n": MALFORMED,
    b"PROXY  TCP4 10.0.0.1 10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1  10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 \r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 65536\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 65536 1\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 -1 2\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n": MALFORMED,
    "PROXY TCP4 10.0.0.1 10.0.0.2 \u0661 2\r\n".encode(): MALFORMED,
    b"PROXY TCP4 10.0.0.1\0 10.0.0.2 1 2\r\n": MALFORMED,
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n": MALFORMED,
    b"PROXY TCP4 10.0.0.01 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP4 10.0.0.256 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP4 10.0.1 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP4 167772161 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP4 10.0.0.1 ::1 1 2\r\n": ADDRESS,
    b"PROXY TCP4 ::ffff:10.0.0.1 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n": ADDRESS,
    b"PROXY TCP6 2001:db8::00007 ::1 1 2\r\n": ADDRESS,
    b"PROXY TCP6 1::2::3 ::1 1 2\r\n": ADDRESS,
    b"PROXY TCP6 ::ffff:10.0.0.05 ::1 1 2\r\n": ADDRESS,
    b"PROXY TCP4 0.0.0.0 10.0.0.2 1 2\r\n": IMPOSSIBLE,
    b"PROXY TCP6 :: ::1 1 2\r\n": IMPOSSIBLE,
    b"PROXY TCP4 224.0.0.1 10.0.0.2 1 2\r\n": IMPOSSIBLE,
    b"PROXY TCP6 ff02::1 ::1 1 2\r\n": IMPOSSIBLE,
    b"PROXY TCP6 ::ffff:224.0.0.1 ::1 1 2\r\n": IMPOSSIBLE,
    b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n": "the PROXY line doesn't end in CR LF",
    b"PROXY \n\r\n": "the PROXY line doesn't end in CR LF",
    b"PROXY UNKNOWN ".ljust(LONGEST_LINE, b"x"): "the PROXY line is longer than 107 bytes",
    b"PROXY UNKNOWN ".ljust(LONGEST_LINE - 1, b"x") + b"\r\n": "the PROXY line is longer than 107 bytes",
    block(0x11): "the PROXY header is of an unknown version or has an unknown command",
    block(0x22): "the PROXY header is of an unknown version or has an unknown command",
    block(family=0x12): "the PROXY header is not about a TCP connection",
    block(family=0x22, content=inet6("2001:db8::7")): "the PROXY header is not about a TCP connection",
    block(family=0x32, content=UNIX): "the PROXY header is not about a TCP connection",
    block(family=0x13): "the PROXY header is not about a TCP connection",
    block(family=0x41): "the PROXY header is not about a TCP connection",
    block(content=bytes(11)): "the PROXY header has no room for its addresses",
    block(family=0x21): "the PROXY header has no room for its addresses",
    block(family=0x31, content=UNIX[:-1]): "the PROXY header has no room for its addresses",
    block(content=bytes(12)): IMPOSSIBLE,
    block(family=0x21, content=inet6("::ffff:0.0.0.0")): IMPOSSIBLE,
    block(content=bytes(LONGEST_BLOCK + 1))[:16]: "the PROXY header is longer than 2048 bytes",
    block(0x20, 0, bytes(LONGEST_BLOCK + 1))[:16]: "the PROXY header is longer than 2048 bytes",
    block(content=block()[16:] + b"\4"): "what follows the addresses in the PROXY header is malformed",
    block(content=block()[16:] + b"\4\0"): "what follows the addresses in the PROXY header is malformed",
    block(content=block()[16:] + b"\4\0\1"): "what follows the addresses in the PROXY header is malformed",
    block(content=block()[16:] + b"\4\xff\xffabc"): "what follows the addresses in the PROXY header is malformed",
    block(content=block()[16:] + addition(3, b"")): "the checksum of the PROXY header is wrong",
    block(content=block()[16:] + addition(3, b"\0\0\0\0")): "the checksum of the PROXY header is wrong",
    with_checksum(after=addition(3, b"\0\0\0\0")): "the checksum of the PROXY header is wrong",
}


@pytest.mark.parametrize("data", WRONG)
def test_what_is_wrong_is_refused_and_its_reason_repeats_nothing_of_it(data):
    with pytest.raises(ProxyHeaderError) as refused:
        parse_proxy_header(data)
    assert str(refused.value) == WRONG[data]
    assert refused.value.__context__ is None, "another error could carry what was sent into a log"
    refusals = []
    for cut in range(len(data)):
        try:
            assert parse_proxy_header(data[:cut]) is None
        except ProxyHeaderError:
            refusals.append(cut)
    assert refusals == list(range(len(data) - len(refusals), len(data))), "what is refused stays refused"


def test_junk_is_refused_at_the_byte_that_shows_it():
    for data in (b"PROXY ", SIGNATURE):
        for place in range(1, len(data)):
            with pytest.raises(ProxyHeaderError):
                parse_proxy_header(data[:place] + b"\x01")


@pytest.mark.parametrize("seed", range(20))
def test_no_change_of_a_right_header_makes_anything_but_a_header_or_a_refusal(seed):
    chance = random.Random(seed)
    rights = [data for data, _ in RIGHT.values()]
    outcomes = set()
    for _ in range(500):
        data = bytearray(chance.choice(rights))
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(3):
                case 0:
                    data.insert(place, chance.randrange(256))
                case 1:
                    del data[place : place + chance.randint(1, 4)]
                case 2 if place < len(data):
                    data[place] = chance.randrange(256)
        try:
            header = parse_proxy_header(bytes(data))
        except ProxyHeaderError:
            outcomes.add("refused")
            continue
        outcomes.add("waits" if header is None else "header")
        if header is None:
            assert len(data) < 16 + LONGEST_BLOCK, "it waits for no more than a header can have"
        else:
            assert header.length <= len(data)
    assert outcomes == {"refused", "waits", "header"}


def test_a_single_changed_bit_breaks_the_checksum():
    right = with_checksum(addition(2, b"name"))
    # But for the lengths of the two additions, and the type that makes the second a checksum.
    for place in set(range(16, len(right))) - {29, 30, 35, 36, 37}:
        for bit in range(8):
            changed = bytearray(right)
            changed[place] ^= 1 << bit
            with pytest.raises(ProxyHeaderError):
                parse_proxy_header(bytes(changed))


def test_the_checksum_is_castagnoli_s():
    """RFC 3720 appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
