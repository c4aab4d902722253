"""What the benches of strangers compute: intervals, and an hour of guessing that nobody has to wait for."""

import random

import pytest

from bench.strangers.enumeration import Series
from bench.strangers.intervals import raw, trimmed
from bench.strangers.scenario import ATTACKS, Attack
from bench.strangers.simulation import simulate


def noisy(mean: float, seed: int, outliers: float = 0.0) -> list[float]:
    chosen = random.Random(seed)
    return [mean + chosen.gauss(0, 0.01) + (outliers if chosen.random() < 0.01 else 0) for _ in range(5000)]


def test_an_interval_holds_the_difference() -> None:
    for interval in (raw, trimmed):
        found = interval(noisy(1.003, 1), noisy(1.0, 2))
        assert abs(found.difference - 0.003) < found.half_width < 0.001
        assert found.mean == pytest.approx(1.0015, abs=0.001)
        assert found.lies_within(0.01)
        assert not found.lies_within(0.002)


def test_a_difference_of_two_percent_is_seen() -> None:
    series = Series("PLAIN", noisy(1.02, 1), noisy(1.0, 2))
    assert series.row()[-1] == "missed"
    assert Series("PLAIN", noisy(1.0, 1), noisy(1.0, 2)).row()[-1] == "met by all"


def test_the_half_that_was_disturbed_is_told_apart() -> None:
    disturbed = [value + number * 0.01 for number, value in enumerate(noisy(1.0, 3))]
    series = Series("PLAIN", noisy(1.0, 1) + disturbed, noisy(1.0, 2) + noisy(1.0, 4))
    assert series.row()[-1] == "met by quieter half"


def test_what_disturbed_the_machine_is_trimmed_away() -> None:
    disturbed = noisy(1.0, 1, outliers=20.0), noisy(1.0, 2, outliers=20.0)
    assert not raw(*disturbed).lies_within(0.01)
    assert trimmed(*disturbed).lies_within(0.01)
    assert Series("PLAIN", *disturbed).row()[-1] == "met by trimmed"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.what)
def test_a_simulated_attack(attack: Attack) -> None:
    """Five minutes; docs/security.md has the figures of an hour."""
    guesses, honest = simulate(attack, 300.0, 100.0)
    most = 1000 + 150 if attack.names == 1 else 1000 * (5 + 60)
    assert 20 < guesses <= (45 if attack.addresses == 1 else most)
    home, elsewhere, neighbour, _, _ = honest
    for user in (home, elsewhere, neighbour):
        assert user.refused == 0, user.who
        assert len(user.waits) >= 25
        assert max(user.waits) == 0.0
