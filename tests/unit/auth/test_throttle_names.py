"""Whose names the throttle takes for one, whom it forgets, and that it keeps no name."""

import pytest

from mcproxy.auth.spelling import spelling
from mcproxy.auth.throttle import NAME_CELLS, Standing, Throttle
from tests.unit.auth.test_throttle import FREE, HERE, PATIENCE, attacked, fail, succeed, wait

ALIKE = ["robertson", "Robertson", "ROBERTSON", "röbertson", "robertson@example.org", "CORP\\robertson"]


@pytest.mark.parametrize("name", ALIKE)
def test_what_a_directory_may_take_for_one_name(name):
    assert spelling(name) == "robertson"


@pytest.mark.parametrize("name", ["robertsen", "robert.son", "robertson2", "", "ŀ·", "\ud800", "\u0301"])
def test_other_names_are_others(name):
    assert spelling(name) != "robertson"


@pytest.mark.parametrize(("one", "other"), [("straße", "STRASSE"), ("ǅ", "ǆ"), ("İ", "i"), ("ﬁ", "FI")])
def test_letters_are_folded_as_unicode_has_it(one, other):
    assert spelling(one) == spelling(other)


def test_whoever_logs_in_from_everywhere_has_nobody_else_forgotten():
    throttle = Throttle(table_size=100)
    succeed(throttle, HERE, "sammy")
    for number in range(1000):
        succeed(throttle, f"2001:db8:0:{number:x}::1", "anna", now=1.0)
    for number in range(1000):
        succeed(throttle, f"2001:db8:1:{number:x}::1", f"tenant {number}", now=2.0)
    assert throttle.attempt(HERE, "sammy", 3.0, PATIENCE).standing is Standing.KNOWN
    assert throttle.attempt("2001:db8:1:3e7::1", "tenant 999", 3.0, PATIENCE).standing is Standing.KNOWN
    assert throttle.attempt("2001:db8:1:1::1", "tenant 1", 3.0, PATIENCE).standing is not Standing.KNOWN


def test_a_guess_counts_for_every_spelling_that_a_directory_may_take_for_the_name():
    throttle = Throttle()
    for number in range(60):
        fail(throttle, f"10.1.0.{number}", ALIKE[number % 6])
    for name in ALIKE:
        assert wait(throttle, "10.1.0.1", name) is None
    assert wait(throttle, "10.1.0.1", "robertsen") == 0.0


def test_nobody_is_known_by_a_name_that_only_looks_like_his():
    throttle = Throttle()
    succeed(throttle, HERE, "sammy@example.org")
    assert throttle.attempt(HERE, "sammy", 0.0, PATIENCE).standing is Standing.NEW


def test_made_up_names_push_no_name_out():
    throttle = attacked(table_size=10, source=FREE)
    for number in range(3 * NAME_CELLS):
        fail(throttle, f"source {number}", f"made up {number}")
    assert len(throttle._names) <= NAME_CELLS
    fail(throttle, HERE, "another")
    assert wait(throttle, HERE, "sammy") is None


def test_no_name_is_kept():
    throttle = Throttle()
    succeed(throttle, HERE, "sammy")
    fail(throttle, HERE, "Tr0ub4dor")
    kept = repr([vars(throttle), vars(throttle._pairs), *throttle._sources, *throttle._names])
    assert HERE in kept
    assert "sammy" not in kept
    assert "Tr0ub4dor" not in kept


@pytest.mark.parametrize("name", ["", "\ud800", "ä" * 128, "a\0b"])
def test_any_name_can_be_tried(name):
    throttle = Throttle()
    fail(throttle, HERE, name, times=5)
    assert wait(throttle, HERE, name) == 1.0
    succeed(throttle, HERE, name)
    assert throttle.attempt(HERE, name, 0.0, PATIENCE).standing is Standing.KNOWN
