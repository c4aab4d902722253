"""SET, DELETE, INCR and their like as `ms`, `md` and `ma`, whose replies can give the item's new cas.

Each asks for its key and for an opaque of the proxy's own to be named, and both are compared (R3).
"""

import re
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary_requests import BinaryRequest
from mcproxy.wire.requests import OutOfStep
from mcproxy.wire.to_text_packets import AnsweredByPackets

Statuses = dict[bytes, int]

# memcached before 1.6.18 writes a second blank behind the status: "HD  kfoo O1".
_REPLY: Final = re.compile(
    rb"(?:(HD|NS|EX|NF) ?|VA (1[0-9]|20|[1-9])) k(%s)( b)? O([^ \r\n]+)(?: c(%s))?\r\n"
    % (grammar.KEY, grammar.CAS_UNIQUE)
).match
_NUMBER: Final = re.compile(rb"(%s)\r\n" % grammar.UINT64).match
_NON_NUMERIC: Final = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"


class ChangeAsPacket(AnsweredByPackets):
    """A meta command that changes one item. `number` is its opaque; `statuses` are what its replies come to.

    `gives_cas`: a success names the item's new cas.
    """

    __slots__ = ("gives_cas", "number", "statuses")

    def __init__(self, request: BinaryRequest, line: bytes, number: bytes, statuses: Statuses, gives_cas: bool) -> None:
        super().__init__(request, line)
        self.number = number
        self.statuses = statuses
        self.gives_cas = gives_cas

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one line, and the number behind it."""
        match = _REPLY(buffer, position)
        if match is None:
            if self.operation.creates and buffer.startswith(_NON_NUMERIC, position):
                self.refuse(operations.NON_NUMERIC)
                return position + len(_NON_NUMERIC)
            return self.take_failure(buffer, position)
        word, length, name, encoded, number, cas = match.groups()
        status = self.statuses.get(word or b"VA")
        if status is None:
            raise OutOfStep("a reply that the command cannot have")
        # memcached may name a key in base64 that was stored so.
        if number != self.number or (grammar.decode_key(name) if encoded else name) != self.key:
            raise OutOfStep("a reply to another request")
        end = match.end()
        value = b""
        if length is not None:
            value_end = end + int(length) + 2
            if value_end > len(buffer):
                return position
            digits = _NUMBER(buffer, end)
            if digits is None or digits.end() != value_end:
                raise OutOfStep("a number that is none")
            value = int(digits[1]).to_bytes(8, "big")
            end = value_end
        if status != operations.SUCCESS:
            self.refuse(status)
        elif (cas is not None) is self.gives_cas:
            self.succeed(value, int(cas or 0))
        else:
            raise OutOfStep("a reply with more or less than was asked for")
        return end
