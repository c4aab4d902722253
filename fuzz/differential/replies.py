"""Where memcached's reply to a canonical frame ends, and that it is one which the frame can have.

A second reading of the tables' reply columns, for what memcached B answers and, where two memcacheds may differ, for
what the client got.
"""

from collections.abc import Callable

from tests.support.canonical import Frame

HEADER_BYTES = 24
LONGEST_LINE = 4096


class NoReply(Exception):
    """Bytes that the frame can't have as its reply."""


ReplyEnd = Callable[[Frame, bytes, int], int]
"""The end of the reply to a frame at a position; -1 while it is not whole. Raises NoReply."""


def line_end(data: bytes, position: int) -> int:
    """The position behind the CRLF of the line that begins here; -1 if it isn't there. Raises NoReply on a bare LF."""
    feed = data.find(b"\n", position)
    if feed < 0:
        if len(data) - position > LONGEST_LINE and not data.startswith(b"key=", position):
            raise NoReply(f"a line without an end: {data[position : position + 100]!r}")
        return -1
    if data[feed - 1] != 0x0D:
        raise NoReply(f"a bare line feed: {data[position : feed + 1]!r}")
    return feed + 1


def one_of(*lines: bytes) -> ReplyEnd:
    """One of these lines, or SERVER_ERROR."""
    known = frozenset(line + b"\r\n" for line in lines)

    def end(frame: Frame, data: bytes, position: int) -> int:
        stop = line_end(data, position)
        if stop >= 0 and (line := data[position:stop]) not in known and not line.startswith(b"SERVER_ERROR "):
            raise NoReply(f"{frame.verb} answered by {line!r}")
        return stop

    return end


def starts(*beginnings: bytes) -> ReplyEnd:
    """One line that begins with one of these."""

    def end(frame: Frame, data: bytes, position: int) -> int:
        stop = line_end(data, position)
        if stop >= 0 and not data.startswith(beginnings, position) and not data.startswith(b"SERVER_ERROR ", position):
            raise NoReply(f"{frame.verb} answered by {data[position:stop]!r}")
        return stop

    return end


def number(frame: Frame, data: bytes, position: int) -> int:
    """What incr and decr answer."""
    stop = line_end(data, position)
    if stop < 0 or data[position : stop - 2].isdigit():
        return stop
    return NOT_A_NUMBER(frame, data, position)


NOT_A_NUMBER = one_of(b"NOT_FOUND", b"CLIENT_ERROR cannot increment or decrement non-numeric value")


def values(frame: Frame, data: bytes, position: int) -> int:
    """VALUE blocks in the order asked, then END."""
    owed = iter(frame.keys)
    words = 5 if frame.verb.endswith("s") else 4
    while True:
        stop = line_end(data, position)
        if stop < 0 or data.startswith(b"END\r\n", position) or data.startswith(b"SERVER_ERROR ", position):
            return stop
        parts = data[position : stop - 2].split(b" ")
        if parts[0] != b"VALUE" or len(parts) != words or not all(part.isdigit() for part in parts[2:]):
            raise NoReply(f"{frame.verb} answered by {data[position:stop]!r}")
        if parts[1] not in owed:
            raise NoReply(f"a value of {parts[1]!r}, which was not asked for")
        position = stop + int(parts[3]) + 2
        if position > len(data):
            return -1
        if data[position - 2 : position] != b"\r\n":
            raise NoReply(f"the value of {parts[1]!r} does not end where its length says")


def lines(*beginnings: bytes, single: tuple[bytes, ...] = ()) -> ReplyEnd:
    """Lines that begin so, up to END; or a single other one."""

    def end(frame: Frame, data: bytes, position: int) -> int:
        first = True
        while True:
            stop = line_end(data, position)
            if stop < 0 or data[position:stop] == b"END\r\n":
                return stop
            if not data.startswith(beginnings, position):
                if first and data[position : stop - 2].startswith(single or b"\n"):
                    return stop
                raise NoReply(f"{frame.raw!r} answered by {data[position:stop]!r}")
            first = False
            position = stop

    return end


def meta(statuses: tuple[bytes, ...], *errors: bytes) -> ReplyEnd:
    """One line that begins with a status; VA announces a value."""

    def end(frame: Frame, data: bytes, position: int) -> int:
        stop = line_end(data, position)
        if stop < 0:
            return -1
        status = data[position : position + 2]
        if status not in statuses or data[position + 2] not in b" \r":
            if data.startswith((b"SERVER_ERROR ", *errors), position):
                return stop
            raise NoReply(f"{frame.raw[:200]!r} answered by {data[position:stop]!r}")
        if status == b"VA":
            stop += int(data[position : stop - 2].split(b" ")[1]) + 2
            if stop > len(data):
                return -1
            if data[stop - 2 : stop] != b"\r\n":
                raise NoReply(f"a value to {frame.raw[:200]!r} that does not end where its length says")
        return stop

    return end


