"""Commands that are answered by one line, for a binary upstream: one packet each, whose status becomes that line."""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import OPERATIONS
from mcproxy.wire.requests import LineRequest, OutOfStep
from mcproxy.wire.text_refusals import TOO_LARGE
from mcproxy.wire.to_binary_replies import NO_ITEMS_CAS, PacketRequest, error_line, expiry, packet

OUT_OF_MEMORY_STORING: Final = b"SERVER_ERROR out of memory storing object\r\n"
OUT_OF_MEMORY: Final = b"SERVER_ERROR out of memory\r\n"
NON_NUMERIC: Final = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
STORE_EXTRAS: Final = struct.Struct(">II")
ARITHMETIC_EXTRAS: Final = struct.Struct(">QQ")
_NOT_FOUND: Final = b"NOT_FOUND\r\n"
_NOT_STORED: Final = b"NOT_STORED\r\n"
_VERSION: Final = re.compile(rb"[\x21-\x7e]+").fullmatch

# What goes up beside the key: extras and the cas to compare, out of the words of the line.
Arguments = Callable[[list[bytes]], tuple[bytes, int]]


@dataclass(frozen=True, slots=True)
class Verb:
    """`words` are text's for every status that the operation can have, without those of `error_line`."""

    opcode: int
    words: dict[int, bytes]
    arguments: Arguments
    block: bool = False


def _none(words: list[bytes]) -> tuple[bytes, int]:
    return b"", 0


def _store(words: list[bytes]) -> tuple[bytes, int]:
    return STORE_EXTRAS.pack(int(words[2]), expiry(words[3])), 0


def _compare_and_store(words: list[bytes]) -> tuple[bytes, int]:
    return STORE_EXTRAS.pack(int(words[2]), expiry(words[3])), int(words[5]) or NO_ITEMS_CAS


def _arithmetic(words: list[bytes]) -> tuple[bytes, int]:
    return ARITHMETIC_EXTRAS.pack(int(words[2]), 0) + operations.DO_NOT_CREATE, 0


def _touch(words: list[bytes]) -> tuple[bytes, int]:
    return expiry(words[2]).to_bytes(4, "big"), 0


def _storage(opcode: int, arguments: Arguments, **words: bytes) -> Verb:
    """`words`: by the names in binary_operations, what this verb says beside what all of them do."""
    common = {
        operations.SUCCESS: b"STORED\r\n",
        operations.VALUE_TOO_LARGE: TOO_LARGE,
        operations.OUT_OF_MEMORY: OUT_OF_MEMORY_STORING,
    }
    return Verb(opcode, common | {getattr(operations, name): line for name, line in words.items()}, arguments, True)


def _counter(opcode: int) -> Verb:
    errors = {
        operations.KEY_NOT_FOUND: _NOT_FOUND,
        operations.NON_NUMERIC: NON_NUMERIC,
        operations.OUT_OF_MEMORY: OUT_OF_MEMORY,
    }
    return Verb(opcode, errors, _arithmetic)


_FLUSH_REFUSED: Final = b"CLIENT_ERROR flush_all not allowed\r\n"
VERBS: Final = {
    b"set": _storage(operations.SET, _store),
    b"add": _storage(operations.ADD, _store, KEY_EXISTS=_NOT_STORED),
    b"replace": _storage(operations.REPLACE, _store, KEY_NOT_FOUND=_NOT_STORED),
    b"append": _storage(operations.APPEND, _none, ITEM_NOT_STORED=_NOT_STORED),
    b"prepend": _storage(operations.PREPEND, _none, ITEM_NOT_STORED=_NOT_STORED),
    # With a cas to compare, REPLACE and SET are one; but SET takes away the item if the value is too large, and the
    # text protocol's cas doesn't.
    b"cas": _storage(operations.REPLACE, _compare_and_store, KEY_NOT_FOUND=_NOT_FOUND, KEY_EXISTS=b"EXISTS\r\n"),
    b"incr": _counter(operations.INCREMENT),
    b"decr": _counter(operations.DECREMENT),
    b"delete": Verb(
        operations.DELETE, {operations.SUCCESS: b"DELETED\r\n", operations.KEY_NOT_FOUND: _NOT_FOUND}, _none
    ),
    b"touch": Verb(
        operations.TOUCH, {operations.SUCCESS: b"TOUCHED\r\n", operations.KEY_NOT_FOUND: _NOT_FOUND}, _touch
    ),
    # -F: the status that elsewhere says that nobody is logged in.
    b"flush_all": Verb(
        operations.FLUSH, {operations.SUCCESS: b"OK\r\n", operations.AUTHENTICATION_ERROR: _FLUSH_REFUSED}, _none
    ),
    b"mn": Verb(operations.NOOP, {operations.SUCCESS: b"MN\r\n"}, _none),
    b"version": Verb(operations.VERSION, {}, _none),
}


class BinaryLine(PacketRequest):
    """One of these commands. `upstream` is the line, with its block, until the packet is made of it."""

    __slots__ = ("_operation", "_silent", "_verb")

    def __init__(self, request: LineRequest, verb: Verb) -> None:
        super().__init__(request.sink, request.upstream, 1, request.count, verb.opcode)
        self._verb = verb
        self._operation = OPERATIONS[verb.opcode]
        self._silent = request.silent

    def packet(self, upstream_opaque: int) -> bytes:
        """The operation, with the value out of the text's block."""
        self.opaque = upstream_opaque
        text = self.upstream
        end = text.index(b"\r\n")
        words = text[:end].split(b" ")
        extras, unique = self._verb.arguments(words)
        key = words[1] if self._operation.key else b""
        value = memoryview(text)[end + 2 : -2] if self._verb.block else b""
        return packet(self.opcode, key, extras, value, upstream_opaque, unique)

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
            return error_line(self.status, value)
        if self.opcode != operations.VERSION:
            return b"%d\r\n" % int.from_bytes(value, "big")
        if _VERSION(value) is None:
            raise OutOfStep("a version that can't be one")
        return b"VERSION " + value + b"\r\n"
