"""A flood of refusals is written at a bounded rate, and what was left out is counted."""

import pytest

from mcproxy.observe.limit import KINDS, RefusalLimit


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_first_lines_of_each_second_pass_and_the_rest_are_counted(clock):
    limit = RefusalLimit(clock, per_second=3)
    assert [limit.admit("refused", "full") for _ in range(5)] == [0, 0, 0, None, None]
    clock.now += 1.0
    assert [limit.admit("refused", "full") for _ in range(5)] == [2, 0, 0, None, None]


def test_a_second_is_counted_from_the_first_line_and_not_reached_early(clock):
    limit = RefusalLimit(clock, per_second=1)
    assert limit.admit("refused", "full") == 0
    clock.now += 0.999
    assert limit.admit("refused", "full") is None
    clock.now += 0.001
    assert limit.admit("refused", "full") == 1


def test_events_and_reasons_are_limited_each_on_its_own(clock):
    limit = RefusalLimit(clock, per_second=1)
    assert limit.admit("refused", "full") == 0
    assert limit.admit("refused", "not allowed") == 0
    assert limit.admit("login_failed", "full") == 0
    assert limit.admit("refused", "full") is None


def test_a_flood_that_ends_is_reported_once(clock):
    limit = RefusalLimit(clock, per_second=1)
    for _ in range(8):
        limit.admit("refused", "full")
    limit.admit("refused", "quiet")
    assert limit.overdue() == []
    clock.now += 1.0
    assert limit.overdue() == [("refused", "full", 7)]
    assert limit.overdue() == []
    assert limit.admit("refused", "full") == 0


def test_reasons_without_end_do_not_grow_memory_and_are_limited_together(clock):
    limit = RefusalLimit(clock, per_second=1)
    admitted = [limit.admit("refused", f"reason {number}") for number in range(KINDS + 100)]
    assert admitted == [0] * (KINDS + 1) + [None] * 99
    clock.now += 1.0
    assert limit.overdue() == [("other", "other", 99)]
