"""Commands that are answered by one line, for a binary upstream: one packet each, whose status becomes that line."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import OPERATIONS, Operation
from mcproxy.wire.requests import LineRequest, OutOfStep
from mcproxy.wire.text_refusals import TOO_LARGE
from mcproxy.wire.to_binary_replies import (
    NO_ITEMS_CAS,
    PacketRequest,
    block_of,
    error_line,
    expiry,
    packet,
    storing_packet,
)

OUT_OF_MEMORY_STORING: Final = b"SERVER_ERROR out of memory storing object\r\n"
OUT_OF_MEMORY: Final = b"SERVER_ERROR out of memory\r\n"
NON_NUMERIC: Final = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
ARITHMETIC_EXTRAS: Final = struct.Struct(">QQ")
_NOT_FOUND: Final = b"NOT_FOUND\r\n"
_NOT_STORED: Final = b"NOT_STORED\r\n"
_VERSION: Final = re.compile(rb"[\x21-\x7e]+").fullmatch

# Of cas's line; the other storage commands have no unique behind the length.
_CAS_WORDS: Final = 6
# The extras of what has no data block, out of the words of the line.
Extras = Callable[[list[bytes]], bytes]


@dataclass(frozen=True, slots=True)
class Verb:
    """`words` are text's for every status that the operation can have, without those of `error_line`."""

    operation: Operation
    words: dict[int, bytes]
    extras: Extras


def _none(words: list[bytes]) -> bytes:
    return b""


def _arithmetic(words: list[bytes]) -> bytes:
    return ARITHMETIC_EXTRAS.pack(int(words[2]), 0) + operations.DO_NOT_CREATE


def _touch(words: list[bytes]) -> bytes:
    return expiry(words[2]).to_bytes(4, "big")


def _verb(opcode: int, words: dict[int, bytes], extras: Extras = _none) -> Verb:
    return Verb(OPERATIONS[opcode], words, extras)


def _storage(opcode: int, **words: bytes) -> Verb:
    """`words`: by the names in binary_operations, what this verb says beside what all of them do."""
    common = {
        operations.SUCCESS: b"STORED\r\n",
        operations.VALUE_TOO_LARGE: TOO_LARGE,
        operations.OUT_OF_MEMORY: OUT_OF_MEMORY_STORING,
    }
    own = {getattr(operations, name): line for name, line in words.items()}
    return _verb(opcode, common | own)


def _counter(opcode: int) -> Verb:
    errors = {
        operations.KEY_NOT_FOUND: _NOT_FOUND,
        operations.NON_NUMERIC: NON_NUMERIC,
        operations.OUT_OF_MEMORY: OUT_OF_MEMORY,
    }
    return _verb(opcode, errors, _arithmetic)


_FLUSH_REFUSED: Final = b"CLIENT_ERROR flush_all not allowed\r\n"
VERBS: Final = {
    b"set": _storage(operations.SET),
    b"add": _storage(operations.ADD, KEY_EXISTS=_NOT_STORED),
    b"replace": _storage(operations.REPLACE, KEY_NOT_FOUND=_NOT_STORED),
    b"append": _storage(operations.APPEND, ITEM_NOT_STORED=_NOT_STORED),
    b"prepend": _storage(operations.PREPEND, ITEM_NOT_STORED=_NOT_STORED),
    # With a cas to compare, REPLACE and SET are one; but SET takes away the item if the value is too large, and the
    # text protocol's cas doesn't.
    b"cas": _storage(operations.REPLACE, KEY_NOT_FOUND=_NOT_FOUND, KEY_EXISTS=b"EXISTS\r\n"),
    b"incr": _counter(operations.INCREMENT),
    b"decr": _counter(operations.DECREMENT),
    b"delete": _verb(operations.DELETE, {operations.SUCCESS: b"DELETED\r\n", operations.KEY_NOT_FOUND: _NOT_FOUND}),
    b"touch": _verb(
        operations.TOUCH, {operations.SUCCESS: b"TOUCHED\r\n", operations.KEY_NOT_FOUND: _NOT_FOUND}, _touch
    ),
    # -F: the status that elsewhere says that nobody is logged in.
    b"flush_all": _verb(
        operations.FLUSH, {operations.SUCCESS: b"OK\r\n", operations.AUTHENTICATION_ERROR: _FLUSH_REFUSED}
    ),
    b"mn": _verb(operations.NOOP, {operations.SUCCESS: b"MN\r\n"}),
    b"version": _verb(operations.VERSION, {}),
}


class BinaryLine(PacketRequest):
    """One of these commands, whose line is `words`, and whose data block begins at `block`, if it has one.

    `upstream` is all of it, until the packet is made of that.
    """

    __slots__ = ("_block", "_operation", "_silent", "_verb", "_words")

    def __init__(self, request: LineRequest, verb: Verb, words: list[bytes], block: int) -> None:
        # Spelled out rather than left to PacketRequest: this is made for every value that is written.
        self.sink = request.sink
        self.upstream = request.upstream
        self.cost = 1
        self.count = request.count
        self.lookups = self.hits = 0
        self.done = False
        self.opcode = verb.operation.sent
        self.opaque = self.status = self.unique = self.start = self.length = 0
        self._operation = verb.operation
        self._verb = verb
        self._words = words
        self._block = block
        self._silent = request.silent

    def packet(self, upstream_opaque: int) -> bytes:
        """The operation, with the value out of the text's block."""
        self.opaque = upstream_opaque
        words = self._words
        operation = self._operation
        key = words[1] if operation.key else b""
        if not operation.value:
            return packet(self.opcode, key, self._verb.extras(words), b"", upstream_opaque, 0)
        value = block_of(self.upstream, self._block)
        if not operation.extras:
            return packet(self.opcode, key, b"", value, upstream_opaque, 0)
        unique = 0 if len(words) < _CAS_WORDS else int(words[5]) or NO_ITEMS_CAS
        return storing_packet(self.opcode, key, words[2], words[3], value, upstream_opaque, unique)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one packet."""
        operation = self._operation
        if not self.compare(buffer, position, b"", operation.reply_extras):
            return position
        end = self.start + self.length
        if self.status == operations.SUCCESS and self.length not in operation.reply_values:
            raise OutOfStep("a reply that the operation cannot have")
        if end > len(buffer):
            return position
        line = self._line(buffer[self.start : end])
        if not self._silent:
            self.sink.deliver(line)
        self.done = True
        return end

    def fail(self, reason: bytes) -> None:
        """One error line, unless the client asked for no reply."""
        if not self._silent:
            self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")

    def _line(self, value: bytes) -> bytes:
        line = self._verb.words.get(self.status)
        if line is not None:
            return line
        if self.status != operations.SUCCESS:
            return error_line(self._operation.errors, self.status, value)
        if self.opcode != operations.VERSION:
            return b"%d\r\n" % int.from_bytes(value, "big")
        if _VERSION(value) is None:
            raise OutOfStep("a version that can't be one")
        return b"VERSION " + value + b"\r\n"
