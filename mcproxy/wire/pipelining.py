"""`pipelining: refuse`: one command at a time, for clients that never send a second before the first is answered.

What an attacker slips into such a client's command (a line end in a key, and a command behind it) looks like a
pipeline: it comes in the same receive as the command before, or while that one's reply is owed. The command before is
answered, the second is refused, and the connection closes. `noreply`, q and quiet opcodes are refused as well: a client
that doesn't wait for a reply can't be told from one that was made to send two commands.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary import BinaryParser
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.parser import Parser
from mcproxy.wire.requests import Request, Sink
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import RETRIEVAL, STORAGE

REASON: Final = "pipelining"
WORDS: Final = b"pipelining is refused"
_META: Final = (b"mg", b"ms", b"md", b"ma")
_WITH_BLOCK: Final = (*STORAGE, b"ms")
_QUIET: Final = frozenset(opcode for opcode, operation in operations.OPERATIONS.items() if operation.sent != opcode) | {
    operations.QUITQ
}


class OneAtATime(Parser):
    """A parser in front of another."""

    # Bytes behind a data block that belong to it.
    _block_end = 0

    def __init__(self, parser: TextParser | BinaryParser, sink: Sink) -> None:
        super().__init__()
        self._parser = parser
        self._sink = sink
        # Something followed the last frame in the receive that it came in, or while its reply was owed. The session
        # says so too: of replies that wait to be sent, and behind a link of its own, where it reads nothing meanwhile.
        self.followed = False
        # The frame was refused, and answered, before the end of its data block had come: an honest client may have gone
        # on by the time that it does.
        self._answered_early = False

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain:
        """The frame at `position`, or the refusal of a second one."""
        parser = self._parser
        if parser.continuing:
            outcome = parser.next(data, position, room)
        elif self.followed or self._sink.in_flight:
            return self._refuse(data, position)
        else:
            outcome = parser.next(self._alone(data, position), position, room)
            if isinstance(outcome, Request | Refusal) and self._is_silent(data, position):
                return self._refuse(data, position)
        self.end, self.needed = parser.end, parser.needed
        self.until_newline, self.cutting = parser.until_newline, parser.cutting
        if isinstance(outcome, Request | Refusal):
            end = parser.end
            if isinstance(outcome, Refusal) and outcome.swallow is not None:
                end += outcome.swallow + self._block_end
                self._answered_early = end > len(data)
            self.followed = end < len(data) and not self._answered_early
            if not parser.continuing:
                self._answered_early = False
        return outcome

    def _alone(self, data: bytes, position: int) -> bytes:
        """The data up to the end of the first command, as far as that is known."""
        raise NotImplementedError

    def _is_silent(self, data: bytes, position: int) -> bool:
        """Whether the frame at `position`, which is whole, asks for no reply."""
        raise NotImplementedError

    def _refuse(self, data: bytes, position: int) -> Refusal | Pending:
        """Refuse the frame at `position`, whatever it is."""
        raise NotImplementedError


class OneTextCommand(OneAtATime):
    """In front of a TextParser."""

    _block_end = 2

    def _alone(self, data: bytes, position: int) -> bytes:
        # Without what follows: a run of gets would be taken as one.
        end = data.find(b"\n", position) + 1
        if not end:
            # Compiled by mypyc, a slice must not end before it begins.
            return data
        verb = data[position:end].lstrip(b" ").split(b" ", 1)[0]
        return data if verb in _WITH_BLOCK else data[:end]

    def _is_silent(self, data: bytes, position: int) -> bool:
        line, end, _ = data[position:].partition(b"\n")
        words = line.split()
        # A line without an end was refused for its length.
        if not end or not words or words[0] in RETRIEVAL:
            return False
        return b"q" in words[2:] if words[0] in _META else words[-1] == b"noreply"

    def _refuse(self, data: bytes, position: int) -> Refusal | Pending:
        return Refusal(b"CLIENT_ERROR " + WORDS + b"\r\n", REASON, close=True)


class OneBinaryCommand(OneAtATime):
    """In front of a BinaryParser."""

    def _alone(self, data: bytes, position: int) -> bytes:
        return data

    def _is_silent(self, data: bytes, position: int) -> bool:
        # What is no packet is refused at its first byte.
        return len(data) - position >= operations.HEADER_LENGTH and data[position + 1] in _QUIET

    def _refuse(self, data: bytes, position: int) -> Refusal | Pending:
        if len(data) - position < operations.HEADER_LENGTH:
            # The refusal names the opcode and the opaque.
            self.needed = position + operations.HEADER_LENGTH
            return Pending.INCOMPLETE
        _, opcode, _, _, _, _, _, opaque, _ = operations.HEADER.unpack_from(data, position)
        return Refusal(operations.reply(opcode, operations.NO_ACCESS, opaque, WORDS), REASON, close=True)


def one_at_a_time(parser: TextParser | BinaryParser, sink: Sink) -> OneTextCommand | OneBinaryCommand:
    """A parser that refuses pipelines, in front of one that doesn't."""
    return OneTextCommand(parser, sink) if isinstance(parser, TextParser) else OneBinaryCommand(parser, sink)