def crawler(frame: Frame, data: bytes, position: int) -> int:
    """What lru_crawler answers: for metadump, lines that end in LF alone, up to END."""
    stop = line_end(data, position) if not data.startswith(b"key=", position) else 0
    if b"metadump" not in frame.raw or data.startswith((b"BUSY", b"BADCLASS", b"ERROR", b"CLIENT_ERROR"), position):
        return CRAWLER_LINE(frame, data, position)
    if stop and data.startswith(b"OK\r\n", position):
        position = stop
    while data.startswith(b"key=", position):
        feed = data.find(b"\n", position)
        if feed < 0:
            return -1
        position = feed + 1
    if data.startswith(b"END\r\n", position):
        return position + 5
    if not b"END\r\n".startswith(rest := data[position : position + 5]) and not b"key=".startswith(rest[:4]):
        raise NoReply(f"metadump answered by {data[position : position + 100]!r}")
    return -1


def logged(frame: Frame, data: bytes, position: int) -> int:
    """OK, and from then on anything."""
    if len(data) - position < 4:
        return -1
    if not data.startswith(b"OK\r\n", position):
        raise NoReply(f"watch answered by {data[position : position + 100]!r}")
    return len(data)


CRAWLER_LINE = starts(b"OK\r\n", b"ERROR", b"CLIENT_ERROR ", b"BUSY ", b"BADCLASS ", b"NOTSTARTED ")

TEXT: dict[str, ReplyEnd] = {
    **dict.fromkeys(["get", "gets", "gat", "gats"], values),
    "set": one_of(b"STORED"),
    **dict.fromkeys(["add", "replace", "append", "prepend"], one_of(b"STORED", b"NOT_STORED")),
    "cas": one_of(b"STORED", b"EXISTS", b"NOT_FOUND"),
    "incr": number,
    "decr": number,
    "touch": one_of(b"TOUCHED", b"NOT_FOUND"),
    "delete": one_of(b"DELETED", b"NOT_FOUND"),
    "flush_all": one_of(b"OK"),
    "verbosity": one_of(b"OK"),
    "version": starts(b"VERSION "),
    "mn": one_of(b"MN"),
    "mg": meta((b"HD", b"VA", b"EN")),
    "ms": meta((b"HD", b"NS", b"EX", b"NF")),
    "md": meta((b"HD", b"NF", b"EX")),
    "ma": meta((b"HD", b"VA", b"NF", b"EX"), b"CLIENT_ERROR cannot increment or decrement non-numeric value"),
    "me": meta((b"ME", b"EN")),
    "cache_memlimit": starts(b"OK\r\n", b"MEMLIMIT_"),
    "lru": starts(b"OK\r\n", b"ERROR"),
    "slabs": starts(b"OK\r\n", b"ERROR", b"CLIENT_ERROR ", b"BUSY ", b"BADCLASS ", b"NOSPARE ", b"NOTFULL ", b"SAME "),
    "lru_crawler": crawler,
    "refresh_certs": starts(b""),
    "shutdown": starts(b"ERROR: ", b"SERVER_ERROR: "),
    "watch": logged,
    "stats": lines(
        b"STAT ", b"ITEM ", b"PREFIX ", single=(b"RESET", b"OK", b"ERROR", b"CLIENT_ERROR ", b"SERVER_ERROR ")
    ),
}

UNSTEADY = {"stats", "STAT", "lru_crawler", "slabs", "cache_memlimit", "watch"}
"""Verbs whose replies differ between any two memcacheds: only that it is one of its replies can be said."""


def packet(frame: Frame, data: bytes, position: int) -> int:
    """One packet under the frame's opcode and opaque; for STAT all up to one without a key."""
    while True:
        if len(data) - position < HEADER_BYTES:
            return -1
        if data[position] != 0x81 or data[position + 1] != frame.raw[1]:
            raise NoReply(f"{frame.verb} answered by {data[position : position + HEADER_BYTES]!r}")
        if data[position + 12 : position + 16] != frame.raw[12:16]:
            raise NoReply(f"{frame.verb} answered under a foreign opaque: {data[position : position + HEADER_BYTES]!r}")
        stop = position + HEADER_BYTES + int.from_bytes(data[position + 8 : position + 12], "big")
        if stop > len(data):
            return -1
        status = data[position + 6 : position + 8]
        if frame.verb != "STAT" or status != b"\0\0" or data[position + 2 : position + 4] == b"\0\0":
            return stop
        position = stop


def reply_end(frame: Frame, data: bytes, position: int) -> int:
    """The end of the frame's reply at `position`, -1 while it is not whole. Raises NoReply."""
    if frame.raw[0] == 0x80:
        return packet(frame, data, position)
    return TEXT[frame.verb](frame, data, position)
