"""Valid packets of every binary opcode, loud and quiet."""

import random
import struct

from fuzz.differential.frames import Made, Weighted
from fuzz.differential.material import addition, any_key, key, key_of, value
from fuzz.differential.reading_binary import QUIET
from tests.support import packets
from tests.support.canonical_binary import SHAPES

VERBS = "binary opcodes"
CODES = {shape.name: code for code, shape in SHAPES.items()}
CODES |= {SHAPES[loud].name + "Q": quiet for quiet, loud in QUIET.items()}
EXPIRIES = [0, 0, 0, 1000, 2592000, 2592001, 0x7FFFFFFF, 0xFFFFFFFF]
STAT_KEYS = [b"", b"items", b"slabs", b"sizes", b"settings", b"reset", b"detail on", b"detail off", b"detail dump"]


def packet(choose: random.Random, verb: str) -> Made:
    """One packet, now and then with header fields that mean nothing."""
    cells = [(VERBS, verb)]
    code = CODES[verb]
    opaque = choose.getrandbits(32)
    cas = choose.choice((0, 0, 0, choose.randrange(1, 3000))) if verb.rstrip("Q") in CAS else 0
    expiry = choose.choice(EXPIRIES)
    loud = verb.removesuffix("Q")
    if loud in ("FLUSH", "NOOP", "VERSION"):
        extras = b"\0\0\0\0" if loud == "FLUSH" and choose.random() < 0.3 else b""
        data = packets.packet(code, extras=extras, opaque=opaque)
    elif loud == "STAT":
        name = choose.choice(STAT_KEYS)
        cells.append(("binary STAT", name.decode() or "(none)"))
        data = packets.packet(code, name, opaque=opaque)
    elif loud in ("INCR", "DECR"):
        numbers = choose.choice((0, 1, 10, 2**32, 2**40 if loud == "INCR" else 2**64 - 1)), choose.choice((0, 9, 2**62))
        data = packets.packet(code, key(choose), b"", struct.pack(">QQI", *numbers, expiry), opaque=opaque, cas=cas)
    elif loud in ("TOUCH", "GAT", "GATK"):
        data = packets.touching(code, any_key(choose), expiry, opaque=opaque)
    elif loud in ("SET", "ADD", "REPLACE", "APPEND", "PREPEND"):
        flags = choose.choice((0, 1, 0xFFFFFFFF))
        content = addition(choose) if loud in ("APPEND", "PREPEND") else value(choose)
        data = packets.store(code, key_of(choose, content), content, flags=flags, expiry=expiry, opaque=opaque, cas=cas)
    else:
        data = packets.packet(code, any_key(choose), opaque=opaque, cas=cas)
    if choose.random() < 0.05:
        cells.append(("spellings", "datatype and vbucket"))
        data = data[:5] + choose.randbytes(3) + data[8:]
    return Made(data, tuple(cells))


CAS = {"SET", "ADD", "REPLACE", "DELETE", "INCR", "DECR", "APPEND", "PREPEND"}
RARE = {"FLUSH": 1, "FLUSHQ": 1, "STAT": 1}
BINARY: Weighted = [(RARE.get(name, 12), packet, name) for name in CODES]
