"""What the differential fuzzer makes: valid frames are valid, damage does damage, and a seed means one thing."""

import random

import pytest

from fuzz.differential import damage, damage_binary, frames
from fuzz.differential.outcomes import End, Passed, Reading
from fuzz.differential.reading import read_text
from fuzz.differential.reading_binary import read_binary
from fuzz.differential.rules import EVERYTHING, RETRIEVAL_LIMIT
from fuzz.differential.steadiness import is_unsteady
from fuzz.differential.streams import FAMILIES, Generator
from fuzz.differential.verbs import VERBS
from tests.support.canonical import Stream

pytestmark = pytest.mark.thorough

FRAMES = 1500


def read(data: bytes) -> Reading:
    return read_binary(data, EVERYTHING) if data[0] == 0x80 else read_text(data, EVERYTHING, VERBS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frame_is_valid_goes_up_and_is_answered_in_one_way(family: str) -> None:
    for made in frames.table(random.Random(7), FAMILIES[family], FRAMES):
        if made.data.startswith(b"  get") and len(made.data) > 2048:
            continue  # a retrieval may only be long if it begins as one
        reading = read(made.data)
        (outcome,) = reading.outcomes
        assert isinstance(outcome, Passed), made
        assert reading.end is (End.WATCHING if b"watch" in made.data[:8] else End.OPEN), made
        assert not is_unsteady(outcome.upstream), made
        if len(outcome.keys) <= 100 and len(outcome.upstream) <= 2048:
            (frame,) = Stream().feed(outcome.upstream)
            assert frame.raw == outcome.upstream


@pytest.mark.parametrize("kinds", [damage.TEXT, damage_binary.BINARY], ids=["text", "binary"])
def test_every_kind_of_damage_applies_and_most_of_it_is_refused(kinds: dict[str, damage.Damage]) -> None:
    choose = random.Random(7)
    families = ["binary"] if kinds is damage_binary.BINARY else ["classic", "meta"]
    made = [each for family in families for each in frames.table(choose, FAMILIES[family], FRAMES)]
    for name, kind in kinds.items():
        changed = [data for each in made if (data := kind(choose, each.data)) != each.data and data]
        assert len(changed) > FRAMES / 10, name
        passed = sum(
            1
            for data in changed
            if (reading := read(data)).end is End.OPEN and all(isinstance(each, Passed) for each in reading.outcomes)
        )
        harmless = (
            "number with leading zeros",
            "spaces and tabs",
            "number with a sign",
            "cas",
            "datatype, vbucket, cas",
        )
        assert passed <= len(changed) * (1 if name in harmless else 0.9), name


def test_retrievals_are_bounded_by_keys_before_bytes() -> None:
    longest = b"get" + (b" " + b"k" * 250) * 150 + b"\r\n"
    assert len(longest) <= RETRIEVAL_LIMIT[False]
    assert read(longest).end is End.OPEN


def test_a_seed_makes_the_same_streams() -> None:
    first, second, other = (Generator(seed, list(FAMILIES)) for seed in ("1", "1", "2"))
    streams = [first.next() for _ in range(50)]
    assert streams == [second.next() for _ in range(50)]
    assert streams != [other.next() for _ in range(50)]
