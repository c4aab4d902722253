"""STAT as `stats`: a line becomes a packet, and the end a packet without a key."""

import re
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary_operations import HEADER, RESPONSE_MAGIC, reply
from mcproxy.wire.binary_requests import BinaryStatistics
from mcproxy.wire.requests import OutOfStep, Request, expect_more
from mcproxy.wire.retrieval import END
from mcproxy.wire.to_text_packets import SERVER_ERROR, TEXTS

_LINE: Final = re.compile(rb"STAT ([^ \r\n]{1,250})(?: ([^\r\n]{0,2000}))?\r\n").match
_PREFIX: Final = re.compile(rb"PREFIX [^\r\n]{0,2000}\r\n").match
_ERROR: Final = re.compile(
    rb"ERROR\r\n|" + grammar.CLIENT_ERROR + rb" [\x20-\x7e]{0,256}\r\n|" + grammar.SERVER_ERROR
).match
_CLIENT_ERROR: Final = b"CLIENT_ERROR "
_DUMP: Final = b"detail dump"
# What memcached calls the one packet that holds all of the dump, with the END of its text.
_DUMPED: Final = b"detailed"
_LAST: Final = {b"reset": b"RESET\r\n", b"detail on": b"OK\r\n", b"detail off": b"OK\r\n"}


class StatisticsAsPackets(Request):
    """`stats` on a link of its own.

    `dumped` are the lines of `stats detail dump` so far; `too_long`: there are more than there is room for.
    """

    __slots__ = ("dumped", "key", "last", "opaque", "too_long")
    private: bool = True

    def __init__(self, request: BinaryStatistics) -> None:
        key = request.key
        super().__init__(request.sink, b"stats " + key + b"\r\n" if key else b"stats\r\n", 1, request.count)
        self.key = key
        self.opaque = request.opaque
        self.last = _LAST.get(key, END)
        self.dumped = bytearray()
        self.too_long = False

    def take(self, buffer: bytes, position: int) -> int:
        """Consume whole lines."""
        packets = []
        while not self.done:
            match = (_PREFIX if self.key == _DUMP else _LINE)(buffer, position)
            if match is not None:
                position = match.end()
                if self.key == _DUMP:
                    self._dump(match[0])
                else:
                    packets.append(self._packet(match[1], match[2] or b""))
            elif buffer.startswith(self.last, position):
                position += len(self.last)
                if self.key == _DUMP:
                    self._dump(END)
                    packets.append(self._packet(_DUMPED, bytes(self.dumped)))
                packets.append(self._packet(b"", b""))
                self.done = True
            else:
                match = _ERROR(buffer, position)
                if match is None:
                    expect_more(buffer, position)
                    break
                position = match.end()
                packets.append(self._error(match[0]))
                self.done = True
        if packets:
            self.sink.deliver(b"".join(packets))
        return position

    def fail(self, reason: bytes) -> None:
        """An error packet; clients take it as the end of the list."""
        reason = operations.TOO_LONG if self.too_long else reason
        self.sink.deliver(reply(operations.STAT, operations.TEMPORARY_FAILURE, self.opaque, reason))

    def _packet(self, name: bytes, value: bytes) -> bytes:
        length = len(name) + len(value)
        header = HEADER.pack(RESPONSE_MAGIC, operations.STAT, len(name), 0, 0, 0, length, self.opaque, 0)
        return header + name + value

    def _dump(self, line: bytes) -> None:
        self.dumped += line
        if len(self.dumped) > operations.LONGEST_DUMP:
            self.too_long = True
            raise OutOfStep("statistics that are too long")

    def _error(self, line: bytes) -> bytes:
        """What upstream does not have is not found, what it does not allow is denied."""
        if line.startswith(SERVER_ERROR):
            status, words = operations.TEMPORARY_FAILURE, line[len(SERVER_ERROR) : -2]
        elif line.startswith(_CLIENT_ERROR):
            status, words = operations.NO_ACCESS, line[len(_CLIENT_ERROR) : -2]
        else:
            status, words = operations.KEY_NOT_FOUND, TEXTS[operations.KEY_NOT_FOUND]
        return reply(operations.STAT, status, self.opaque, words)
