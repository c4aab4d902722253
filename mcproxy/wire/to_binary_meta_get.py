"""What meta commands to a binary upstream have in common, and mg: a GETK, or with T a GATK.

Nothing in binary says how a key was spelled when it was stored: what comes back for k is the client's spelling.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import GATK, GETK, OPERATIONS
from mcproxy.wire.meta_requests import MetaRequest
from mcproxy.wire.requests import STREAM_FROM
from mcproxy.wire.to_binary_replies import PacketRequest, error_line, expiry, packet
from mcproxy.wire.to_binary_retrieval import FLAGS_LENGTH

VALUE: Final = ord("v")
_KEY, _OPAQUE, _CAS, _FLAGS, _BASE64 = b"kOcfb"


class MetaPacketRequest(PacketRequest):
    """A meta command; `arguments` are those of its flags, by their letters."""

    __slots__ = ("arguments", "key", "request")

    def __init__(self, request: MetaRequest, opcode: int, arguments: dict[int, bytes]) -> None:
        super().__init__(request.sink, request.upstream, 1, request.count, opcode)
        # Its line and block are in `upstream`, until the packet is made of them.
        request.upstream = b""
        self.request = request
        self.key = request.key
        self.arguments = arguments

    def fail(self, reason: bytes) -> None:
        """One error line: q does not hide errors."""
        self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")

    def answer_line(self, status: bytes, echoes: bytes, flags: int, size: int, unique: int) -> bytes:
        """A reply line without its end: the status, and for the flags among `echoes` what was asked, in that order."""
        request = self.request
        words = [status]
        for token in request.flags.echoes:
            letter = token[0]
            if letter not in echoes:
                continue
            if letter == _OPAQUE:
                words.append(token)
            elif letter == _KEY:
                words.append(b"k" + (request.own_name or request.name))
                if _BASE64 in request.flags.letters:
                    words.append(b"b")
            else:
                words.append(b"%c%d" % (letter, unique if letter == _CAS else flags if letter == _FLAGS else size))
        return b" ".join(words)

    def show(self, status: bytes, answer: bytes) -> None:
        """Deliver a whole reply, unless q hides its status."""
        if not (self.request.flags.quiet and status in self.request.verb.hidden):
            self.sink.deliver(answer)


class BinaryMetaGet(MetaPacketRequest):
    """mg: a loud GETK; or GATK, with T."""

    __slots__ = ("_answered", "_streaming")

    def __init__(self, request: MetaRequest, arguments: dict[int, bytes]) -> None:
        super().__init__(request, GATK if ord("T") in arguments else GETK, arguments)
        self.lookups = 1
        # The line of a large value that is not asked for, until the value is over.
        self._answered = b""
        # Bytes of a large value that are still to come.
        self._streaming = 0

    def packet(self, upstream_opaque: int) -> bytes:
        """The operation."""
        self.opaque = upstream_opaque
        time = self.arguments.get(ord("T"))
        extras = b"" if time is None else expiry(time).to_bytes(4, "big")
        return packet(self.opcode, self.key, extras, b"", upstream_opaque, 0)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one packet; the value is delivered if it was asked for."""
        size = len(buffer)
        if self._streaming:
            end = min(size, position + self._streaming)
            self._streaming -= end - position
            self.done = not self._streaming
            if not self._answered:
                self.sink.deliver(buffer[position:end])
            if self.done:
                self.sink.deliver(self._answered or b"\r\n")
            return end
        if not self.compare(buffer, position, self.key, FLAGS_LENGTH):
            return position
        start = self.start
        end = start + self.length
        if end > size and self.length <= STREAM_FROM:
            return position
        if self.status != operations.SUCCESS:
            if self.status == operations.KEY_NOT_FOUND:
                self.show(b"EN", self.answer_line(b"EN", self.request.verb.other_echoes, 0, 0, 0) + b"\r\n")
            else:
                self.sink.deliver(error_line(OPERATIONS[self.opcode].errors, self.status, buffer[start:end]))
            self.done = True
            return end
        self.hits = 1
        self.sink.largest_value = max(self.sink.largest_value, self.length)
        self.done = end <= size
        self._streaming = max(0, end - size)
        flags = int.from_bytes(buffer[start - len(self.key) - FLAGS_LENGTH : start - len(self.key)], "big")
        with_value = VALUE in self.request.flags.letters
        status = b"VA %d" % self.length if with_value else b"HD"
        line = self.answer_line(status, self.request.verb.hit_echoes, flags, self.length, self.unique) + b"\r\n"
        if with_value:
            self.sink.deliver(line + buffer[start:end] + (b"\r\n" if self.done else b""))
        elif self.done:
            self.sink.deliver(line)
        else:
            self._answered = line
        return min(end, size)

    def fail(self, reason: bytes) -> None:
        """One error line; a value that was cut short ends the connection."""
        if self._streaming and not self._answered:
            self.sink.cut_short()
        else:
            super().fail(reason)
