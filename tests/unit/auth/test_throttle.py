"""The throttle, at times that the test names."""

import pytest

from mcproxy.auth.buckets import Pace
from mcproxy.auth.throttle import Standing, Throttle

PATIENCE = 5.0
HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
LASTING = Pace(5, 1e9)
FREE = Pace(10**9, 60.0)


def wait(throttle, source, username="sammy", now=0.0, patience=PATIENCE):
    return throttle.attempt(source, username, now, patience).wait


def fail(throttle, source, username="sammy", times=1, now=0.0):
    for _ in range(times):
        throttle.attempt(source, username, now, 1e9).failed(now)


def succeed(throttle, source, username="sammy", now=0.0):
    throttle.attempt(source, username, now, 1e9).succeeded(now)


def attacked(name="sammy", now=0.0, **how):
    """A throttle under which the name has been guessed at from everywhere."""
    throttle = Throttle(**how)
    for number in range(1000):
        fail(throttle, f"10.1.{number // 250}.{number % 250}", name, now=now)
    return throttle


def test_who_never_failed_is_never_slowed():
    throttle = Throttle()
    assert [wait(throttle, HERE) for _ in range(1000)] == [0.0] * 1000
    assert len(throttle) == 0


def test_four_failures_are_free_and_the_fifth_is_the_last():
    throttle = Throttle()
    for now in (0.0, 0.1, 0.2, 0.3, 0.4):
        slot = throttle.attempt(HERE, "sammy", now, PATIENCE)
        assert slot.wait == 0.0
        slot.failed(now)
    assert wait(throttle, HERE, now=0.4) == pytest.approx(1.0)
    assert wait(throttle, HERE, "somebody else", now=0.4) == pytest.approx(2.0)


def test_slots_of_attempts_at_once_are_apart_and_the_impatient_are_refused():
    throttle = Throttle()
    fail(throttle, HERE, times=5)
    assert [wait(throttle, HERE) for _ in range(7)] == [1.0, 2.0, 3.0, 4.0, 5.0, None, None]
    assert wait(throttle, HERE, now=2.0) == 4.0, "who was refused has taken no slot"
    assert wait(throttle, HERE, now=2.0, patience=0.5) is None


