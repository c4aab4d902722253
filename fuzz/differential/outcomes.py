"""What should become of one frame of a client's stream: passed up, or refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

HEADER_BYTES = 24


class End(Enum):
    """How a stream leaves its connection."""

    OPEN = "open"
    CLOSED = "closed"
    INCOMPLETE = "incomplete"
    # It is told what memcached logs until it leaves; nothing else that it sends is heard.
    WATCHING = "watching"


@dataclass(slots=True)
class Passed:
    """One canonical frame goes up; a retrieval may go in several.

    `shown` makes what the client sees of memcached's reply. `keys` are those of a retrieval, in the order asked; else
    empty.
    """

    upstream: bytes
    shown: Callable[[bytes], bytes]
    keys: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Refused:
    """The program answers by itself. `reply` takes the client's bytes at a position and returns the reply's end.

    It returns -1 where the bytes are not this reply, also where they are only a part of it.
    """

    reply: Callable[[bytes, int], int]


@dataclass(slots=True)
class Reading:
    """A whole stream's outcomes, and what is true of the connection then."""

    outcomes: list[Passed | Refused]
    end: End


def whole(reply: bytes) -> bytes:
    """The reply as it is."""
    return reply


def hidden(reply: bytes) -> bytes:
    """Nothing of it: the client wanted none."""
    return b""


def nothing(data: bytes, position: int) -> int:
    """No reply at all."""
    return position


def exactly(expected: bytes) -> Callable[[bytes, int], int]:
    """This reply and no other."""

    def end(data: bytes, position: int) -> int:
        return position + len(expected) if data.startswith(expected, position) else -1

    return end


def error_line(data: bytes, position: int) -> int:
    """One error line in memcached's form; which words it has is for the conformance suite."""
    end = data.find(b"\r\n", position)
    if end < 0 or b"\n" in data[position:end] or b"\r" in data[position:end]:
        return -1
    line = data[position:end]
    if line == b"ERROR" or line.startswith(
        (b"CLIENT_ERROR ", b"SERVER_ERROR object too large for cache", b"BADCLASS ")
    ):
        return end + 2
    return -1


def error_packet(opcode: int, opaque: int, *statuses: int) -> Callable[[bytes, int], int]:
    """One binary error with one of `statuses`, under the client's own opcode and opaque."""

    def end(data: bytes, position: int) -> int:
        header = data[position : position + HEADER_BYTES]
        if len(header) < HEADER_BYTES or header[0] != 0x81 or header[1] != opcode or header[2:6] != b"\0\0\0\0":
            return -1
        length = int.from_bytes(header[8:12], "big")
        stop = position + HEADER_BYTES + length
        fits = length <= 100 and int.from_bytes(header[12:16], "big") == opaque and header[16:] == bytes(8)
        return stop if fits and int.from_bytes(header[6:8], "big") in statuses and stop <= len(data) else -1

    return end


DENIED = exactly(b"CLIENT_ERROR access denied\r\n")
