"""The independent judge's reading of the meta commands mg, ms, md, ma and me, from the grammar's table of flags.

A key with the flag `b` is decoded here and judged, and given out, as what it decodes to. The flag `q` is in no
column: the program strips it on the way up, so that every request has exactly one reply.
"""

from collections.abc import Callable

from tests.support.canonical_tokens import (
    LENGTH,
    LineReading,
    NotCanonical,
    Reading,
    check_arity,
    read_expiry,
    read_key,
    read_number,
    read_u32,
    read_u64,
)

BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

ArgumentReading = Callable[[bytes], None]
"""Reads what stands behind a flag's letter."""


def _nothing(argument: bytes) -> None:
    if argument:
        raise NotCanonical(f"a flag that takes no argument has {argument!r}")


def _opaque(argument: bytes) -> None:
    if len(argument) > 31:
        raise NotCanonical(f"an opaque of {len(argument)} bytes")
    if argument:
        read_key(argument)


def _store_mode(argument: bytes) -> None:
    if argument not in (b"E", b"A", b"P", b"R", b"S"):
        raise NotCanonical(f"ms has no mode {argument!r}")


def _arithmetic_mode(argument: bytes) -> None:
    if argument not in (b"I", b"+", b"D", b"-"):
        raise NotCanonical(f"ma has no mode {argument!r}")


EVERYWHERE: dict[int, ArgumentReading] = {
    **dict.fromkeys(b"bk", _nothing),
    ord("O"): _opaque,
    ord("C"): read_u64,
}
COLUMNS: dict[bytes, dict[int, ArgumentReading]] = {
    b"mg": {
        **EVERYWHERE,
        **dict.fromkeys(b"ctsfhluv", _nothing),
        **dict.fromkeys(b"TNR", read_expiry),
    },
    b"ms": {
        **EVERYWHERE,
        **dict.fromkeys(b"csI", _nothing),
        **dict.fromkeys(b"TN", read_expiry),
        ord("F"): read_u32,
        ord("M"): _store_mode,
    },
    b"md": {
        **EVERYWHERE,
        ord("I"): _nothing,
        ord("T"): read_expiry,
    },
    b"ma": {
        **EVERYWHERE,
        **dict.fromkeys(b"ctv", _nothing),
        **dict.fromkeys(b"TN", read_expiry),
        **dict.fromkeys(b"DJ", read_u64),
        ord("M"): _arithmetic_mode,
    },
}
"""Each verb's flags. Every letter comes once at most, so a column's size is the grammar's bound on flags."""

ONLY_WITH: dict[tuple[bytes, int], int] = {
    (b"ms", ord("I")): ord("C"),
    (b"md", ord("T")): ord("I"),
}
"""Flags that mean something beside another one only."""


def read_base64(token: bytes) -> bytes:
    """What B64 decodes to. memcached takes other spellings too, and reads some of them short (measured)."""
    if not 4 <= len(token) <= 248 or len(token) % 4:
        raise NotCanonical(f"{len(token)} characters of base64")
    padding = 2 if token.endswith(b"==") else 1 if token.endswith(b"=") else 0
    decoded = bytearray()
    held, bits = 0, 0
    for byte in token[: len(token) - padding]:
        sextet = BASE64.find(byte)
        if sextet < 0:
            raise NotCanonical(f"byte {byte:#04x} in base64")
        held, bits = held * 64 + sextet, bits + 6
        if bits >= 8:
            bits -= 8
            decoded.append(held >> bits)
            held %= 1 << bits
    if held:
        raise NotCanonical(f"base64 with bits left over: {token!r}")
    return bytes(decoded)


def _read_flags(verb: bytes, flags: list[bytes]) -> set[int]:
    letters: set[int] = set()
    for flag in flags:
        letter = flag[0]
        if letter not in COLUMNS[verb]:
            raise NotCanonical(f"{verb.decode()} has no flag {flag!r}")
        if letter in letters:
            raise NotCanonical(f"a second flag {flag[:1]!r}")
        COLUMNS[verb][letter](flag[1:])
        letters.add(letter)
    for (owner, letter), needed in ONLY_WITH.items():
        if owner == verb and letter in letters and needed not in letters:
            raise NotCanonical(f"{verb.decode()} with {chr(letter)} but without {chr(needed)}")
    return letters


def _meta(tokens: list[bytes]) -> Reading:
    verb, words = tokens[0], 3 if tokens[0] == b"ms" else 2
    if len(tokens) < words:
        raise NotCanonical(f"{verb!r} with {len(tokens) - 1} words")
    letters = _read_flags(verb, tokens[words:])
    length = read_number(tokens[2], LENGTH) if verb == b"ms" else None
    return (read_key(read_base64(tokens[1]) if ord("b") in letters else tokens[1]),), length


def _inspect(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 2)
    return (read_key(tokens[1]),), None


META: dict[bytes, LineReading] = {**dict.fromkeys(COLUMNS, _meta), b"me": _inspect}
