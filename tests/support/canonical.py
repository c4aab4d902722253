"""The independent judge: a second, strict reading of the canonical grammar, for what arrives at memcached.

Written from the grammar's tables alone, byte by byte and without regular expressions, and it imports nothing of
the program under test: where both agree, two different readings of memcached's rules agree. It raises
`NotCanonical` at the first byte that is outside of the grammar and never repairs anything.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.canonical_administration import ADMINISTRATION
from tests.support.canonical_binary import HEADER_BYTES, PacketFault, read_packet
from tests.support.canonical_meta import META
from tests.support.canonical_tokens import (
    U32,
    U64,
    NotCanonical,
    Reading,
    check_arity,
    read_expiry,
    read_key,
    read_keys,
    read_number,
)

LINE_LIMIT = 2048
"""Bytes of a line with its CRLF: memcached kills longer ones, depending on how they are chunked (measured)."""

__all__ = ["READINGS", "Frame", "NotCanonical", "Stream"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One request as memcached got it.

    `verb` is the text command, or the binary opcode's name in capitals. `keys` are decoded where they came in base64.
    """

    verb: str
    keys: tuple[bytes, ...] = ()
    body: bytes = b""
    raw: bytes = field(default=b"", repr=False)
    opaque: int = 0


def _get(tokens: list[bytes]) -> Reading:
    return read_keys(tokens[1:]), None


def _get_and_touch(tokens: list[bytes]) -> Reading:
    if len(tokens) < 3:
        raise NotCanonical("gat without an expiry and a key")
    read_expiry(tokens[1])
    return read_keys(tokens[2:]), None


def _store(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 6 if tokens[0] == b"cas" else 5)
    key = read_key(tokens[1])
    read_number(tokens[2], U32)
    read_expiry(tokens[3])
    length = read_number(tokens[4], 1 << 30)
    if tokens[0] == b"cas":
        read_number(tokens[5], U64)
    return (key,), length


def _arithmetic(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 3)
    read_number(tokens[2], U64)
    return (read_key(tokens[1]),), None


def _delete(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 2)
    if tokens[1] == b"noreply":
        raise NotCanonical("`delete noreply` means two things")
    return (read_key(tokens[1]),), None


def _touch(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 3)
    read_expiry(tokens[2])
    return (read_key(tokens[1]),), None


def _bare(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 1)
    return (), None


READINGS: dict[bytes, Callable[[list[bytes]], Reading]] = {
    **dict.fromkeys([b"get", b"gets"], _get),
    **dict.fromkeys([b"gat", b"gats"], _get_and_touch),
    **dict.fromkeys([b"set", b"add", b"replace", b"append", b"prepend", b"cas"], _store),
    **dict.fromkeys([b"incr", b"decr"], _arithmetic),
    **dict.fromkeys([b"flush_all", b"version", b"mn"], _bare),
    b"delete": _delete,
    b"touch": _touch,
    **META,
    **ADMINISTRATION,
}
"""By verb: takes the words of a line, returns its keys (decoded) and, where a data block follows, its length."""


class Stream:
    """What one connection sent to memcached, cut into frames as it comes.

    `value_limit` is the largest value, in bytes, that may go up. The first byte fixes text or binary for the
    connection. `feed` returns the frames that became whole and keeps the rest; `end` raises NotCanonical if a
    frame was left unfinished.
    """

    def __init__(self, value_limit: int = 1 << 20) -> None:
        self.value_limit = value_limit
        self.rest = bytearray()
        self.binary: bool | None = None

    def feed(self, data: bytes) -> list[Frame]:
        self.rest += data
        if self.binary is None and self.rest:
            self.binary = self.rest[0] == 0x80
        frames: list[Frame] = []
        position = 0
        window = bytes(self.rest)
        while position < len(window):
            taken = self._packet(window, position) if self.binary else self._line(window, position)
            if taken is None:
                break
            frame, position = taken
            frames.append(frame)
        del self.rest[:position]
        return frames

    def end(self) -> None:
        if self.rest:
            raise NotCanonical(f"the connection ended inside of a frame: {bytes(self.rest[:200])!r}")

    def _line(self, window: bytes, start: int) -> tuple[Frame, int] | None:
        feed_at = window.find(b"\n", start, start + LINE_LIMIT)
        if feed_at < 0:
            if len(window) - start >= LINE_LIMIT:
                raise NotCanonical(f"a line of more than {LINE_LIMIT} bytes: {window[start : start + 100]!r}...")
            return None
        line = window[start : feed_at + 1]
        try:
            if not line.endswith(b"\r\n"):
                raise NotCanonical("a line end without CR")
            tokens = line[:-2].split(b" ")
            if b"" in tokens:
                raise NotCanonical("an empty line, or a space too many")
            if tokens[0] not in READINGS:
                raise NotCanonical(f"no such command: {tokens[0]!r}")
            keys, length = READINGS[tokens[0]](tokens)
            end = feed_at + 1
            if length is None:
                return Frame(tokens[0].decode(), keys, b"", line), end
            if length > self.value_limit:
                raise NotCanonical(f"a value of {length} bytes, more than {self.value_limit}")
            block_end = end + length + 2
            if len(window) < block_end:
                return None
            if window[block_end - 2 : block_end] != b"\r\n":
                raise NotCanonical("the block does not end in CRLF")
        except NotCanonical as fault:
            raise NotCanonical(f"{fault} in {line[:300]!r}") from None
        return Frame(tokens[0].decode(), keys, window[end : block_end - 2], window[start:block_end]), block_end

    def _packet(self, window: bytes, start: int) -> tuple[Frame, int] | None:
        if len(window) - start < HEADER_BYTES:
            return None
        try:
            packet = read_packet(window, start, self.value_limit)
        except PacketFault as fault:
            raise NotCanonical(f"{fault} in {window[start : start + 100]!r}") from None
        if packet is None:
            return None
        end, name, key, value, opaque = packet
        return Frame(name, (read_key(key),) if key and name != "STAT" else (), value, window[start:end], opaque), end
