"""Binary requests in flight: what goes upstream, and what is compared before a reply reaches the client (R3).

The link puts an opaque of its own on every packet that goes up. A reply must carry it, the opcode that was sent, a
status and a shape that the operation can have, and where it names a key, that key. The client's opaque and opcode are
put back.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import HEADER, HEADER_LENGTH, REQUEST_MAGIC, RESPONSE_MAGIC, Operation, reply
from mcproxy.wire.requests import STREAM_FROM, LoginWanted, OutOfStep, Request, Sink

_LONGEST_ERROR: Final = 1024
_STATISTICS_STATUSES: Final = (operations.SUCCESS, operations.KEY_NOT_FOUND, operations.NO_ACCESS)


class BinaryRequest(Request):
    """One packet. `opcode` and `opaque` are the client's; `upstream_opaque` is the link's, set by `packet`."""

    __slots__ = ("body", "cas", "key", "opaque", "opcode", "operation", "streaming", "upstream_opaque")
    releases: bool = True

    def __init__(
        self, sink: Sink, operation: Operation, opcode: int, opaque: int, cas: int, key: bytes, body: bytes
    ) -> None:
        super().__init__(sink, b"", 1, operation.count)
        self.operation = operation
        self.opcode = opcode
        self.opaque = opaque
        self.cas = cas
        self.key = key
        self.body = body
        self.lookups = 1 if operation.lookup else 0
        self.streaming = 0
        self.upstream_opaque = 0

    def packet(self, upstream_opaque: int) -> bytes:
        """The canonical packet: loud opcode, data type and vbucket 0, the link's opaque."""
        self.upstream_opaque = upstream_opaque
        body, self.body = self.body, b""
        operation = self.operation
        return (
            HEADER.pack(
                REQUEST_MAGIC,
                operation.sent,
                len(self.key),
                operation.extras,
                0,
                0,
                len(body),
                upstream_opaque,
                self.cas,
            )
            + body
        )

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one packet."""
        if self.streaming:
            end = min(position + self.streaming, len(buffer))
            self.sink.deliver(buffer[position:end])
            self.streaming -= end - position
            self.done = not self.streaming
            return end
        if len(buffer) - position < HEADER_LENGTH:
            return position
        magic, opcode, key_length, extras, data_type, status, body_length, opaque, _ = HEADER.unpack_from(
            buffer, position
        )
        operation = self.operation
        if magic != RESPONSE_MAGIC or opcode != operation.sent or opaque != self.upstream_opaque:
            raise OutOfStep("a reply to another request")
        if status == operations.AUTHENTICATION_ERROR and status not in operation.errors:
            raise LoginWanted
        if data_type or not self._fits(status, key_length, extras, body_length - key_length - extras):
            raise OutOfStep("a reply that the operation cannot have")
        body = position + HEADER_LENGTH
        size = len(buffer)
        if key_length:
            key_end = body + extras + key_length
            if size < key_end:
                return position
            if buffer[key_end - key_length : key_end] != self.key:
                raise OutOfStep("a value under a key that was not asked for")
        end = int(body + body_length)
        if end > size and body_length <= STREAM_FROM:
            return position
        if status == operations.SUCCESS and operation.lookup:
            self.hits = 1
            self.sink.largest_value = max(self.sink.largest_value, body_length)
        if status != operation.dropped:
            self.sink.deliver(
                buffer[position : position + 1]
                + self.opcode.to_bytes(1, "big")
                + buffer[position + 2 : position + 12]
                + self.opaque.to_bytes(4, "big")
                + buffer[position + 16 : end]
            )
        if end > size:
            self.streaming = end - size
            return size
        self.done = True
        return end

    def fail(self, reason: bytes) -> None:
        """An error packet, which quiet operations show too; a value that was cut short ends the connection."""
        if self.streaming:
            self.sink.cut_short()
        else:
            self.sink.deliver(reply(self.opcode, operations.TEMPORARY_FAILURE, self.opaque, reason))

    def _fits(self, status: int, key_length: int, extras: int, value: int) -> bool:
        """Whether the operation can have a reply of this status and these lengths in bytes."""
        operation = self.operation
        if status == operations.SUCCESS:
            named = len(self.key) if operation.reply_key else 0
            return extras == operation.reply_extras and key_length == named and value in operation.reply_values
        if status not in operation.errors or extras:
            return False
        if operation.reply_key and status != operations.NO_ACCESS:
            # A miss of GETK and GATK names the key, and has no text.
            return key_length == len(self.key) and value == 0
        return key_length == 0 and 0 <= value <= _LONGEST_ERROR


class BinaryStatistics(Request):
    """STAT: packets up to one without a key, or one error. On a link of its own, as `stats` in text.

    `too_long`: upstream has more to say than there is room for.
    """

    __slots__ = ("key", "opaque", "too_long", "upstream_opaque")
    private: bool = True

    def __init__(self, sink: Sink, count: str, opaque: int, key: bytes) -> None:
        super().__init__(sink, b"", 1, count)
        self.opaque = opaque
        self.key = key
        self.too_long = False
        self.upstream_opaque = 0

    def packet(self, upstream_opaque: int) -> bytes:
        """The canonical packet, with the link's opaque."""
        self.upstream_opaque = upstream_opaque
        length = len(self.key)
        return HEADER.pack(REQUEST_MAGIC, operations.STAT, length, 0, 0, 0, length, upstream_opaque, 0) + self.key

    def take(self, buffer: bytes, position: int) -> int:
        """Consume whole packets."""
        while not self.done and len(buffer) - position >= HEADER_LENGTH:
            magic, opcode, key_length, extras, data_type, status, body_length, opaque, _ = HEADER.unpack_from(
                buffer, position
            )
            if (
                magic != RESPONSE_MAGIC
                or opcode != operations.STAT
                or opaque != self.upstream_opaque
                or extras
                or data_type
                or key_length > body_length
                or status not in _STATISTICS_STATUSES
            ):
                if status == operations.AUTHENTICATION_ERROR:
                    raise LoginWanted
                raise OutOfStep("a reply that STAT cannot have")
            if body_length > operations.LONGEST_DUMP:
                self.too_long = True
                raise OutOfStep("statistics that are too long")
            end = position + HEADER_LENGTH + body_length
            if end > len(buffer):
                break
            self.sink.deliver(
                buffer[position : position + 12] + self.opaque.to_bytes(4, "big") + buffer[position + 16 : end]
            )
            self.done = key_length == 0 or status != operations.SUCCESS
            position = end
        return position

    def fail(self, reason: bytes) -> None:
        """An error packet; clients take it as the end of the list."""
        reason = operations.TOO_LONG if self.too_long else reason
        self.sink.deliver(reply(operations.STAT, operations.TEMPORARY_FAILURE, self.opaque, reason))
