"""A second reading of a client's binary stream; see reading.py. The shapes of packets are the judge's own table."""

import struct
from collections.abc import Callable

from fuzz.differential.outcomes import HEADER_BYTES, End, Passed, Reading, Refused, error_packet, exactly, nothing
from fuzz.differential.reading import is_canonical
from fuzz.differential.rules import SWALLOWED, VALUE_LIMIT, Rules
from tests.support.canonical_binary import SHAPES, STAT_KEYS

HEADER = struct.Struct(">BBHBBHIIQ")
QUIET = {0x09: 0x00, 0x0D: 0x0C, 0x1E: 0x1D, 0x24: 0x23, 0x11: 0x01, 0x12: 0x02, 0x13: 0x03, 0x14: 0x04}
QUIET |= {0x15: 0x05, 0x16: 0x06, 0x18: 0x08, 0x19: 0x0E, 0x1A: 0x0F}
LOOKUPS = {0x00, 0x0C, 0x1D, 0x23}
CLASSES: dict[int, tuple[str, ...]] = {
    **dict.fromkeys([0x00, 0x0C], ("read",)),
    **dict.fromkeys([0x1D, 0x23], ("read", "touch")),
    **dict.fromkeys([0x01, 0x02, 0x03, 0x0E, 0x0F], ("write",)),
    **dict.fromkeys([0x05, 0x06], ("counter",)),
    0x04: ("delete",),
    0x1C: ("touch",),
}
INSPECT = {b"items", b"slabs", b"sizes", b"settings", b"detail dump"}
NOT_FOUND, TOO_LARGE, INVALID, NO_ACCESS, UNKNOWN = 0x01, 0x03, 0x04, 0x24, 0x81


def read_binary(stream: bytes, rules: Rules) -> Reading:
    """Read a whole stream, to its end or to where the connection closes."""
    outcomes: list[Passed | Refused] = []
    position, size = 0, len(stream)
    while position < size:
        if stream[position] != 0x80:
            return Reading(outcomes, End.CLOSED)
        if size - position < HEADER_BYTES:
            return Reading(outcomes, End.INCOMPLETE)
        _, opcode, key_length, extras, _, _, body, opaque, cas = HEADER.unpack_from(stream, position)
        start = position + HEADER_BYTES
        end = start + body
        malformed = Refused(error_packet(opcode, opaque, INVALID, UNKNOWN))
        if body > SWALLOWED or key_length + extras > body or key_length > 250:
            return Reading([*outcomes, malformed], End.CLOSED)
        loud = QUIET.get(opcode, opcode)
        shape = SHAPES.get(loud)
        outcome: Passed | Refused
        if opcode in (0x07, 0x17):
            if body:
                return Reading([*outcomes, malformed], End.CLOSED)
            bye = exactly(HEADER.pack(0x81, opcode, 0, 0, 0, 0, 0, opaque, 0)) if opcode == 0x07 else nothing
            return Reading([*outcomes, Refused(bye)], End.CLOSED)
        if (opcode == 0x20 and body) or (opcode in (0x21, 0x22) and (extras or not key_length)):
            # memcached looks at the shape of a login before it says that there is none.
            return Reading([*outcomes, malformed], End.CLOSED)
        if shape is None:
            outcome = Refused(error_packet(opcode, opaque, UNKNOWN))
        elif loud == 0x10:
            if extras or key_length != body or key_length > 250:
                return Reading([*outcomes, malformed], End.CLOSED)
            if end > size:
                return Reading(outcomes, End.INCOMPLETE)
            outcome = _stat(stream[start:end], opaque, rules)
        elif loud == 0x08 and extras == body == 4:
            if end > size:
                return Reading(outcomes, End.INCOMPLETE)
            outcome = _keyless(loud, opcode, opaque, rules)
            if isinstance(outcome, Passed) and stream[start:end] != b"\0\0\0\0":
                outcome = Refused(error_packet(opcode, opaque, INVALID))
        else:
            value = body - key_length - extras
            if extras != shape.extras or (value and not shape.value) or shape.key != (1 <= key_length <= 250):
                return Reading([*outcomes, malformed], End.CLOSED)
            if not shape.key and key_length:
                return Reading([*outcomes, malformed], End.CLOSED)
            if size < end - value:
                return Reading(outcomes, End.INCOMPLETE)
            # A key is judged before its value is there.
            outcome = _operation(loud, stream[position:end], extras, key_length, value, cas if shape.cas else 0, rules)
            if end > size and isinstance(outcome, Passed):
                return Reading(outcomes, End.INCOMPLETE)
        outcomes.append(outcome)
        if end > size:
            return Reading(outcomes, End.INCOMPLETE)
        position = end
    return Reading(outcomes, End.OPEN)


