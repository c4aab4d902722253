"""The play: nothing may be left of a conversation when it is over."""

import random
from collections.abc import Iterator

import pytest
from trio.testing import MockClock

from tests.unit.relay.harness import Play


@pytest.fixture
def play() -> Iterator[Play]:
    """A relay with nobody around it yet. After the test everybody leaves, and all accounts must be at zero."""
    play = Play()
    try:
        yield play
        play.finish()
    finally:
        play.abandon()


@pytest.fixture
def small_play() -> Iterator[Play]:
    """The same with a budget of 4 MiB for what all sessions keep."""
    play = Play(total_buffer=4 << 20)
    try:
        yield play
        play.finish()
    finally:
        play.abandon()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> MockClock:
    """A clock that stands still; the pool's waits are not varied."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    return MockClock()
