"""The PROXY header, by which a load balancer says whose connection it passes on.

Source: haproxy's doc/proxy-protocol.txt, versions 1 (section 2.1) and 2 (section 2.2). Whether the sender may be
believed at all is decided elsewhere; here a header is well-formed to the last byte, or it is refused.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

LONGEST_LINE: Final = 107
"""Bytes of a version 1 header with its CRLF: "if the CRLF sequence is not found in the first 107 characters, the
receiver should declare the line invalid"."""
LONGEST_BLOCK: Final = 2048
"""Bytes of a version 2 header behind its first 16. The format allows 65535; addresses and what balancers add to them
take a few hundred."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = 16
_LINE_START: Final = b"PROXY "
_PORT: Final = rb"(?:0|[1-9][0-9]{0,4})"
# inet_ntop(3) writes at most 39 characters of an IPv6 address, 45 with an IPv4 address at its end.
_TCP: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) (%b) (%b)" % (_PORT, _PORT))
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?")

_LOCAL, _PROXY = 0x20, 0x21  # version and command
_UNSPECIFIED = 0
_STREAM = 1
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESS_BYTES: Final = {_INET: 4, _INET6: 16, _UNIX: 108}
_BLOCK_BYTES: Final = {_INET: 12, _INET6: 36, _UNIX: 216}
_CRC32C: Final = 3  # PP2_TYPE_CRC32C, section 2.2.3


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`source` is the client's address, IPv4 where it was IPv4-mapped IPv6. None means that of the connection itself: a
    health check (LOCAL), or a client that has none (UNKNOWN, a unix socket). `length`: bytes of the header.
    """

    source: IPv4Address | IPv6Address | None
    length: int


class ProxyHeaderError(ValueError):
    """What came is no PROXY header, or a wrong one. The message is one of few, and holds nothing that was sent."""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with; None while more of it has to come. Raises ProxyHeaderError.

    Never waits for more than `16 + LONGEST_BLOCK` bytes, and refuses junk at the first byte that shows it.
    """
    if data[:1] == b"P":
        return _version_1(data)
    if not _SIGNATURE.startswith(data[: len(_SIGNATURE)]):
        raise ProxyHeaderError("no PROXY header, which a listed balancer must send first")
    return _version_2(data) if len(data) >= len(_SIGNATURE) else None


def _version_1(data: bytes) -> ProxyHeader | None:
    if not _LINE_START.startswith(data[: len(_LINE_START)]):
        raise ProxyHeaderError("no PROXY header, which a listed balancer must send first")
    end = data.find(b"\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyHeaderError(f"the PROXY line is longer than {LONGEST_LINE} bytes")
        return None
    # "The receiver must not tolerate a single CR or LF character to end the line."
    if data[end - 1] != 0x0D:
        raise ProxyHeaderError("the PROXY line doesn't end in CR LF")
    line = data[: end - 1]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(None, end + 1)
    if not (match := _TCP.fullmatch(line)) or int(match[4]) > 0xFFFF or int(match[5]) > 0xFFFF:
        raise ProxyHeaderError("the PROXY line is malformed")
    kind = IPv4Address if match[1] == b"4" else IPv6Address
    try:
        source, _ = kind(match[2].decode("ascii")), kind(match[3].decode("ascii"))
    except AddressValueError:
        source = None
    if source is None:
        raise ProxyHeaderError("an address in the PROXY line is malformed, or of another family than it says")
    return ProxyHeader(_client(source), end + 1)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise ProxyHeaderError("the PROXY header is of an unknown version or has an unknown command")
    if len(data) < _FIXED:
        return None
    size = int.from_bytes(data[14:16])
    if size > LONGEST_BLOCK:
        raise ProxyHeaderError(f"the PROXY header is longer than {LONGEST_BLOCK} bytes")
    length = _FIXED + size
    # "The receiver must use the real connection endpoints and discard the protocol block including the family."
    local = data[12] == _LOCAL
    family, transport = data[13] >> 4, data[13] & 0xF
    if not local and (family not in (_UNSPECIFIED, *_BLOCK_BYTES) or transport not in (_UNSPECIFIED, _STREAM)):
        raise ProxyHeaderError("the PROXY header is not about a TCP connection")
    if len(data) < length:
        return None
    if local or family == _UNSPECIFIED or transport == _UNSPECIFIED:
        return ProxyHeader(None, length)
    if size < _BLOCK_BYTES[family]:
        raise ProxyHeaderError("the PROXY header has no room for its addresses")
    _check_additions(data[:length], _FIXED + _BLOCK_BYTES[family])
    packed = data[_FIXED : _FIXED + _ADDRESS_BYTES[family]]
    if family == _INET:
        return ProxyHeader(_client(IPv4Address(packed)), length)
    return ProxyHeader(_client(IPv6Address(packed)) if family == _INET6 else None, length)


def _check_additions(header: bytes, start: int) -> None:
    """What follows the addresses, each with type and length (section 2.2.1), is skipped; a checksum must be right."""
    while start < len(header):
        value = start + 3
        end = value + int.from_bytes(header[start + 1 : value])
        if value > len(header) or end > len(header):
            raise ProxyHeaderError("what follows the addresses in the PROXY header is malformed")
        if header[start] == _CRC32C:
            zeroed = header[:value] + bytes(end - value) + header[end:]
            if end - value != 4 or crc32c(zeroed) != int.from_bytes(header[value:end]):
                raise ProxyHeaderError("the checksum of the PROXY header is wrong")
        start = end


def _client(source: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Refuses what no client can have as its address, whatever an allowlist says of it."""
    if isinstance(source, IPv6Address) and source.ipv4_mapped is not None:
        source = source.ipv4_mapped
    if source.is_unspecified or source.is_multicast:
        raise ProxyHeaderError("the PROXY header names an address that no client can have")
    return source


def _crc_table() -> tuple[int, ...]:
    """CRC-32C (RFC 3720 appendix B.4) of each byte; the polynomial is 0x1EDC6F41, its bits reversed."""
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """The checksum that PP2_TYPE_CRC32C carries."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF
