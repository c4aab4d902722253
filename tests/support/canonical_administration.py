"""The independent judge's reading of the administration lines, word by word from the grammar's table.

`extstore`, `bget`, `quit`, `lru_crawler mgdump`, `stats sizes_enable` and `stats sizes_disable` are missing on
purpose: none of them may go up, whoever asks.
"""

from tests.support.canonical_tokens import (
    LineReading,
    NotCanonical,
    Reading,
    check_arity,
    read_bare,
    read_expiry,
    read_number,
    read_u32,
    read_word,
)

STATISTICS = (b"items", b"slabs", b"sizes", b"settings", b"conns", b"extstore", b"reset")

WATCHED = {
    b"fetchers",
    b"mutations",
    b"evictions",
    b"connevents",
    b"deletions",
    b"proxyreqs",
    b"proxyevents",
    b"proxyuser",
    b"sysevents",
    b"rawcmds",
}


def _two_digits(token: bytes) -> int:
    return read_number(token, 99)


def _decimal(token: bytes) -> None:
    whole, point, fraction = token.partition(b".")
    read_number(whole, 9999)
    if point and not 1 <= len(fraction) <= 6:
        raise NotCanonical(f"{len(fraction)} digits behind the point: {token!r}")
    for byte in fraction:
        if byte not in b"0123456789":
            raise NotCanonical(f"not a number: {token!r}")


def _classes(token: bytes) -> None:
    for number in token.split(b","):
        _two_digits(number)


def _subcommand(tokens: list[bytes], at_least: int) -> bytes:
    if len(tokens) < at_least:
        raise NotCanonical(f"{tokens[0]!r} with {len(tokens) - 1} words")
    return tokens[1]


def _stats(tokens: list[bytes]) -> Reading:
    subcommand = tokens[1] if len(tokens) > 1 else None
    if subcommand == b"cachedump":
        check_arity(tokens, 4)
        if read_number(tokens[2], 63) < 1:
            raise NotCanonical("stats cachedump of class 0")
        read_u32(tokens[3])
    elif subcommand == b"detail":
        check_arity(tokens, 3)
        read_word(tokens[2], b"on", b"off", b"dump")
    elif subcommand is not None:
        check_arity(tokens, 2)
        read_word(subcommand, *STATISTICS)
    return (), None


def _verbosity(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 2)
    read_word(tokens[1], b"0", b"1", b"2")
    return (), None


def _cache_memlimit(tokens: list[bytes]) -> Reading:
    check_arity(tokens, 2)
    read_u32(tokens[1])
    return (), None


def _lru(tokens: list[bytes]) -> Reading:
    subcommand = _subcommand(tokens, 3)
    read_word(subcommand, b"mode", b"temp_ttl", b"tune")
    if subcommand == b"tune":
        check_arity(tokens, 6)
        _two_digits(tokens[2])
        _two_digits(tokens[3])
        _decimal(tokens[4])
        _decimal(tokens[5])
        return (), None
    check_arity(tokens, 3)
    if subcommand == b"mode":
        read_word(tokens[2], b"flat", b"segmented")
    else:
        read_expiry(tokens[2])
    return (), None


def _slabs(tokens: list[bytes]) -> Reading:
    subcommand = _subcommand(tokens, 3)
    read_word(subcommand, b"automove", b"reassign")
    if subcommand == b"reassign":
        check_arity(tokens, 4)
        if tokens[2] != b"-1":
            _two_digits(tokens[2])
        _two_digits(tokens[3])
    elif tokens[2] == b"ratio":
        check_arity(tokens, 4)
        _decimal(tokens[3])
    else:
        check_arity(tokens, 3)
        read_word(tokens[2], b"0", b"1", b"2")
    return (), None


def _lru_crawler(tokens: list[bytes]) -> Reading:
    subcommand = _subcommand(tokens, 2)
    read_word(subcommand, b"enable", b"disable", b"tocrawl", b"sleep", b"crawl", b"metadump")
    if subcommand in (b"enable", b"disable"):
        check_arity(tokens, 2)
        return (), None
    check_arity(tokens, 3)
    if subcommand in (b"tocrawl", b"sleep"):
        read_u32(tokens[2])
    elif tokens[2] != b"all" and (subcommand, tokens[2]) != (b"metadump", b"hash"):
        _classes(tokens[2])
    return (), None


def _watch(tokens: list[bytes]) -> Reading:
    for token in tokens[1:]:
        read_word(token, *WATCHED)
    return (), None


def _shutdown(tokens: list[bytes]) -> Reading:
    if tokens[1:]:
        check_arity(tokens, 2)
        read_word(tokens[1], b"graceful")
    return (), None


ADMINISTRATION: dict[bytes, LineReading] = {
    b"stats": _stats,
    b"verbosity": _verbosity,
    b"cache_memlimit": _cache_memlimit,
    b"lru": _lru,
    b"slabs": _slabs,
    b"lru_crawler": _lru_crawler,
    b"refresh_certs": read_bare,
    b"watch": _watch,
    b"shutdown": _shutdown,
}
