"""What is done to valid text commands. Each kind returns other bytes for a frame, or the same where it doesn't apply.

What becomes of the damaged frame, and of those behind it, is not guessed here: the readings say it.
"""

import base64
import random
from collections.abc import Callable

from fuzz.differential.material import BLANK_KEYS
from fuzz.differential.rules import VALUE_LIMIT

BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
Damage = Callable[[random.Random, bytes], bytes]
WITH_KEY = set(b"get gets gat gats set add replace append prepend cas incr decr touch delete mg ms md ma me".split())
NUMBERS = [
    b"4294967296",
    b"4294967297",
    b"2147483648",
    b"18446744073709551616",
    b"9" * 25,
    b"1073741825",
    b"4294967303",
]


def _token(change: "Callable[[random.Random, bytes], bytes]", first: int = 1, numeric: bool = False) -> Damage:
    """Change one word of the line behind the verb."""

    def damage(choose: random.Random, data: bytes) -> bytes:
        line, end, rest = data.partition(b"\r\n")
        words = line.split(b" ")
        places = [place for place in range(first, len(words)) if not numeric or words[place].lstrip(b"-").isdigit()]
        if not places:
            return data
        place = choose.choice(places)
        words[place] = change(choose, words[place])
        return b" ".join(words) + end + rest

    return damage


def _length(change: "Callable[[random.Random, bytes], bytes]") -> Damage:
    """Change the length of a data block."""

    def damage(choose: random.Random, data: bytes) -> bytes:
        line, end, rest = data.partition(b"\r\n")
        words = line.split()
        place = 2 if words[:1] == [b"ms"] else 4
        if not rest or len(words) <= place:
            return data
        words[place] = change(choose, words[place])
        return b" ".join(words) + end + rest

    return damage


def _in_line(insertions: list[bytes]) -> Damage:
    """Put something anywhere into the line."""

    def damage(choose: random.Random, data: bytes) -> bytes:
        at = choose.randrange(max(1, data.find(b"\r\n") + 1))
        return data[:at] + choose.choice(insertions) + data[at:]

    return damage


def anywhere(choose: random.Random, data: bytes) -> bytes:
    """Bytes inserted, or lost."""
    at, size = choose.randrange(len(data) + 1), choose.choice((1, 1, 2, 8))
    return (data[:at] + choose.randbytes(size) + data[at:], data[:at] + data[at + size :])[choose.randrange(2)]


def flip(choose: random.Random, data: bytes) -> bytes:
    """Single bits turned."""
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 2, 4))):
        at = choose.randrange(len(changed))
        # The line is where it matters, so half of the flips are near the beginning.
        at = at % 24 if choose.random() < 0.5 else at
        changed[at] ^= 1 << choose.randrange(8)
    return bytes(changed)


def _without_word(choose: random.Random, data: bytes) -> bytes:
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    del words[choose.randrange(len(words))]
    return b" ".join(words) + end + rest


def _with_word(choose: random.Random, data: bytes) -> bytes:
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    words.insert(choose.randrange(1, len(words) + 1), choose.choice((b"junk", b"0", b"1", words[-1])))
    return b" ".join(words) + end + rest


def _misplaced(choose: random.Random, data: bytes) -> bytes:
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    words.insert(choose.randrange(len(words) + 1), choose.choice((b"noreply", b"q", b"noreply ", b"NOREPLY")))
    return b" ".join(words) + end + rest


