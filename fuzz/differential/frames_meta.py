"""Valid meta commands, with every flag that their verbs have."""

import base64
import random

from fuzz.differential.frames import SPELLINGS, Made, Weighted, spelled
from fuzz.differential.material import (
    BLANK_KEYS,
    INCREMENTS,
    KEY_BYTES,
    TIMES,
    U32,
    U64,
    addition,
    any_key,
    key,
    key_of,
    value,
)

VERBS = "text verbs"
BARE = {"mg": "bkctsfhluvqO", "ms": "bkcsqO", "md": "bkqO", "ma": "bkctvqO"}
VALUED = {"mg": "TNRC", "ms": "TNCFMI", "md": "TCI", "ma": "TNCMDJ"}
"""Flags with an argument, and those that change what is done."""
MODES = {"ms": "EAPRS", "ma": "I+D-"}
COMBINED = {"mg": "vkO", "ms": "kO", "md": "kO", "ma": "vkO"}
"""Asked for more often than the others: what a reply is known by."""
RECACHE = [b"30", b"500", b"5000", b"2000000"]
"""Never near one of TIMES: whether a time is below would depend on when the second ticks."""
IGNORED_ALONE = {("ms", "I"): "C", ("md", "T"): "I"}


def _argument(choose: random.Random, verb: str, letter: str, cells: list[tuple[str, str]]) -> bytes:
    if letter == "M":
        mode = choose.choice(MODES[verb])
        cells.append(("modes of M", f"{verb} M{mode}"))
        return mode.encode()
    if letter in "TN":
        if choose.random() < 0.05:
            cells.append((SPELLINGS, "meta number with zeros, or in the past"))
            return choose.choice((b"-5", b"-100", b"0900", b"00"))
        return choose.choice(TIMES)
    if letter == "R":
        return choose.choice(RECACHE)
    if letter == "C":
        return choose.choice((b"%d" % choose.randrange(1, 3000), choose.choice(U64)))
    if letter in "DJ":
        return choose.choice(INCREMENTS)
    if letter == "F":
        return choose.choice(U32)
    if letter == "O":
        return bytes(choose.choices(KEY_BYTES, k=choose.choice((0, 1, 4, 31))))
    return b""


def flags(choose: random.Random, verb: str, cells: list[tuple[str, str]]) -> list[bytes]:
    """Some of the verb's flags in any order."""
    letters = BARE[verb] + VALUED[verb]
    which = choose.random()
    if which < 0.1:
        chosen = []
    elif which < 0.15:
        chosen = list(letters)
    else:
        chosen = choose.sample(letters, choose.choice((1, 2, 3, 4, 6)))
        chosen += [letter for letter in COMBINED[verb] if letter not in chosen and choose.random() < 0.4]
    if "N" in chosen and choose.random() < 0.5:
        chosen.remove("N")
    choose.shuffle(chosen)
    for letter in chosen:
        cells.append((f"flags of {verb}", letter))
    if "q" in chosen:
        cells.append(("quiet", f"{verb} q"))
    for (other_verb, letter), needed in IGNORED_ALONE.items():
        if verb == other_verb and letter in chosen and needed not in chosen:
            cells.append((SPELLINGS, f"{verb} {letter} without {needed}"))
    made = [letter.encode() + _argument(choose, verb, letter, cells) for letter in chosen]
    if b"MD" in made or b"M-" in made:
        # What is taken away may be as large as it gets.
        made = [b"D" + choose.choice(U64) if flag[:1] == b"D" else flag for flag in made]
    return made


def _named(name: bytes, encoded: bool) -> bytes:
    return base64.b64encode(name[:186]) if encoded else name


def command(choose: random.Random, verb: str) -> Made:
    """mg, ms, md or ma."""
    cells = [(VERBS, verb)]
    asked = flags(choose, verb, cells)
    joins = b"MA" in asked or b"MP" in asked
    content = b"1" if verb != "ms" else addition(choose) if joins else value(choose)
    if verb == "ma":
        name = key(choose)
    elif verb == "mg" and any(flag[:1] == b"N" for flag in asked):
        # It makes an empty value.
        name = choose.choice(BLANK_KEYS)
    else:
        name = key_of(choose, content) if verb == "ms" else any_key(choose)
    words = [verb.encode(), _named(name, b"b" in asked)]
    block = b""
    if verb == "ms":
        words.append(b"%d" % len(content))
        block = content + b"\r\n"
    return Made(spelled(choose, b" ".join(words + asked), cells) + b"\r\n" + block, tuple(cells))


def debug(choose: random.Random, verb: str) -> Made:
    """me, with a plain key or one in base64."""
    cells = [(VERBS, verb)]
    encoded = choose.random() < 0.4
    cells.append(("flags of me", "b" if encoded else "(none)"))
    line = b"me " + _named(any_key(choose), encoded) + (b" b" if encoded else b"")
    return Made(spelled(choose, line, cells) + b"\r\n", tuple(cells))


META: Weighted = [(40, command, "mg"), (30, command, "ms"), (14, command, "md"), (24, command, "ma"), (6, debug, "me")]
