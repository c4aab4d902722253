"""The binary half of the independent judge: one packet, exactly as the canonical grammar's table has it."""

from typing import NamedTuple

HEADER_BYTES = 24

STAT_KEYS = {b"", b"items", b"slabs", b"sizes", b"settings", b"reset", b"detail on", b"detail off", b"detail dump"}


class PacketFault(AssertionError):
    """The packet is outside of the canonical grammar."""


class Shape(NamedTuple):
    """What an opcode's packet has to look like."""

    name: str
    extras: int
    key: bool
    value: bool
    cas: bool


# Quiet opcodes, QUIT and the SASL opcodes are missing on purpose: none of them may go up.
SHAPES: dict[int, Shape] = {
    0x00: Shape("GET", 0, True, False, False),
    0x01: Shape("SET", 8, True, True, True),
    0x02: Shape("ADD", 8, True, True, True),
    0x03: Shape("REPLACE", 8, True, True, True),
    0x04: Shape("DELETE", 0, True, False, True),
    0x05: Shape("INCR", 20, True, False, True),
    0x06: Shape("DECR", 20, True, False, True),
    0x08: Shape("FLUSH", 0, False, False, False),
    0x0A: Shape("NOOP", 0, False, False, False),
    0x0B: Shape("VERSION", 0, False, False, False),
    0x0C: Shape("GETK", 0, True, False, False),
    0x0E: Shape("APPEND", 0, True, True, True),
    0x0F: Shape("PREPEND", 0, True, True, True),
    0x10: Shape("STAT", 0, False, False, False),
    0x1C: Shape("TOUCH", 4, True, False, False),
    0x1D: Shape("GAT", 4, True, False, False),
    0x23: Shape("GATK", 4, True, False, False),
}


def _whole(data: bytes, at: int, size: int) -> int:
    number = 0
    for byte in data[at : at + size]:
        number = number * 256 + byte
    return number


def read_packet(window: bytes, start: int, value_limit: int) -> tuple[int, str, bytes, bytes, int] | None:
    """The packet at `start`: where it ends, its name, key, value and opaque; None while it is not whole.

    Raises PacketFault as soon as the header shows that it is not canonical.
    """
    if window[start] != 0x80:
        raise PacketFault(f"magic {window[start]:#04x}")
    opcode = window[start + 1]
    shape = SHAPES.get(opcode)
    if shape is None:
        raise PacketFault(f"opcode {opcode:#04x} may not go up")
    key_length = _whole(window, start + 2, 2)
    extras_length = window[start + 4]
    body_length = _whole(window, start + 8, 4)
    opaque = _whole(window, start + 12, 4)
    value_length = body_length - key_length - extras_length
    if window[start + 5] != 0:
        raise PacketFault(f"datatype {window[start + 5]}")
    if _whole(window, start + 6, 2) != 0:
        raise PacketFault(f"vbucket {_whole(window, start + 6, 2)}")
    if extras_length != shape.extras:
        raise PacketFault(f"{shape.name} with {extras_length} bytes of extras")
    if value_length < 0:
        raise PacketFault(f"{shape.name}: key and extras are longer than the body")
    if value_length and not shape.value:
        raise PacketFault(f"{shape.name} with a value")
    if value_length > value_limit:
        raise PacketFault(f"a value of {value_length} bytes, more than {value_limit}")
    if _whole(window, start + 16, 8) and not shape.cas:
        raise PacketFault(f"{shape.name} with a cas")
    if shape.key and not 1 <= key_length <= 250:
        raise PacketFault(f"{shape.name} with a key of {key_length} bytes")
    if key_length and not shape.key and shape.name != "STAT":
        raise PacketFault(f"{shape.name} with a key")
    end = start + HEADER_BYTES + body_length
    if len(window) < end:
        return None
    key_at = start + HEADER_BYTES + extras_length
    key = window[key_at : key_at + key_length]
    if shape.name == "STAT" and key not in STAT_KEYS:
        raise PacketFault(f"stat key {key!r}")
    return end, shape.name, key, window[key_at + key_length : end], opaque
