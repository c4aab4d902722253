"""The binary protocol, downstream: a client's packets become requests that may go upstream, or the reason why not."""

import re
from collections.abc import Callable
from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire import grammar
from mcproxy.wire.binary_operations import HEADER, HEADER_LENGTH, OPERATIONS, Operation, reply
from mcproxy.wire.binary_requests import BinaryRequest, BinaryStatistics
from mcproxy.wire.outcome import Grants, LogInAgain, Pending, Reason, Refusal, WireLimits
from mcproxy.wire.parser import Parser
from mcproxy.wire.requests import Request, Sink

Matcher = Callable[..., "re.Match[bytes] | None"]

# memcached's own words.
TEXTS: Final = {
    operations.KEY_NOT_FOUND: b"Not found",
    operations.VALUE_TOO_LARGE: b"Too large.",
    operations.INVALID_ARGUMENTS: b"Invalid arguments",
    operations.UNKNOWN_COMMAND: b"Unknown command",
    operations.NO_ACCESS: b"access denied",
}


class BinaryRules:
    """What one ruleset grants, by opcode: a matcher of the granted keys, or whether a keyless operation is granted."""

    def __init__(self, grants: Grants, limits: WireLimits) -> None:
        self.limits = limits
        self.allows = grants.allows
        patterns: dict[tuple[str, ...], Matcher | None] = {}
        self.grants_key: dict[int, Matcher | None] = {}
        for opcode, operation in OPERATIONS.items():
            if operation.key:
                self.grants_key[opcode] = self._matcher(grants, operation.classes, patterns)
        # An arithmetic operation that may create the counter writes.
        self.grants_creation = self._matcher(grants, ("counter", "write"), patterns)

    @staticmethod
    def _matcher(
        grants: Grants, classes: tuple[str, ...], patterns: dict[tuple[str, ...], Matcher | None]
    ) -> Matcher | None:
        if classes not in patterns:
            pattern = grants.key_pattern(*classes)
            patterns[classes] = None if pattern is None else re.compile(pattern).fullmatch
        return patterns[classes]


