"""The words that the independent judge's readings share: keys, numbers, times, and how many words a line has.

Every reading takes a line's words and raises `NotCanonical` at the first that is outside of the grammar.
"""

from collections.abc import Callable

U32 = 4294967295
U64 = 18446744073709551615
EXPIRY = 2147483647
KEYS_LIMIT = 100
"""Keys in a retrieval line: memcached keeps 1.26 KB for each of them for good (measured)."""

LENGTH = 1 << 30
"""memcached 1.6.45 refuses longer blocks, and 1.6.18 cuts the number to 32 bits (measured)."""

Reading = tuple[tuple[bytes, ...], int | None]
"""What a line says: its keys and, for a line that a block follows, the block's length in bytes."""

LineReading = Callable[[list[bytes]], Reading]
"""Reads the words of one line, the command first."""


class NotCanonical(AssertionError):
    """Bytes went upstream that the canonical grammar does not have."""


def read_key(token: bytes) -> bytes:
    """KEY: 1 to 250 bytes, none of them a control byte, a space or DEL."""
    if not 1 <= len(token) <= 250:
        raise NotCanonical(f"a key of {len(token)} bytes")
    for byte in token:
        if byte <= 0x20 or byte == 0x7F:
            raise NotCanonical(f"byte {byte:#04x} in a key")
    return token


def read_keys(tokens: list[bytes]) -> tuple[bytes, ...]:
    """The keys of a retrieval line."""
    if not 1 <= len(tokens) <= KEYS_LIMIT:
        raise NotCanonical(f"{len(tokens)} keys in a line")
    return tuple(read_key(token) for token in tokens)


def read_number(token: bytes, largest: int) -> int:
    """A number in digits alone, without leading zeros."""
    if not token or any(byte not in b"0123456789" for byte in token):
        raise NotCanonical(f"not a number: {token!r}")
    if len(token) > 1 and token[0] == 0x30:
        raise NotCanonical(f"leading zero: {token!r}")
    if len(token) > 20 or int(token) > largest:
        raise NotCanonical(f"above {largest}: {token!r}")
    return int(token)


def read_u32(token: bytes) -> None:
    """U32."""
    read_number(token, U32)


def read_u64(token: bytes) -> None:
    """U64."""
    read_number(token, U64)


def read_expiry(token: bytes) -> None:
    """EXP: a time, or -1 for one that is past."""
    if token != b"-1":
        read_number(token, EXPIRY)


def read_word(token: bytes, *words: bytes) -> None:
    """One of these words, whole: memcached 1.6.45 takes prefixes (measured)."""
    if token not in words:
        raise NotCanonical(f"{token!r} is none of {words!r}")


def check_arity(tokens: list[bytes], count: int) -> None:
    """So many words, the command among them."""
    if len(tokens) != count:
        raise NotCanonical(f"{tokens[0]!r} with {len(tokens) - 1} words instead of {count - 1}")


def read_bare(tokens: list[bytes]) -> Reading:
    """A command alone."""
    check_arity(tokens, 1)
    return (), None