def _shown(loud: int, opcode: int, opaque: int) -> Callable[[bytes], bytes]:
    """memcached's reply under the client's opcode and opaque, less what a quiet opcode hides."""
    dropped = (1 if loud in LOOKUPS else 0) if opcode != loud else -1
    code, number = opcode.to_bytes(1, "big"), opaque.to_bytes(4, "big")

    def shown(reply: bytes) -> bytes:
        if reply[6] == 0 and reply[7] == dropped:
            return b""
        return reply[:1] + code + reply[2:12] + number + reply[16:]

    return shown


def _operation(
    loud: int, packet: bytes, extras: int, key_length: int, value: int, cas: int, rules: Rules
) -> Passed | Refused:
    opcode, opaque = packet[1], int.from_bytes(packet[12:16], "big")
    if loud not in CLASSES:
        return _keyless(loud, opcode, opaque, rules)
    start = HEADER_BYTES + extras
    key = packet[start : start + key_length]
    if not is_canonical([b"get", key]):
        return Refused(error_packet(opcode, opaque, INVALID))
    classes = CLASSES[loud]
    if loud in (0x05, 0x06) and packet[start - 4 : start] != b"\xff\xff\xff\xff":
        # It may create the counter.
        classes = (*classes, "write")
    if not rules.grants(key, *classes):
        return Refused(error_packet(opcode, opaque, NO_ACCESS))
    if value > VALUE_LIMIT:
        return Refused(error_packet(opcode, opaque, TOO_LARGE))
    header = HEADER.pack(0x80, loud, key_length, extras, 0, 0, len(packet) - HEADER_BYTES, 0, cas)
    return Passed(header + packet[HEADER_BYTES:], _shown(loud, opcode, opaque))


def _keyless(loud: int, opcode: int, opaque: int, rules: Rules) -> Passed | Refused:
    if loud == 0x08 and not rules.allows("flush"):
        return Refused(error_packet(opcode, opaque, NO_ACCESS))
    return Passed(HEADER.pack(0x80, loud, 0, 0, 0, 0, 0, 0, 0), _shown(loud, opcode, opaque))


def _stat(key: bytes, opaque: int, rules: Rules) -> Passed | Refused:
    if key not in STAT_KEYS:
        return Refused(error_packet(0x10, opaque, NOT_FOUND))
    needed = "stats" if not key else "inspect" if key in INSPECT else "admin"
    if not rules.allows(needed):
        return Refused(error_packet(0x10, opaque, NO_ACCESS))
    return Passed(HEADER.pack(0x80, 0x10, len(key), 0, 0, 0, len(key), 0, 0) + key, _every_packet(opaque))


def _every_packet(opaque: int) -> Callable[[bytes], bytes]:
    """The packets of a STAT, each under the client's opaque."""
    number = opaque.to_bytes(4, "big")

    def shown(reply: bytes) -> bytes:
        packets, position = [], 0
        while position < len(reply):
            end = position + HEADER_BYTES + int.from_bytes(reply[position + 8 : position + 12], "big")
            packets.append(reply[position : position + 12] + number + reply[position + 16 : end])
            position = end
        return b"".join(packets)

    return shown
