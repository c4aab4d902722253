"""Meta commands for a binary upstream: one packet each, and their reply in the words and the order of text.

Only what binary can say goes up. A flag that it has no word for is refused by name: what it asks for would silently not
be so.
"""

from typing import Final

from mcproxy.wire import binary_operations as operations
from mcproxy.wire.binary_operations import (
    ADD,
    APPEND,
    DECREMENT,
    DELETE,
    INCREMENT,
    OPERATIONS,
    PREPEND,
    REPLACE,
    SET,
)
from mcproxy.wire.meta_requests import MetaRequest
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import OutOfStep, Request
from mcproxy.wire.text_refusals import TOO_LARGE
from mcproxy.wire.to_binary_lines import (
    ARITHMETIC_EXTRAS,
    NON_NUMERIC,
    OUT_OF_MEMORY,
    OUT_OF_MEMORY_STORING,
)
from mcproxy.wire.to_binary_meta_get import VALUE, BinaryMetaGet, MetaPacketRequest
from mcproxy.wire.to_binary_replies import NO_ITEMS_CAS, block_of, error_line, expiry, packet, storing_packet

# The flags of each verb that binary can say. memcached 1.6.18 takes s of ms, and answers nothing to it.
_KNOWN: Final = {b"mg": b"bkcfsvOT", b"ms": b"bkcsOTFCM", b"md": b"bkOC", b"ma": b"bkcvODMCNJ"}
_NO_SUCH_FLAG: Final = b"CLIENT_ERROR not available: upstream speaks only the binary protocol, without flag %c\r\n"
# The opcodes of ms by its mode: set, add, append, prepend, replace.
_STORE_OPCODES: Final = {b"S": SET, b"E": ADD, b"A": APPEND, b"P": PREPEND, b"R": REPLACE}
_STORED: Final = {
    operations.SUCCESS: b"HD",
    operations.VALUE_TOO_LARGE: TOO_LARGE,
    operations.OUT_OF_MEMORY: OUT_OF_MEMORY_STORING,
}
_COMPARED: Final = _STORED | {operations.KEY_NOT_FOUND: b"NF", operations.KEY_EXISTS: b"EX"}
_APPENDED: Final = _STORED | {operations.ITEM_NOT_STORED: b"NS", operations.KEY_EXISTS: b"EX"}
# What each opcode's statuses are in text: the beginning of a line, or a whole one.
_WORDS: Final = {
    SET: _STORED,
    ADD: _STORED | {operations.KEY_EXISTS: b"NS"},
    REPLACE: _STORED | {operations.KEY_NOT_FOUND: b"NS"},
    APPEND: _APPENDED,
    PREPEND: _APPENDED,
    DELETE: {operations.SUCCESS: b"HD", operations.KEY_NOT_FOUND: b"NF", operations.KEY_EXISTS: b"EX"},
}
_COUNTED: Final = {
    operations.SUCCESS: b"HD",
    operations.KEY_NOT_FOUND: b"NF",
    operations.KEY_EXISTS: b"EX",
    # It was to be created, and another client did so meanwhile.
    operations.ITEM_NOT_STORED: b"NS",
    operations.NON_NUMERIC: NON_NUMERIC,
    operations.OUT_OF_MEMORY: OUT_OF_MEMORY,
}


def meta_to_binary(request: MetaRequest) -> Request | Refusal:
    """The same command as a packet; or which of its flags binary has no word for."""
    verb = request.upstream[:2]
    for letter in request.flags.letters:
        if letter not in _KNOWN[verb]:
            return Refusal(_NO_SUCH_FLAG % letter, "not translatable")
    arguments = {token[0]: token[1:] for token in request.flags.sent.split(b" ")[1:]}
    if verb == b"mg":
        return BinaryMetaGet(request, arguments)
    return BinaryMeta(request, verb, arguments)


class BinaryMeta(MetaPacketRequest):
    """ms, md or ma."""

    __slots__ = ("_operation", "_unique", "_words")

    def __init__(self, request: MetaRequest, verb: bytes, arguments: dict[int, bytes]) -> None:
        mode = arguments.get(ord("M"), b"")
        compared = arguments.get(ord("C"))
        # A cas of 0 is compared by ms in the modes that replace, and by md: no item has it.
        unique = int(compared or b"0")
        if verb == b"ma":
            opcode, words = DECREMENT if mode in (b"D", b"-") else INCREMENT, _COUNTED
        else:
            opcode = DELETE if verb == b"md" else _STORE_OPCODES[mode or b"S"]
            words = _WORDS[opcode]
            if compared is not None and opcode in (SET, REPLACE):
                # A replacement with a cas to compare is told apart from nothing by memcached.
                opcode, words = SET, _COMPARED
            if opcode == ADD:
                # In text it has no part in adding; in binary it would turn it into a comparison.
                unique = 0
            elif compared is not None and opcode in (SET, DELETE):
                unique = unique or NO_ITEMS_CAS
        super().__init__(request, opcode, arguments)
        self._unique = unique
        self._words = words
        self._operation = OPERATIONS[opcode]

    def packet(self, upstream_opaque: int) -> bytes:
        """The operation, with the value out of the text's block."""
        self.opaque = upstream_opaque
        text = self.upstream
        unique = self._unique
        if self.opcode == DELETE:
            return packet(self.opcode, self.key, b"", b"", upstream_opaque, unique)
        if self._words is _COUNTED:
            return packet(self.opcode, self.key, self._arithmetic(), b"", upstream_opaque, unique)
        value = block_of(text, text.index(b"\r\n") + 2)
        if not self._operation.extras:
            return packet(self.opcode, self.key, b"", value, upstream_opaque, unique)
        flags, time = self.arguments.get(ord("F"), b"0"), self.arguments.get(ord("T"), b"0")
        return storing_packet(self.opcode, self.key, flags, time, value, upstream_opaque, unique)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one packet."""
        if not self.compare(buffer, position, b"", 0):
            return position
        end = self.start + self.length
        succeeded = self.status == operations.SUCCESS
        if succeeded and self.length not in self._operation.reply_values:
            raise OutOfStep("a reply that the operation cannot have")
        if end > len(buffer):
            return position
        value = buffer[self.start : end]
        status = self._words.get(self.status)
        if status is None:
            self.sink.deliver(error_line(self._operation.errors, self.status, value))
        elif len(status) > 2:
            self.sink.deliver(status)
        else:
            block = b""
            if succeeded and VALUE in self.request.flags.letters:
                number = b"%d" % int.from_bytes(value, "big")
                status, block = b"VA %d" % len(number), number + b"\r\n"
            verb = self.request.verb
            echoes = verb.hit_echoes if succeeded else verb.other_echoes
            unique = self.unique if succeeded else 0
            self.show(status[:2], self.answer_line(status, echoes.replace(b"s", b""), 0, 0, unique) + b"\r\n" + block)
        self.done = True
        return end

    def _arithmetic(self) -> bytes:
        arguments = self.arguments
        amounts = ARITHMETIC_EXTRAS.pack(int(arguments.get(ord("D"), b"1")), int(arguments.get(ord("J"), b"0")))
        time = arguments.get(ord("N"))
        return amounts + (operations.DO_NOT_CREATE if time is None else expiry(time).to_bytes(4, "big"))
