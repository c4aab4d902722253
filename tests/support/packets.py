"""Binary packets as a test writes and reads them (protocol-binary of memcached; independent of the program's own)."""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

HEADER = struct.Struct(">BBHBBHIIQ")

GET, SET, ADD, REPLACE, DELETE, INCR, DECR, QUIT, FLUSH, GETQ, NOOP, VERSION, GETK, GETKQ = range(0x0E)
APPEND, PREPEND, STAT, SETQ, ADDQ, REPLACEQ, DELETEQ, INCRQ, DECRQ, QUITQ, FLUSHQ, APPENDQ, PREPENDQ = range(0x0E, 0x1B)
VERBOSITY, TOUCH, GAT, GATQ = range(0x1B, 0x1F)
LIST_MECHS, AUTH, STEP, GATK, GATKQ = range(0x20, 0x25)

OK, NOT_FOUND, EXISTS, TOO_LARGE, INVALID, NOT_STORED, NON_NUMERIC = range(7)
AUTH_ERROR, AUTH_CONTINUE, DENIED = 0x20, 0x21, 0x24
UNKNOWN, OUT_OF_MEMORY, UNAVAILABLE = 0x81, 0x82, 0x86

IN_STEP = 0x0DDBA115
"""The opaque of the NOOP that shows that a connection has answered everything before it, and nothing else."""


def packet(
    opcode: int,
    key: bytes = b"",
    value: bytes = b"",
    extras: bytes = b"",
    *,
    opaque: int = 0,
    cas: int = 0,
    magic: int = 0x80,
    key_length: int | None = None,
    body_length: int | None = None,
) -> bytes:
    """One request; the lengths can be made to lie."""
    body = extras + key + value
    header = HEADER.pack(
        magic,
        opcode,
        len(key) if key_length is None else key_length,
        len(extras),
        0,
        0,
        len(body) if body_length is None else body_length,
        opaque,
        cas,
    )
    return header + body


def store(opcode: int, key: bytes, value: bytes, *, flags: int = 0, expiry: int = 0, **more: Any) -> bytes:
    """SET, ADD or REPLACE and their quiet twins; APPEND and PREPEND take no extras."""
    if opcode in (APPEND, PREPEND, APPENDQ, PREPENDQ):
        return packet(opcode, key, value, **more)
    return packet(opcode, key, value, struct.pack(">II", flags, expiry), **more)


def arithmetic(opcode: int, key: bytes, delta: int, initial: int = 0, expiry: int = 0xFFFFFFFF, **more: Any) -> bytes:
    """INCR or DECR; the expiry of all ones means that a missing key is not created."""
    return packet(opcode, key, b"", struct.pack(">QQI", delta, initial, expiry), **more)


def touching(opcode: int, key: bytes, expiry: int = 0, **more: Any) -> bytes:
    """TOUCH, GAT, GATK and their quiet twins."""
    return packet(opcode, key, b"", struct.pack(">I", expiry), **more)


def with_key(opcode: int, key: bytes, **more: Any) -> bytes:
    """A well-formed request of this opcode, whatever it is, for a key."""
    if opcode in (SET, SETQ, ADD, ADDQ, REPLACE, REPLACEQ, APPEND, APPENDQ, PREPEND, PREPENDQ):
        return store(opcode, key, b"value", **more)
    if opcode in (INCR, INCRQ, DECR, DECRQ):
        return arithmetic(opcode, key, 1, **more)
    if opcode in (TOUCH, GAT, GATQ, GATK, GATKQ):
        return touching(opcode, key, 0, **more)
    return packet(opcode, key, **more)


def sasl(mechanism: bytes, data: bytes, opcode: int = AUTH) -> bytes:
    return packet(opcode, mechanism, data)


def plain(user: str, password: str, authorization: str = "") -> bytes:
    """AUTH with PLAIN's message (RFC 4616): authorization identity, name and password, NUL between them."""
    return sasl(b"PLAIN", b"\0".join(part.encode() for part in (authorization, user, password)))


class Shape(NamedTuple):
    """Status and value of a response: most of what a test compares."""

    status: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Response:
    opcode: int
    status: int
    opaque: int
    cas: int
    extras: bytes
    key: bytes
    value: bytes

    @property
    def shape(self) -> Shape:
        return Shape(self.status, self.value)


def read_header(header: bytes) -> tuple[Response, int, int]:
    """The response without its body, and the lengths of key and body. Raises AssertionError if it is none."""
    magic, opcode, key_length, extras_length, datatype, status, body_length, opaque, cas = HEADER.unpack(header)
    assert magic == 0x81, f"not a response: {header!r}"
    assert datatype == 0, f"datatype {datatype} in {header!r}"
    assert extras_length + key_length <= body_length < 1 << 27, f"lengths of {header!r}"
    return Response(opcode, status, opaque, cas, b"\0" * extras_length, b"", b""), key_length, body_length
