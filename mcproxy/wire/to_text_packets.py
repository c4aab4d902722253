"""Requests that go up as text lines, and are answered to the client as packets: what all of them have in common.

The words of errors are those that memcached 1.6.18 sends in its own binary protocol.
"""

import re
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary import TEXTS as REFUSALS
from mcproxy.wire.binary_operations import HEADER, RESPONSE_MAGIC, reply
from mcproxy.wire.binary_requests import BinaryRequest
from mcproxy.wire.requests import Request, expect_more

TEXTS: Final = {
    **REFUSALS,
    operations.KEY_EXISTS: b"Data exists for key.",
    operations.ITEM_NOT_STORED: b"Not stored.",
    operations.NON_NUMERIC: b"Non-numeric server-side value for incr or decr",
    operations.AUTHENTICATION_ERROR: b"Auth failure.",
}
SERVER_ERROR: Final = b"SERVER_ERROR "
_TOO_LARGE: Final = b"object too large for cache"
# memcached's words for being out of memory differ between its protocols; it uses several, in both cases.
_OUT_OF_MEMORY: Final = {
    b"out of memory storing object": b"Out of memory allocating item",
    b"out of memory": b"Out of memory incrementing value",
}
_FAILURE: Final = re.compile(grammar.FAILURE).match
_UNDENIED_FAILURE: Final = re.compile(grammar.SERVER_ERROR).match


class AnsweredByPackets(Request):
    """One packet of the client, as text. `line` goes up; `opcode` and `opaque` are the client's."""

    __slots__ = ("key", "opaque", "opcode", "operation")
    releases: bool = True

    def __init__(self, request: BinaryRequest, line: bytes) -> None:
        super().__init__(request.sink, line, 1, request.count)
        self.operation = request.operation
        self.opcode = request.opcode
        self.opaque = request.opaque
        self.key = request.key
        self.lookups = request.lookups

    def fail(self, reason: bytes) -> None:
        """An error packet, which quiet operations show too."""
        self.sink.deliver(reply(self.opcode, operations.TEMPORARY_FAILURE, self.opaque, reason))

    def header(self, extras: int, key: int, value: int, cas: int, status: int = operations.SUCCESS) -> bytes:
        """The header of a reply with extras, key and value of these lengths in bytes."""
        length = extras + key + value
        return HEADER.pack(RESPONSE_MAGIC, self.opcode, key, extras, 0, status, length, self.opaque, cas)

    def succeed(self, value: bytes, cas: int = 0) -> None:
        """Deliver a success that has no extras, unless the client wants none."""
        if self.operation.dropped != operations.SUCCESS:
            self.sink.deliver(self.header(0, 0, len(value), cas) + value)
        self.done = True

    def refuse(self, status: int, words: bytes | None = None) -> None:
        """Deliver an error packet with these words, or memcached's own for the status."""
        if status != self.operation.dropped:
            self.sink.deliver(reply(self.opcode, status, self.opaque, TEXTS[status] if words is None else words))
        self.done = True

    def take_failure(self, buffer: bytes, position: int) -> int:
        """Consume an error line that every request of its kind can have, if it has come. Raises OutOfStep."""
        # What no role is needed for can't be denied.
        match = (_FAILURE if self.operation.classes else _UNDENIED_FAILURE)(buffer, position)
        if match is None:
            expect_more(buffer, position)
            return position
        line = match[0]
        if not line.startswith(SERVER_ERROR):
            self.refuse(operations.NO_ACCESS)
            return match.end()
        words = line[len(SERVER_ERROR) : -2]
        possible = self.operation.errors
        if words == _TOO_LARGE and operations.VALUE_TOO_LARGE in possible:
            self.refuse(operations.VALUE_TOO_LARGE)
        elif words.lower().startswith(b"out of memory") and operations.OUT_OF_MEMORY in possible:
            self.refuse(operations.OUT_OF_MEMORY, _OUT_OF_MEMORY.get(words, words))
        else:
            self.refuse(operations.TEMPORARY_FAILURE, words)
        return match.end()


_FLUSH_REFUSED: Final = b"CLIENT_ERROR flush_all not allowed\r\n"
# The command of each operation that has no key, and a pattern of its success; a group is the value of the packet.
_KEYLESS: Final = {
    operations.FLUSH: (b"flush_all\r\n", re.compile(rb"OK()\r\n")),
    operations.NOOP: (b"mn\r\n", re.compile(rb"MN()\r\n")),
    operations.VERSION: (b"version\r\n", re.compile(rb"VERSION ([\x21-\x7e]{1,64})\r\n")),
}


class KeylessAsText(AnsweredByPackets):
    """FLUSH, NOOP and VERSION: one line each, and no name in the reply to compare."""

    __slots__ = ("success",)

    def __init__(self, request: BinaryRequest) -> None:
        line, self.success = _KEYLESS[request.operation.sent]
        super().__init__(request, line)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one line."""
        match = self.success.match(buffer, position)
        if match is not None:
            self.succeed(match[1])
            return match.end()
        if self.operation.sent == operations.FLUSH and buffer.startswith(_FLUSH_REFUSED, position):
            self.refuse(operations.AUTHENTICATION_ERROR)
            return position + len(_FLUSH_REFUSED)
        return self.take_failure(buffer, position)
