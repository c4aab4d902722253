"""Packets as the corpus writes them down: every header field by its name, and only what differs from the usual.

A request's `extras` are hexadecimal digits, or are made of `flags`, `expiry`, `delta` and `initial` as its opcode takes
them. `cas: any` in a response is one that memcached makes up.
"""

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from tests.support import packets

OPAQUE = 0xABCD
"""The opaque of packets that name none, and of their replies."""

Fill = Callable[[str], str]
"""Puts parameters and repetitions into a text."""

_STORES = {packets.SET, packets.SETQ, packets.ADD, packets.ADDQ, packets.REPLACE, packets.REPLACEQ}
_COUNTS = {packets.INCR, packets.INCRQ, packets.DECR, packets.DECRQ}
_TOUCHES = {packets.TOUCH, packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ}
_REQUEST_FIELDS = {"op", "key", "value", "extras", "flags", "expiry", "delta", "initial", "opaque", "cas", "magic"}
_REQUEST_FIELDS |= {"key_length", "body_length", "datatype", "vbucket"}
_RESPONSE_FIELDS = {"op", "status", "key", "value", "extras", "opaque", "cas"}


def request(item: Mapping[str, Any], fill: Fill) -> bytes:
    """A packet that a client sends, whatever is wrong with it. Raises ValueError for a field that there is none of."""
    if unknown := set(item) - _REQUEST_FIELDS:
        raise ValueError(f"what is {sorted(unknown)} in a packet?")

    def number(field: str, default: int = 0) -> int:
        return _number(item, field, fill, default)

    opcode = _opcode(item, fill)
    if "extras" in item:
        extras = bytes.fromhex(fill(str(item["extras"])))
    elif opcode in _STORES:
        extras = struct.pack(">II", number("flags"), number("expiry"))
    elif opcode in _COUNTS:
        extras = struct.pack(">QQI", number("delta", 1), number("initial"), number("expiry", 0xFFFFFFFF))
    elif opcode in _TOUCHES:
        extras = struct.pack(">I", number("expiry"))
    else:
        extras = b""
    key, value = _text(item, "key", fill), _text(item, "value", fill)
    body = extras + key + value
    header = packets.HEADER.pack(
        number("magic", 0x80),
        opcode,
        number("key_length", len(key)),
        len(extras),
        number("datatype"),
        number("vbucket"),
        number("body_length", len(body)),
        number("opaque", OPAQUE),
        number("cas"),
    )
    return header + body


def response(item: Mapping[str, Any], fill: Fill) -> bytes:
    """The pattern of a packet that a client gets. Raises ValueError for a field that there is none of."""
    if unknown := set(item) - _RESPONSE_FIELDS:
        raise ValueError(f"what is {sorted(unknown)} in a response?")
    extras = bytes.fromhex(fill(str(item.get("extras", ""))))
    key, value = _text(item, "key", fill), _text(item, "value", fill)
    any_cas = fill(str(item.get("cas", "0"))) == "any"
    header = packets.HEADER.pack(
        0x81,
        _opcode(item, fill),
        len(key),
        len(extras),
        0,
        _number(item, "status", fill),
        len(extras + key + value),
        _number(item, "opaque", fill, OPAQUE),
        0 if any_cas else _number(item, "cas", fill),
    )
    return re.escape(header[:16]) + (b".{8}" if any_cas else re.escape(header[16:])) + re.escape(extras + key + value)


def without_opaques(stream: bytes) -> bytes:
    """Binary packets with their opaques made 0: the link has its own."""
    position = 0
    parts = []
    while position < len(stream):
        length = 24 + int.from_bytes(stream[position + 8 : position + 12], "big")
        packet = stream[position : position + length]
        parts.append(packet[:12] + bytes(4) + packet[16:])
        position += length
    return b"".join(parts)


def _number(item: Mapping[str, Any], field: str, fill: Fill, default: int = 0) -> int:
    value = item.get(field, default)
    return int(fill(value), 0) if isinstance(value, str) else int(value)


def _text(item: Mapping[str, Any], field: str, fill: Fill) -> bytes:
    return fill(str(item.get(field, ""))).encode("latin-1")


def _opcode(item: Mapping[str, Any], fill: Fill) -> int:
    """By its name in tests.support.packets, or by its number."""
    name = fill(str(item["op"]))
    return int(getattr(packets, name)) if name.isidentifier() else int(name, 0)
