"""The binary protocol's operations as data: the exact shape of each packet and of every reply to it.

From memcached's protocol_binary.h, held to what memcached 1.6.18 and 1.6.45 were measured to do. What has no row here
is unknown to one of them and never goes upstream: with a body, an unknown opcode makes memcached swallow too much.
"""

import struct
from dataclasses import dataclass, replace
from typing import Final

from mcproxy.wire.grammar import LARGEST_LENGTH

# magic, opcode, key length, extras length, data type, vbucket id or status, total body length, opaque, cas
HEADER: Final = struct.Struct(">BBHBBHIIQ")
HEADER_LENGTH: Final = 24
REQUEST_MAGIC: Final = 0x80
RESPONSE_MAGIC: Final = 0x81

SUCCESS: Final = 0x00
KEY_NOT_FOUND: Final = 0x01
KEY_EXISTS: Final = 0x02
VALUE_TOO_LARGE: Final = 0x03
INVALID_ARGUMENTS: Final = 0x04
ITEM_NOT_STORED: Final = 0x05
NON_NUMERIC: Final = 0x06
AUTHENTICATION_ERROR: Final = 0x20
NO_ACCESS: Final = 0x24
UNKNOWN_COMMAND: Final = 0x81
OUT_OF_MEMORY: Final = 0x82
TEMPORARY_FAILURE: Final = 0x86

GET: Final = 0x00
SET: Final = 0x01
ADD: Final = 0x02
REPLACE: Final = 0x03
DELETE: Final = 0x04
INCREMENT: Final = 0x05
DECREMENT: Final = 0x06
QUIT: Final = 0x07
FLUSH: Final = 0x08
NOOP: Final = 0x0A
VERSION: Final = 0x0B
GETK: Final = 0x0C
APPEND: Final = 0x0E
PREPEND: Final = 0x0F
TOUCH: Final = 0x1C
GAT: Final = 0x1D
GATK: Final = 0x23
QUITQ: Final = 0x17
STAT: Final = 0x10
SASL_LIST_MECHS: Final = 0x20
SASL_AUTH: Final = 0x21
SASL_STEP: Final = 0x22
# INCR and DECR with this expiration, the last of their extras, do not create the counter.
DO_NOT_CREATE: Final = b"\xff\xff\xff\xff"

# The keys of STAT, exact words only (memcached 1.6.18 takes `resetxyz` for `reset`), and the command class of each.
# `cachedump` and `conns` are of the text protocol alone; `sizes_enable` gets an answer without an end on 1.6.18.
STATISTICS: Final = {
    b"": "stats",
    b"items": "inspect",
    b"slabs": "inspect",
    b"sizes": "inspect",
    b"settings": "inspect",
    b"detail dump": "inspect",
    b"reset": "admin",
    b"detail on": "admin",
    b"detail off": "admin",
}

# In bytes. It has a line for each prefix that keys had, and binary has all of them in one packet.
LONGEST_DUMP: Final = 1024 * 1024
TOO_LONG: Final = b"the statistics are too long"

_NOTHING: Final = range(1)
_VALUE: Final = range(LARGEST_LENGTH + 1)
_NUMBER: Final = range(8, 9)
_VERSION: Final = range(1, 65)


@dataclass(frozen=True, slots=True)
class Operation:
    """One opcode. Lengths in bytes; `reply_values` are those that the value of a successful reply may have.

    `reply_key`: the reply names the key, a miss too. `creates`: it stores unless its extras say otherwise. `dropped` is
    the status whose reply the client of a quiet opcode does not want; None for a loud one. `sent` is the loud opcode
    that goes upstream, so that there is one reply for every request (R2).
    """

    sent: int
    extras: int
    key: bool
    value: bool
    cas: bool
    classes: tuple[str, ...]
    errors: frozenset[int]
    reply_extras: int = 0
    reply_key: bool = False
    reply_values: range = _NOTHING
    lookup: bool = False
    creates: bool = False
    dropped: int | None = None

    @property
    def count(self) -> str:
        """The command class that it is counted under."""
        return self.classes[-1] if self.classes else "other"


def _table() -> dict[int, Operation]:
    store = frozenset({KEY_NOT_FOUND, KEY_EXISTS, VALUE_TOO_LARGE, ITEM_NOT_STORED, OUT_OF_MEMORY})
    append = store - {KEY_NOT_FOUND}
    missing = frozenset({KEY_NOT_FOUND})
    delete = frozenset({KEY_NOT_FOUND, KEY_EXISTS})
    # Not stored: it was to create the counter, and another client did so meanwhile.
    arithmetic = frozenset({KEY_NOT_FOUND, KEY_EXISTS, ITEM_NOT_STORED, NON_NUMERIC, OUT_OF_MEMORY})
    table: dict[int, Operation] = {}

    def add(quiet: int | None, operation: Operation) -> None:
        if operation.classes:
            # memcached denies nothing; an upstream that is an mcproxy has grants of its own.
            operation = replace(operation, errors=operation.errors | {NO_ACCESS})
        table[operation.sent] = operation
        if quiet is not None:
            dropped = KEY_NOT_FOUND if operation.lookup else SUCCESS
            table[quiet] = replace(operation, dropped=dropped)

    def retrieval(sent: int, quiet: int, extras: int, classes: tuple[str, ...], with_key: bool) -> None:
        add(quiet, Operation(sent, extras, True, False, False, classes, missing, 4, with_key, _VALUE, lookup=True))

    retrieval(0x00, 0x09, 0, ("read",), False)
    retrieval(0x0C, 0x0D, 0, ("read",), True)
    retrieval(0x1D, 0x1E, 4, ("read", "touch"), False)
    retrieval(0x23, 0x24, 4, ("read", "touch"), True)
    for sent, quiet in ((0x01, 0x11), (0x02, 0x12), (0x03, 0x13)):
        add(quiet, Operation(sent, 8, True, True, True, ("write",), store))
    for sent, quiet in ((0x0E, 0x19), (0x0F, 0x1A)):
        add(quiet, Operation(sent, 0, True, True, True, ("write",), append))
    add(0x14, Operation(0x04, 0, True, False, True, ("delete",), delete))
    for sent, quiet in ((0x05, 0x15), (0x06, 0x16)):
        add(quiet, Operation(sent, 20, True, False, True, ("counter",), arithmetic, reply_values=_NUMBER, creates=True))
    add(None, Operation(0x1C, 4, True, False, False, ("touch",), missing, reply_extras=4))
    add(0x18, Operation(0x08, 0, False, False, False, ("flush",), frozenset({AUTHENTICATION_ERROR})))
    add(None, Operation(0x0A, 0, False, False, False, (), frozenset()))
    add(None, Operation(0x0B, 0, False, False, False, (), frozenset(), reply_values=_VERSION))
    return table


OPERATIONS: Final = _table()


def reply(opcode: int, status: int, opaque: int, body: bytes = b"") -> bytes:
    """A response packet of the proxy's own."""
    return HEADER.pack(RESPONSE_MAGIC, opcode, 0, 0, 0, status, len(body), opaque, 0) + body
