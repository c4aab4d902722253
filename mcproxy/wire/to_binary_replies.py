"""What requests of text clients to a binary upstream have in common: making a packet, and holding the reply to it.

A reply must carry the opcode and the opaque that were sent, a status and a shape that the operation can have, and where
it names a key, that key (R3). A guard can deny any operation that needs a role, and have lost its upstream at any.
"""

import re
import struct
from collections.abc import Container
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary_operations import HEADER, HEADER_LENGTH, REQUEST_MAGIC, RESPONSE_MAGIC
from mcproxy.wire.error_lines import DENIED
from mcproxy.wire.requests import LoginWanted, OutOfStep, Request, Sink

OPAQUES: Final = 1 << 32
# For a cas unique of 0: in text it is never that of an item, in binary it means that nothing is compared.
NO_ITEMS_CAS: Final = 0xFFFFFFFFFFFFFFFF
# What memcached makes of a negative time: more than 30 days, so a date, and one of January 1970.
EXPIRED: Final = 2592001
_MINUS: Final = ord("-")
# A header, and behind it the extras of SET, ADD and REPLACE: flags and the time.
_storing_header: Final = struct.Struct(HEADER.format + "II").pack
_STORE_EXTRAS: Final = 8
# Up to here a copy of the value is quicker than a view of it.
_LONG_BLOCK: Final = 16 * 1024
_LONGEST_ERROR: Final = 1024
_SERVER_ERROR: Final = re.compile(grammar.SERVER_ERROR).fullmatch


class PacketRequest(Request):
    """Reads replies to `opcode`, which went up under `opaque`.

    `compare` finds the reply's `status`, its cas `unique` and its value, `length` bytes from `start`.
    """

    __slots__ = ("length", "opaque", "opcode", "start", "status", "unique")
    releases: bool = True

    def __init__(self, sink: Sink, upstream: bytes, cost: int, count: str, opcode: int) -> None:
        super().__init__(sink, upstream, cost, count)
        self.opcode = opcode
        self.opaque = self.status = self.unique = self.start = self.length = 0

    def compare(self, buffer: bytes, position: int, key: bytes, extras: int) -> bool:
        """Whether the packet at `position` has come up to its value; it is held against what was asked.

        `key` is what a hit and a miss name, b"" if they name none; a success has `extras` bytes of extras. Raises
        OutOfStep if it is no reply to this request, whatever its status means.
        """
        if len(buffer) - position < HEADER_LENGTH:
            return False
        # Declared, or the compiled form would compare them as objects.
        magic: int
        opcode: int
        key_length: int
        extras_length: int
        data_type: int
        status: int
        body: int
        opaque: int
        magic, opcode, key_length, extras_length, data_type, status, body, opaque, self.unique = HEADER.unpack_from(
            buffer, position
        )
        if magic != RESPONSE_MAGIC or opcode != self.opcode or opaque != self.opaque or data_type:
            raise OutOfStep("a reply to another request")
        length = body - key_length - extras_length
        if status == operations.SUCCESS:
            fits = extras_length == extras and key_length == len(key) and 0 <= length <= grammar.LARGEST_LENGTH
        elif status == operations.KEY_NOT_FOUND and key:
            fits = extras_length == 0 and key_length == len(key) and length == 0
        else:
            fits = extras_length == 0 and key_length == 0 and 0 <= length <= _LONGEST_ERROR
        if not fits:
            raise OutOfStep("a reply that the operation cannot have")
        start = position + HEADER_LENGTH + extras_length + key_length
        if start > len(buffer):
            return False
        if key_length and not buffer.startswith(key, start - key_length):
            raise OutOfStep("a reply about another key")
        self.status = status
        self.start = start
        self.length = length
        return True


def packet(opcode: int, key: bytes, extras: bytes, value: bytes | memoryview, opaque: int, unique: int) -> bytes:
    """A canonical request packet. The value is copied once."""
    length = len(key) + len(extras) + len(value)
    return b"".join(
        (HEADER.pack(REQUEST_MAGIC, opcode, len(key), len(extras), 0, 0, length, opaque, unique), extras, key, value)
    )


def storing_packet(
    opcode: int, key: bytes, flags: bytes, time: bytes, value: bytes | memoryview, opaque: int, unique: int
) -> bytes:
    """`packet` for SET, ADD and REPLACE, which most packets with a value are. `flags` and `time` as text has them."""
    length = len(key) + _STORE_EXTRAS + len(value)
    number = 0 if flags == b"0" else int(flags)
    until = expiry(time)
    header = _storing_header(
        REQUEST_MAGIC, opcode, len(key), _STORE_EXTRAS, 0, 0, length, opaque, unique, number, until
    )
    return b"".join((header, key, value))


def block_of(text: bytes, start: int) -> bytes | memoryview:
    """The data block from `start` to the end of a storage command, without its line end."""
    return text[start:-2] if len(text) - start <= _LONG_BLOCK else memoryview(text)[start:-2]


def expiry(token: bytes) -> int:
    """A time of text as the unsigned one of binary. Its 0xffffffff is the year 2106, not the past."""
    if token == b"0":
        return 0
    return EXPIRED if token[0] == _MINUS else int(token)


def error_line(errors: Container[int], status: int, words: bytes) -> bytes:
    """What text says of a status that any operation can have, denials if they are among its `errors`.

    Raises OutOfStep for all others.
    """
    if status == operations.NO_ACCESS and status in errors:
        return DENIED
    if status == operations.AUTHENTICATION_ERROR:
        raise LoginWanted
    line = b"SERVER_ERROR " + words + b"\r\n"
    if status != operations.TEMPORARY_FAILURE or _SERVER_ERROR(line) is None:
        raise OutOfStep("a reply that the operation cannot have")
    return line