def _line_end(choose: random.Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", choose.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"")), 1)


def _block_end(choose: random.Random, data: bytes) -> bytes:
    return data[:-2] + choose.choice((b"", b"\n", b"XX", b"\r", b"X\r\n", b"\0\0"))


def _large(choose: random.Random, data: bytes) -> bytes:
    """A data block that is more than the program takes, and as long as its length says."""
    line, _, rest = data.partition(b"\r\n")
    words = line.split()
    place = 2 if words[:1] == [b"ms"] else 4
    if not rest or len(words) <= place:
        return data
    block = choose.choice((b"x", b"\r\n", b"mn\r\n")) * (VALUE_LIMIT + choose.choice((1, 2, 1000)))
    words[place] = b"%d" % len(block)
    return b" ".join(words) + b"\r\n" + block + b"\r\n"


def _long_line(choose: random.Random, data: bytes) -> bytes:
    line, end, rest = data.partition(b"\r\n")
    fill = choose.choice((2047, 2048, 2049, 5000)) - len(line)
    return line + choose.choice((b" ", b" x", b"x")) * max(fill, 0) + end + rest


def _verb(choose: random.Random, data: bytes) -> bytes:
    verb, space, rest = data.partition(b" ")
    other = choose.choice(
        (b"bget", b"GET", verb.upper(), verb + b"x", verb[:-1], b"", b"xyzzy", b"get\0", b"misbehave")
    )
    return other + space + rest


def cut(choose: random.Random, data: bytes) -> bytes:
    """Only the beginning."""
    return data[: choose.randrange(len(data))]


def _base64(choose: random.Random, data: bytes) -> bytes:
    """Of a meta command, what is not quite base64, or not quite a key."""
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    if words[0] not in (b"mg", b"ms", b"md", b"ma", b"me"):
        return data
    if b"b" not in words[2:]:
        words[1] = base64.b64encode(words[1][:186])
        words.append(b"b")
    name = words[1]
    bare = name.rstrip(b"=")
    last = BASE64[(BASE64.find(bare[-1:]) + choose.choice((1, 2, 8))) % len(BASE64)]
    words[1] = choose.choice(
        (
            bare[:-1] + bytes([last]) + name[len(bare) :],
            bare,
            name + b"=",
            name[:2] + choose.choice((b"!", b"-", b"_", b"=", b"\x80")) + name[2:],
            name + b"Zm9v",
            choose.choice((b"Zg==Zm9v", b"=m9v", b"====", b"Zm9=", b"Zh==", b"A" * 248, b"A" * 252)),
            base64.b64encode(choose.choice((b"z\r\nHD", b"a b", b"\0", b"\x7f", b"k" * 186, b"k" * 187))),
        )
    )
    return b" ".join(words) + end + rest


def overlong(choose: random.Random, data: bytes) -> bytes:
    """A key of a text command, made overlong; not damage where such keys are shortened."""
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    retrieval = words[0] in (b"get", b"gets", b"gat", b"gats")
    places = range(2 if words[0].startswith(b"gat") else 1, len(words) if retrieval else 2)
    if words[0] not in WITH_KEY or not places or len(words) <= places[-1] or words[places[0]] in BLANK_KEYS:
        return data
    beginning = choose.choice((b"k", b"app:", b"n:"))
    words[choose.choice(places)] = beginning + b"x" * (choose.choice((251, 252, 400, 1024, 1025)) - len(beginning))
    return b" ".join(words) + end + rest


def _flags(choose: random.Random, data: bytes) -> bytes:
    """Of a meta command, flags that are doubled, unknown, without an argument or with one too many."""
    line, end, rest = data.partition(b"\r\n")
    words = line.split(b" ")
    if words[0] not in (b"mg", b"ms", b"md", b"ma"):
        return data
    letter = bytes([choose.choice(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-+0\x80")])
    flag = letter + choose.choice((b"", b"0", b"X", b"-1", b"MS", b"o" * 32, b"18446744073709551616"))
    words.insert(choose.randrange(2, len(words) + 1), choose.choice((flag, words[-1], b"M" + letter, b"Me", b"qq")))
    return b" ".join(words) + end + rest


TEXT: dict[str, Damage] = {
    "length off by a little": _length(lambda choose, word: b"%d" % max(0, int(word) + choose.choice((-2, -1, 1, 2)))),
    "length too large": _length(lambda choose, word: choose.choice((*NUMBERS, b"2147483647", b"20001", b"40000"))),
    "length with a sign": _length(lambda choose, word: choose.choice((b"+", b"-")) + word),
    "length with leading zeros": _length(lambda choose, word: b"0" + word),
    "value above the limit": _large,
    "length not decimal": _length(lambda choose, word: choose.choice((b"0x7", b"7x", b"x", b"1e1", word + b"\0"))),
    "a word missing": _without_word,
    "a word too many": _with_word,
    "spaces and tabs": _in_line([b" ", b"  ", b"\t", b"\x0b", b" \t "]),
    "control bytes": _in_line([bytes([byte]) for byte in [*range(1, 32), 0x7F]]),
    "NUL": _in_line([b"\0", b"\0\0"]),
    "line end": _line_end,
    "block end": _block_end,
    "overlong key": _token(lambda choose, word: b"k" * choose.choice((251, 252, 255, 300, 1024, 1025))),
    "overlong line": _long_line,
    "number too large": _token(lambda choose, word: choose.choice(NUMBERS), numeric=True),
    "number with leading zeros": _token(lambda choose, word: b"0" * choose.choice((1, 2, 9)) + word, numeric=True),
    "number with a sign": _token(lambda choose, word: choose.choice((b"+", b"-", b"--")) + word, numeric=True),
    "unknown verb": _verb,
    "noreply or q misplaced": _misplaced,
    "base64 key": _base64,
    "flags doubled or unknown": _flags,
    "bytes flipped": flip,
    "bytes inserted or lost": anywhere,
    "cut short": cut,
}


OF_META = ("base64 key", "flags doubled or unknown")
"""Kinds that only meta commands can have."""
