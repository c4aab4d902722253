"""`stats` for a binary upstream: STAT's packets become lines. On a link of its own, as `stats` itself."""

import re
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.administration_requests import LinesRequest
from mcproxy.wire.binary_operations import HEADER, HEADER_LENGTH, RESPONSE_MAGIC
from mcproxy.wire.error_lines import ERROR
from mcproxy.wire.requests import OutOfStep, Request
from mcproxy.wire.to_binary_replies import error_line, packet

_END: Final = b"END\r\n"
# What text says where there are no lines, and binary nothing but its last packet.
_DONE: Final = {b"reset": b"RESET\r\n", b"detail on": b"OK\r\n", b"detail off": b"OK\r\n"}
_DUMP: Final = b"detail dump"
# All of its lines come as one value, their END too. A prefix that holds a line end could forge a second.
_DUMPED: Final = re.compile(rb"(?:PREFIX [^\r\n]{0,2000}\r\n)*END\r\n").fullmatch
_LONGEST: Final = 4096
_ERRORS: Final = (operations.NO_ACCESS,)


class BinaryStatistics(Request):
    """STAT with the words behind `stats` for its key."""

    __slots__ = ("_dumped", "_opaque", "_too_long", "_words")
    private: bool = True

    def __init__(self, request: LinesRequest, words: bytes) -> None:
        super().__init__(request.sink, b"", 1, request.count)
        self._words = words
        self._opaque = 0
        self._dumped = b""
        self._too_long = False

    def packet(self, upstream_opaque: int) -> bytes:
        """The canonical packet."""
        self._opaque = upstream_opaque
        return packet(operations.STAT, self._words, b"", b"", upstream_opaque, 0)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume whole packets."""
        lines: list[bytes] = []
        is_dump = self._words == _DUMP
        while not self.done and len(buffer) - position >= HEADER_LENGTH:
            magic, opcode, key_length, extras, data_type, status, length, opaque, _ = HEADER.unpack_from(
                buffer, position
            )
            if (
                magic != RESPONSE_MAGIC
                or opcode != operations.STAT
                or opaque != self._opaque
                or extras
                or data_type
                or key_length > length
                or (length > _LONGEST and not is_dump)
            ):
                raise OutOfStep("a reply that STAT cannot have")
            if length > operations.LONGEST_DUMP:
                self._too_long = True
                raise OutOfStep("statistics that are too long")
            start = position + HEADER_LENGTH
            end = start + length
            if end > len(buffer):
                break
            name, value = buffer[start : start + key_length], buffer[start + key_length : end]
            lines.append(self._line(name, value) if status == operations.SUCCESS else self._error(status, value))
            self.done = not name or status != operations.SUCCESS
            position = end
        text = b"".join(lines)
        if text:
            self.sink.deliver(text)
        return position

    def fail(self, reason: bytes) -> None:
        """One error line; clients take it as the end of the list."""
        reason = operations.TOO_LONG if self._too_long else reason
        self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")

    def _line(self, name: bytes, value: bytes) -> bytes:
        """What a packet says, b"" if it is to be said later. Without a name it is the last one."""
        if self._words == _DUMP:
            if not name and self._dumped and not value:
                return self._dumped
            if name != b"detailed" or self._dumped or _DUMPED(value) is None:
                raise OutOfStep("a reply that STAT cannot have")
            self._dumped = value
            return b""
        done = _DONE.get(self._words)
        if not name and not value:
            return done or _END
        line = b"STAT " + name + (b" " + value if value else b"") + b"\r\n"
        if not name or done is not None or LinesRequest.lines.fullmatch(line) is None:
            raise OutOfStep("a reply that STAT cannot have")
        return line

    def _error(self, status: int, words: bytes) -> bytes:
        """STAT knows the words, but this memcached was built or started without what they are about."""
        return ERROR if status == operations.KEY_NOT_FOUND else error_line(_ERRORS, status, words)