def test_the_spacing_doubles_up_to_a_bound():
    throttle = Throttle(source=LASTING)
    fail(throttle, HERE, times=5)
    now, waits = 0.0, []
    for _ in range(7):
        slot = throttle.attempt(HERE, "sammy", now, 100.0)
        waits.append(round(slot.wait, 3))
        now += slot.wait
        slot.failed(now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize("attempts", [50, 5000])
def test_an_endless_guesser_gets_no_more_than_the_bound_lets_through(attempts):
    throttle = Throttle()
    checked = 0
    for number in range(attempts):
        now = number * 3600.0 / attempts
        slot = throttle.attempt(HERE, f"user{number % 10}", now, PATIENCE)
        if slot.wait is not None:
            checked += 1
            slot.failed(now)
    # Five for nothing and a few while the spacing grows; then fading and failing balance between 8 s and 10 s.
    assert checked <= 10 + 3600 / 8


def test_failures_fade():
    throttle = Throttle(source=Pace(5, 60.0))
    fail(throttle, HERE, times=8)
    assert wait(throttle, HERE) is None
    assert wait(throttle, HERE, now=20.0) == 0.0
    assert wait(throttle, HERE, now=20.0) == pytest.approx(2.0), "8 failures are 6.3 after 20 s"
    assert wait(throttle, HERE, now=120.0) == 0.0
    assert wait(throttle, HERE, now=120.0) == 0.0, "8 failures are 2 after two minutes"


def test_a_right_password_gives_its_slot_back_and_no_more():
    throttle = Throttle(source=LASTING)
    fail(throttle, HERE, "alex", times=5)
    for name in ("one", "two", "three"):
        slot = throttle.attempt(HERE, name, 1.0, PATIENCE)
        assert slot.wait == 0.0
        slot.succeeded(1.0)
        slot.succeeded(1.0)
    assert wait(throttle, HERE, "alex", now=1.0) == 0.0
    assert wait(throttle, HERE, "alex", now=1.0) == 1.0, "this one did not wait for a success"


def test_an_attempt_that_nobody_checked_has_used_its_slot_and_counts_no_failure():
    throttle = Throttle(source=LASTING)
    fail(throttle, HERE, times=5)
    throttle.attempt(HERE, "sammy", 0.0, PATIENCE).left()
    slot = throttle.attempt(HERE, "sammy", 0.0, PATIENCE)
    assert slot.wait == 2.0
    slot.left()
    slot.failed(0.0)
    assert wait(throttle, HERE) == 3.0, "what has ended has ended: the spacing is still a second"


def test_guesses_at_other_names_do_not_slow_who_was_here_before():
    throttle = Throttle()
    succeed(throttle, HERE, "sammy")
    fail(throttle, HERE, "root", times=1000)
    assert wait(throttle, HERE, "root") is None
    assert wait(throttle, HERE, "sammy") == 0.0
    assert throttle.attempt(HERE, "sammy", 0.0, PATIENCE).standing is Standing.KNOWN


def test_guesses_from_elsewhere_do_not_slow_who_was_here_before():
    throttle = Throttle()
    succeed(throttle, HERE, "sammy")
    for number in range(1000):
        fail(throttle, f"10.1.{number // 250}.{number % 250}", "sammy")
    assert [wait(throttle, HERE) for _ in range(100)] == [0.0] * 100


def test_having_been_here_is_no_ticket_for_guessing():
    throttle = Throttle()
    succeed(throttle, HERE, "mallory")
    fail(throttle, HERE, "mallory", times=5)
    assert wait(throttle, HERE, "mallory") == 1.0
    assert wait(throttle, HERE, "sammy") == 0.0, "the pair's failures are its own"
    fail(throttle, HERE, "sammy", times=5)
    assert wait(throttle, HERE, "root") == 1.0


def test_a_pair_is_known_for_a_day_after_its_last_success():
    throttle = Throttle(source=LASTING)
    succeed(throttle, HERE)
    succeed(throttle, HERE, now=50_000.0)
    fail(throttle, HERE, "root", times=1000, now=50_000.0)
    assert wait(throttle, HERE, now=50_000.0 + 86_399.0) == 0.0
    assert throttle.turns_key(HERE, "sammy", 50_000.0 + 86_399.0) != HERE
    assert throttle.turns_key(HERE, "sammy", 50_000.0 + 86_400.0) == HERE
    assert throttle.attempt(HERE, "sammy", 50_000.0 + 86_400.0, PATIENCE).standing is not Standing.KNOWN


def test_an_owner_at_a_new_address_gets_in_at_once_while_thousand_addresses_guess():
    throttle = attacked()
    for number in range(100):
        slot = throttle.attempt(f"192.0.2.{number}", "sammy", 0.0, PATIENCE)
        assert (slot.wait, slot.standing) == (0.0, Standing.NEW)
        slot.succeeded(0.0)


def test_the_second_guess_of_an_address_waits_for_a_slot_of_the_name():
    throttle = attacked()
    assert wait(throttle, "10.1.0.0") is None
    assert wait(throttle, "10.1.0.0", "alex") == 0.0, "as a neighbour he has failed only once"


def test_a_chance_is_spent_when_it_is_taken():
    throttle = attacked()
    first, second = (throttle.attempt(HERE, "sammy", 0.0, PATIENCE) for _ in range(2))
    assert (first.wait, second.wait) == (0.0, None)
    assert second.standing is Standing.FAILED
    first.succeeded(0.0)
    assert throttle.attempt(HERE, "alex", 0.0, PATIENCE).standing is Standing.NEW


def test_a_chance_that_was_not_used_comes_back():
    throttle = attacked()
    throttle.attempt(HERE, "sammy", 0.0, PATIENCE).left()
    first = throttle.attempt(HERE, "sammy", 0.0, PATIENCE)
    assert first.wait == 0.0
    fail(throttle, HERE, "alex", now=1.0)
    first.left()
    assert wait(throttle, HERE, now=1.0) is None, "it has failed meanwhile"


def test_an_address_has_another_chance_after_an_hour():
    throttle = attacked()
    fail(throttle, HERE)
    for number in range(1000):
        fail(throttle, f"10.2.{number // 250}.{number % 250}", now=3599.0)
    assert wait(throttle, HERE, now=3599.0) is None
    assert wait(throttle, HERE, now=3600.0) == 0.0


def test_thousand_addresses_at_one_name_get_a_guess_each_and_share_the_slots():
    throttle = Throttle()
    checked = 0
    for tenth in range(36_000):
        now = tenth / 10
        number = tenth * 7919 % 1000
        slot = throttle.attempt(f"10.1.{number // 250}.{number % 250}", "sammy", now, PATIENCE)
        if slot.wait is not None:
            checked += 1
            slot.failed(now + slot.wait)
    assert 1000 < checked <= 1000 + 30 + 360


def test_unknown_names_are_counted_like_known_ones():
    """The throttle knows no users, so this is about what it is told: that nothing is ever right changes nothing."""
    throttle = attacked("nobody")
    assert wait(throttle, "10.1.0.0", "nobody") is None
    assert wait(throttle, HERE, "nobody") == 0.0


def test_sources_and_pairs_are_bounded_and_the_oldest_is_forgotten():
    throttle = Throttle(table_size=100, source=LASTING, name=FREE)
    fail(throttle, "kept", times=9)
    fail(throttle, "forgotten", times=9)
    for number in range(98):
        fail(throttle, f"other {number}")
    fail(throttle, "kept")
    fail(throttle, "one too many")
    assert len(throttle) == 100
    assert wait(throttle, "forgotten") == 0.0
    assert wait(throttle, "kept") is None
    for name in ["kept", "forgotten", *map(str, range(98)), "kept", "one too many"]:
        succeed(throttle, HERE, name)
    assert [throttle.turns_key(HERE, name, 0.0) == HERE for name in ("kept", "forgotten")] == [False, True]
    assert len(throttle._pairs) == 100


def test_very_many_failures_do_not_overflow():
    throttle = Throttle()
    slots = [throttle.attempt(HERE, "sammy", 0.0, PATIENCE) for _ in range(5000)]
    for slot in slots:
        slot.failed(0.0)
    assert wait(throttle, HERE, patience=60.0) == 10.0
    assert wait(throttle, HERE, now=1e9) == 0.0


def test_neighbours_in_a_64_share_their_failures():
    throttle = Throttle()
    for number in range(5):
        fail(throttle, f"2001:db8::{number}")
    assert wait(throttle, "2001:db8::ffff") == 1.0
    assert wait(throttle, "2001:db8:0:1::1", "alex") == 0.0


def test_many_64s_of_one_customer_share_a_bucket():
    throttle = Throttle()
    for number in range(40):
        fail(throttle, f"2001:db8:0:{number:x}::1", f"name {number}")
    assert wait(throttle, "2001:db8:0:ffff::1") == 1.0
    assert wait(throttle, "2001:db8:1::1") == 0.0


def test_a_customer_with_many_64s_has_one_chance():
    throttle = attacked()
    fail(throttle, "2001:db8:0:1::1")
    assert wait(throttle, "2001:db8:0:2::1") is None
    assert wait(throttle, "2001:db8:1::1") == 0.0