class BinaryParser(Parser):
    """Cuts one client's bytes into packets, which say how long they are.

    `mechanisms` is what SASL LIST_MECHS answers; None where no SASL login is offered. It may be set anew at any time.
    """

    def __init__(self, rules: BinaryRules, sink: Sink, mechanisms: bytes | None = None) -> None:
        super().__init__()
        self._rules = rules
        self._sink = sink
        self.mechanisms = mechanisms
        self._value_limit = rules.limits.value

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain:
        """The packet at `position`. `room` is how many more answers may be in flight."""
        if room <= 0:
            return Pending.NO_ROOM
        if data[position] != operations.REQUEST_MAGIC:
            return Refusal(b"", "not a binary packet", close=True)
        if len(data) - position < HEADER_LENGTH:
            self.needed = position + HEADER_LENGTH
            return Pending.INCOMPLETE
        _, opcode, key_length, extras, _, _, body_length, opaque, cas = HEADER.unpack_from(data, position)
        start = position + HEADER_LENGTH
        value_length = body_length - key_length - extras
        if value_length < 0:
            # Lengths that contradict each other are an unknown command to memcached.
            return self._refuse(opcode, opaque, operations.UNKNOWN_COMMAND, "malformed", close=True)
        if body_length > grammar.LARGEST_LENGTH or key_length > grammar.KEY_LENGTH:
            return self._malformed(opcode, opaque)
        operation = OPERATIONS.get(opcode)
        if operation is None:
            return self._other(data, start, opcode, opaque, key_length, extras, body_length)
        if extras != operation.extras or (key_length == 0) is operation.key or (value_length and not operation.value):
            if operation.sent == operations.FLUSH and extras == body_length == 4:
                return self._flush_with_delay(operation, data, start, opcode, opaque)
            return self._malformed(opcode, opaque)
        key_start = start + extras
        value_start = key_start + key_length
        if len(data) < value_start:
            self.needed = value_start
            return Pending.INCOMPLETE
        # The key is judged before its value is waited for, so that nothing is kept of a value that is to be refused.
        if operation.key:
            granted = self._rules.grants_key[opcode]
            if granted is None or granted(data, key_start, value_start) is None:
                return self._refuse_key(data[key_start:value_start], operation, opcode, opaque, start, body_length)
            if operation.creates and not data.startswith(operations.DO_NOT_CREATE, key_start - 4):
                creates = self._rules.grants_creation
                if creates is None or creates(data, key_start, value_start) is None:
                    return self._denied(opcode, opaque, "write", start, body_length)
            if value_length > self._value_limit:
                return self._refuse(
                    opcode, opaque, operations.VALUE_TOO_LARGE, "value too large", swallow=(start, body_length)
                )
        elif not all(self._rules.allows(command_class) for command_class in operation.classes):
            return self._denied(opcode, opaque, operation.classes[-1], start, body_length)
        self.end = end = start + body_length
        if len(data) < end:
            self.needed = end
            return Pending.INCOMPLETE
        body = data[start:end]
        key = data[key_start:value_start]
        return BinaryRequest(self._sink, operation, opcode, opaque, cas if operation.cas else 0, key, body)

    def _flush_with_delay(
        self, operation: Operation, data: bytes, start: int, opcode: int, opaque: int
    ) -> Request | Refusal | Pending:
        """FLUSH may say when. At once is what the canonical packet means; later undoes earlier flushes on 1.6.18."""
        if len(data) < start + 4:
            self.needed = start + 4
            return Pending.INCOMPLETE
        if not self._rules.allows("flush"):
            return self._denied(opcode, opaque, "flush", start, 4)
        if data[start : start + 4] != b"\0\0\0\0":
            return self._refuse(opcode, opaque, operations.INVALID_ARGUMENTS, "malformed", swallow=(start, 4))
        self.end = start + 4
        return BinaryRequest(self._sink, operation, opcode, opaque, 0, b"", b"")

    def _other(
        self, data: bytes, start: int, opcode: int, opaque: int, key_length: int, extras: int, body_length: int
    ) -> Request | Refusal | Pending | LogInAgain:
        """Operations that the proxy answers itself, STAT, and what memcached doesn't know."""
        if self.mechanisms is not None and opcode in (operations.SASL_AUTH, operations.SASL_STEP):
            # Whether that packet is as it should be, is for the login to say.
            return LogInAgain()
        if _is_malformed(opcode, key_length, extras, body_length):
            return self._malformed(opcode, opaque)
        if opcode in (operations.QUIT, operations.QUITQ):
            return Refusal(reply(opcode, 0, opaque) if opcode == operations.QUIT else b"", close=True)
        if opcode == operations.STAT:
            return self._statistics(data, start, opaque, key_length)
        if self.mechanisms is not None and opcode == operations.SASL_LIST_MECHS:
            self.end = start
            return Refusal(reply(opcode, 0, opaque, self.mechanisms))
        return self._refuse(opcode, opaque, operations.UNKNOWN_COMMAND, "unknown command", swallow=(start, body_length))

    def _statistics(self, data: bytes, start: int, opaque: int, key_length: int) -> Request | Refusal | Pending:
        self.end = end = start + key_length
        if len(data) < end:
            self.needed = end
            return Pending.INCOMPLETE
        key = data[start:end]
        command_class = operations.STATISTICS.get(key)
        if command_class is None:
            return self._refuse(operations.STAT, opaque, operations.KEY_NOT_FOUND, "unknown command")
        if not self._rules.allows(command_class):
            return self._denied(operations.STAT, opaque, command_class, start, key_length)
        return BinaryStatistics(self._sink, command_class, opaque, key)

    def _refuse_key(
        self, key: bytes, operation: Operation, opcode: int, opaque: int, start: int, body_length: int
    ) -> Refusal:
        if grammar.is_key(key) is None:
            # For memcached binary keys may hold any byte. Here they are held to the text rule: one key, one meaning.
            return self._refuse(opcode, opaque, operations.INVALID_ARGUMENTS, "bad key", swallow=(start, body_length))
        return self._denied(opcode, opaque, operation.classes[-1], start, body_length)

    def _malformed(self, opcode: int, opaque: int) -> Refusal:
        return self._refuse(opcode, opaque, operations.INVALID_ARGUMENTS, "malformed", close=True)

    def _denied(self, opcode: int, opaque: int, command_class: str, start: int, body_length: int) -> Refusal:
        return self._refuse(
            opcode, opaque, operations.NO_ACCESS, "denied", swallow=(start, body_length), denied=command_class
        )

    def _refuse(
        self,
        opcode: int,
        opaque: int,
        status: int,
        reason: Reason,
        *,
        swallow: tuple[int, int] | None = None,
        close: bool = False,
        denied: str = "",
    ) -> Refusal:
        length = None
        if swallow is not None:
            self.end, length = swallow
        return Refusal(reply(opcode, status, opaque, TEXTS[status]), reason, length, close, denied)


def _is_malformed(opcode: int, key_length: int, extras: int, body_length: int) -> bool:
    """Whether a packet that has no row in OPERATIONS has a shape that memcached does not take for this opcode."""
    if opcode in (operations.QUIT, operations.QUITQ, operations.SASL_LIST_MECHS):
        return body_length != 0
    if opcode in (operations.SASL_AUTH, operations.SASL_STEP):
        return extras != 0 or key_length == 0
    # memcached takes bytes behind the key of STAT for the next packet.
    return opcode == operations.STAT and key_length != body_length
