"""GET, GAT, TOUCH and their like as `gets` and `gats`, whose replies name the key and say flags, length and cas.

A plain `mg` would do too, but that is no mere read: on a stale item the first one to ask is told to fetch it anew, and
a binary client could not see that it is the one.
"""

import re
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary_requests import BinaryRequest
from mcproxy.wire.requests import STREAM_FROM, OutOfStep
from mcproxy.wire.retrieval import END, LAST
from mcproxy.wire.to_text_packets import AnsweredByPackets

_VALUE: Final = re.compile(
    rb"VALUE (%s) (%s) (%s) (%s)\r\n"
    % (grammar.KEY, grammar.FLAGS, grammar.decimal_at_most(grammar.LARGEST_LENGTH), grammar.CAS_UNIQUE)
).match
_FLAGS: Final = 4


class ValueAsPacket(AnsweredByPackets):
    """One key's `gets` or `gats`. TOUCH is answered with the flags alone: what else there is, is read and dropped.

    `unsent` is what of the packet is not to be delivered before the end of the reply has come; `streaming` is how many
    bytes of a large value are still to come.
    """

    __slots__ = ("streaming", "unsent")

    def __init__(self, request: BinaryRequest, line: bytes) -> None:
        super().__init__(request, line)
        self.streaming = 0
        self.unsent = b""

    def take(self, buffer: bytes, position: int) -> int:
        """Consume a VALUE block and END, or END alone."""
        if self.streaming:
            return self._stream(buffer, position)
        match = _VALUE(buffer, position)
        if match is None:
            if buffer.startswith(END, position):
                self._miss()
                return position + len(END)
            return self.take_failure(buffer, position)
        key, flags, digits, cas = match.groups()
        if key != self.key:
            raise OutOfStep("a value under a key that was not asked for")
        length = int(digits)
        start = match.end()
        end = start + length + len(LAST)
        whole = end <= len(buffer)
        if not whole and length <= STREAM_FROM:
            return position
        operation = self.operation
        named = key if operation.reply_key else b""
        self.unsent = (
            self.header(_FLAGS, len(named), length if operation.lookup else 0, int(cas))
            + int(flags).to_bytes(_FLAGS, "big")
            + named
        )
        # TOUCH too: its value costs upstream and the link as much as any other.
        self.sink.largest_value = max(self.sink.largest_value, length)
        if operation.lookup:
            self.hits = 1
        self.streaming = length
        if whole:
            return self._end(buffer, start)
        if operation.lookup:
            self.sink.deliver(self.unsent)
            self.unsent = b""
        return self._stream(buffer, start)

    def fail(self, reason: bytes) -> None:
        """An error packet; a value that was cut short ends the connection."""
        if self.streaming and not self.unsent:
            self.sink.cut_short()
        else:
            super().fail(reason)

    def _stream(self, buffer: bytes, position: int) -> int:
        """Consume more of a large value."""
        available = len(buffer) - position
        if available >= self.streaming + len(LAST):
            return self._end(buffer, position)
        # Its last byte waits for the END behind it: a packet that is whole in the client's hands can't be taken back.
        taken = min(self.streaming - 1, available)
        self.streaming -= taken
        if taken and self.operation.lookup:
            self.sink.deliver(buffer[position : position + taken])
        return position + taken

    def _end(self, buffer: bytes, position: int) -> int:
        """Consume what is left, all of which has come."""
        end = position + self.streaming
        if not buffer.startswith(LAST, end):
            raise OutOfStep("a value that is longer than its length, or that isn't the only one")
        self.sink.deliver(self.unsent + buffer[position:end] if self.operation.lookup else self.unsent)
        self.done = True
        return end + len(LAST)

    def _miss(self) -> None:
        if not self.operation.reply_key:
            self.refuse(operations.KEY_NOT_FOUND)
            return
        # A miss of GETK and GATK names the key, and has no text.
        if self.operation.dropped != operations.KEY_NOT_FOUND:
            self.sink.deliver(self.header(0, len(self.key), 0, 0, operations.KEY_NOT_FOUND) + self.key)
        self.done = True
