"""Valid frames of the classic text commands. A frame is its bytes and the cells of the coverage table that it fills."""

import random
from collections.abc import Callable
from typing import NamedTuple

from fuzz.differential.material import INCREMENTS, TIMES, U32, U64, addition, any_key, key, key_of, value


class Made(NamedTuple):
    """A frame as a client sends it. `cells` are (table, name) pairs."""

    data: bytes
    cells: tuple[tuple[str, str], ...]


Maker = Callable[[random.Random], Made]
VERBS = "text verbs"
SPELLINGS = "spellings"


def spelled(choose: random.Random, line: bytes, cells: list[tuple[str, str]]) -> bytes:
    """Now and then with spaces that mean nothing."""
    if choose.random() < 0.06:
        which = choose.randrange(3)
        cells.append((SPELLINGS, ("doubled space", "trailing space", "leading space")[which]))
        return (line.replace(b" ", b"  ", choose.randrange(1, 4)), line + b" ", b"  " + line)[which]
    return line


def past(choose: random.Random, cells: list[tuple[str, str]]) -> bytes:
    """An exptime; now and then another way to say that it is over."""
    if choose.random() < 0.05:
        cells.append((SPELLINGS, "negative exptime"))
        return choose.choice((b"-2", b"-5", b"-100000", b"-2147483648"))
    return choose.choice(TIMES)


def quietly(choose: random.Random, line: bytes, cells: list[tuple[str, str]]) -> bytes:
    """Now and then with noreply."""
    if choose.random() < 0.3:
        cells.append(("quiet", f"{cells[0][1]} noreply"))
        return line + b" noreply"
    return line


def storage(choose: random.Random, verb: str) -> Made:
    """A command with a data block."""
    cells = [(VERBS, verb)]
    block = addition(choose) if verb in ("append", "prepend") else value(choose)
    line = b"%s %s %s %s %d" % (
        verb.encode(),
        key_of(choose, block),
        choose.choice(U32),
        past(choose, cells),
        len(block),
    )
    if verb == "cas":
        line += b" " + choose.choice((b"%d" % choose.randrange(1, 3000), choose.choice(U64)))
    line = spelled(choose, quietly(choose, line, cells), cells)
    return Made(line + b"\r\n" + block + b"\r\n", tuple(cells))


def retrieval(choose: random.Random, verb: str) -> Made:
    """A retrieval, mostly of few keys."""
    cells = [(VERBS, verb)]
    line = verb.encode() + (b" " + past(choose, cells) if verb.startswith("gat") else b"")
    count = choose.choices((1, 2, 3, 9, 30, 120, 150), (60, 10, 10, 10, 5, 1, 1))[0]
    cells.append(("keys of a retrieval", "1" if count == 1 else "2 to 9" if count < 10 else "10 to 150"))
    line += b"".join(b" " + any_key(choose) for _ in range(count))
    return Made(spelled(choose, line, cells) + b"\r\n", tuple(cells))


def arithmetic(choose: random.Random, verb: str) -> Made:
    """incr and decr."""
    cells = [(VERBS, verb)]
    line = b"%s %s %s" % (verb.encode(), key(choose), choose.choice(INCREMENTS if verb == "incr" else U64))
    return Made(spelled(choose, quietly(choose, line, cells), cells) + b"\r\n", tuple(cells))


def touch(choose: random.Random, verb: str) -> Made:
    """touch."""
    cells = [(VERBS, verb)]
    line = b"touch %s %s" % (any_key(choose), past(choose, cells))
    return Made(spelled(choose, quietly(choose, line, cells), cells) + b"\r\n", tuple(cells))


def delete(choose: random.Random, verb: str) -> Made:
    """delete, also with the old second word."""
    cells = [(VERBS, verb)]
    name = any_key(choose)
    line = b"delete " + (name if name != b"noreply" else b"a")
    if choose.random() < 0.1:
        cells.append((SPELLINGS, "delete with 0"))
        line += b" 0"
    return Made(spelled(choose, quietly(choose, line, cells), cells) + b"\r\n", tuple(cells))


def free(choose: random.Random, verb: str) -> Made:
    """version and mn, also with words that are ignored."""
    cells = [(VERBS, verb)]
    line = verb.encode()
    if choose.random() < 0.1:
        cells.append((SPELLINGS, "ignored words"))
        line += choose.choice((b" x", b" noreply", b" 1 2 3"))
    return Made(spelled(choose, line, cells) + b"\r\n", tuple(cells))


Weighted = list[tuple[int, Callable[[random.Random, str], Made], str]]

CLASSIC: Weighted = [
    (30, retrieval, "get"),
    (12, retrieval, "gets"),
    (5, retrieval, "gat"),
    (5, retrieval, "gats"),
    (30, storage, "set"),
    (6, storage, "add"),
    (6, storage, "replace"),
    (5, storage, "append"),
    (5, storage, "prepend"),
    (8, storage, "cas"),
    (8, arithmetic, "incr"),
    (8, arithmetic, "decr"),
    (6, touch, "touch"),
    (8, delete, "delete"),
    (3, free, "version"),
    (8, free, "mn"),
]


def table(choose: random.Random, weighted: Weighted, size: int) -> list[Made]:
    """At least so many frames, each kind as often as its weight says, and at least once."""
    kinds = [
        *weighted,
        *choose.choices(weighted, [weight for weight, _, _ in weighted], k=max(0, size - len(weighted))),
    ]
    return [make(choose, verb) for _, make, verb in kinds]
