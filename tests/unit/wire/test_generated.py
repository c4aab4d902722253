"""Thousands of frames, sound and damaged: whatever goes upstream is canonical for a judge who didn't write the parser.

The judge (tests/support/canonical.py) reads each request as the answering memcached does, and raises NotCanonical. The
seeds are fixed, so a failure repeats; the conversation that failed is in its message.
"""

import random

import pytest

from tests.unit.wire.answering import frames_of
from tests.unit.wire.driving import Outcome, play
from tests.unit.wire.generating import binary_frame, damaged, splits, text_frame
from tests.unit.wire.granting import binary, text

pytestmark = pytest.mark.thorough

APP = ("read write touch counter delete", ("app:*", "b"))
READER = ("read stats", ("*",))
ROLES = [(), (APP,), (READER, ("write", ("app:1",))), (("read", ()),)]
KINDS = {"text": (text, text_frame), "binary": (binary, binary_frame)}


def may_be_asked(verb: str, keys: tuple[bytes, ...], roles: tuple) -> bool:
    """Whether the roles grant a request that went up, read naively."""
    name = verb.lower()
    if not roles or name in ("version", "mn", "noop"):
        return True
    classes = {"get": "read", "gets": "read", "getk": "read", "incr": "counter", "decr": "counter", "delete": "delete"}
    both = {"gat", "gats", "gatk"}
    needed = {"read", "touch"} if name in both else {classes.get(name, "touch" if name == "touch" else "write")}
    if name in ("flush_all", "flush", "verbosity"):
        return False
    if name in ("stats", "stat"):
        return roles[0] == READER

    def has(key: bytes, command_class: str) -> bool:
        return any(
            command_class in granted.split()
            and any(key.startswith(e[:-1].encode()) if e.endswith("*") else key == e.encode() for e in entries)
            for granted, entries in roles
        )

    return all(has(key, command_class) for key in keys for command_class in needed)


def held_twice(make_parser, data: bytes, chosen: random.Random, roles: tuple) -> Outcome:
    """Whole and cut at random, at once and late: the same outcome, and all that went up is canonical and granted."""
    whole = play(make_parser, data)
    for late in (False, True):
        positions = splits(chosen, len(data))
        assert play(make_parser, data, positions, late=late, reply_size=chosen.choice([0, 0, 17])) == whole, (
            f"{data!r} cut at {positions}"
        )
    for frame in frames_of(whole.upstream, value_limit=1000):
        assert may_be_asked(frame.verb, frame.keys, roles), f"{frame.raw!r} of {data!r}"
    return whole


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", KINDS)
def test_sound_frames_are_answered_as_memcached_would(kind, seed):
    make, frame = KINDS[kind]
    chosen = random.Random(seed)
    for _ in range(15):
        frames = [frame(chosen) for _ in range(chosen.choice([1, 5, 20]))]
        data = b"".join(generated.data for generated in frames)
        outcome = held_twice(make(), data, chosen, ())
        assert outcome.received == b"".join(generated.reply for generated in frames), data
        assert (outcome.end, outcome.refusals) == ("open", [])


@pytest.mark.parametrize("window", [1, 3, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_sound_frames_with_little_room(kind, window):
    make, frame = KINDS[kind]
    chosen = random.Random(window)
    for _ in range(10):
        frames = [frame(chosen) for _ in range(15)]
        data = b"".join(generated.data for generated in frames)
        for late in (False, True):
            outcome = play(make(), data, splits(chosen, len(data)), window=window, late=late)
            assert outcome.received == b"".join(generated.reply for generated in frames), data


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_frames_put_nothing_upstream_that_is_not_canonical(kind, seed):
    make, frame = KINDS[kind]
    chosen = random.Random(100 + seed)
    went_up = refused = 0
    for _ in range(60):
        roles = chosen.choice(ROLES)
        sound = [frame(chosen).data for _ in range(chosen.choice([1, 2, 4]))]
        data = b"".join(damaged(chosen, one) if chosen.random() < 0.7 else one for one in sound)
        outcome = held_twice(make(*roles), data, chosen, roles)
        went_up += bool(outcome.upstream)
        refused += bool(outcome.refusals)
    # The damage must not be such that nothing is tested any more.
    assert went_up > 5 and refused > 5


@pytest.mark.parametrize("seed", range(10))
def test_lines_of_odd_words(seed):
    """Words that mean something, in any order and number."""
    chosen = random.Random(seed)
    words = [b"get", b"gets", b"gat", b"set", b"cas", b"delete", b"incr", b"touch", b"flush_all", b"stats", b"noreply"]
    words += [
        b"0",
        b"1",
        b"-1",
        b"-5",
        b"+1",
        b"01",
        b"5",
        b"4294967296",
        b"a",
        b"app:1",
        b"k" * 251,
        b"",
        b"reset",
        b"mn",
    ]
    for _ in range(150):
        line = b" ".join(chosen.choices(words, k=chosen.randint(0, 7)))
        data = line + chosen.choice([b"\r\n", b"\r\n", b"\r\n", b"\n"]) + chosen.choice([b"", b"hello\r\n", b"mn\r\n"])
        roles = chosen.choice(ROLES)
        held_twice(text(*roles), data, chosen, roles)


@pytest.mark.parametrize("seed", range(6))
def test_noise(seed):
    chosen = random.Random(seed)
    for _ in range(60):
        noise = chosen.randbytes(chosen.randint(1, 80))
        held_twice(text(), noise + b"\r\nmn\r\n", chosen, ())
        held_twice(binary(), b"\x80" + noise, chosen, ())
