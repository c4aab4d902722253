"""The throttle, at times that the test names."""

import pytest

from mcproxy.auth.throttle import Throttle, throttle_key

PATIENCE = 5.0


def fail(throttle, source, times, now=0.0):
    for _ in range(times):
        throttle.failed(source, now)


def test_who_never_failed_is_never_slowed():
    throttle = Throttle()
    assert [throttle.delay("10.0.0.1", 0.0, PATIENCE) for _ in range(1000)] == [0.0] * 1000
    assert len(throttle) == 0


def test_four_failures_are_free_and_the_fifth_is_the_last():
    throttle = Throttle()
    for now in (0.0, 0.1, 0.2, 0.3):
        assert throttle.delay("10.0.0.1", now, PATIENCE) == 0.0
        throttle.failed("10.0.0.1", now)
    assert throttle.delay("10.0.0.1", 0.4, PATIENCE) == 0.0
    throttle.failed("10.0.0.1", 0.4)
    assert throttle.delay("10.0.0.1", 0.4, PATIENCE) == pytest.approx(1.0)


def test_the_same_user_from_elsewhere_is_not_slowed():
    throttle = Throttle()
    fail(throttle, "10.0.0.1", 100)
    assert throttle.delay("10.0.0.1", 0.0, PATIENCE) is None
    assert throttle.delay("10.0.0.2", 0.0, PATIENCE) == 0.0


def test_slots_of_attempts_at_once_are_apart_and_the_impatient_are_refused():
    throttle = Throttle()
    fail(throttle, "a", 5)
    assert [throttle.delay("a", 0.0, PATIENCE) for _ in range(7)] == [1.0, 2.0, 3.0, 4.0, 5.0, None, None]
    assert throttle.delay("a", 2.0, PATIENCE) == 4.0, "who was refused has taken no slot"
    assert throttle.delay("a", 2.0, 0.5) is None


def test_the_spacing_doubles_up_to_a_bound():
    throttle = Throttle(half_life=1e9)
    fail(throttle, "a", 5)
    now, waits = 0.0, []
    for _ in range(7):
        wait = throttle.delay("a", now, 100.0)
        waits.append(round(wait, 3))
        now += wait
        throttle.failed("a", now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


@pytest.mark.parametrize("failures", [50, 5000])
def test_an_endless_guesser_gets_no_more_than_the_bound_lets_through(failures):
    throttle = Throttle()
    now, checked = 0.0, 0
    while now < 3600.0:
        if throttle.delay("a", now, PATIENCE) is not None:
            checked += 1
            throttle.failed("a", now)
        now += 3600.0 / failures
    # Five for nothing and a few while the spacing grows; then fading and failing balance between 8 s and 10 s.
    assert checked <= 10 + 3600 / 8


def test_failures_fade():
    throttle = Throttle(half_life=60.0)
    fail(throttle, "a", 8)
    assert throttle.delay("a", 0.0, PATIENCE) is None
    assert throttle.delay("a", 20.0, PATIENCE) == 0.0
    assert throttle.delay("a", 20.0, PATIENCE) == pytest.approx(2.0), "8 failures are 6.3 after 20 s"
    assert throttle.delay("a", 120.0, PATIENCE) == 0.0
    assert throttle.delay("a", 120.0, PATIENCE) == 0.0, "8 failures are 2 after two minutes"


def test_a_right_password_gives_its_slot_back_and_no_more():
    throttle = Throttle(half_life=1e9)
    fail(throttle, "a", 5)
    assert throttle.delay("a", 1.0, PATIENCE) == 0.0
    for _ in range(100):
        throttle.succeeded("a", 1.0)
        assert throttle.delay("a", 1.0, PATIENCE) == 0.0
    assert throttle.delay("a", 1.0, PATIENCE) == 1.0, "this one did not wait for a success"
    throttle.succeeded("b", 1.0)
    assert len(throttle) == 1


def test_right_passwords_do_not_pay_for_wrong_ones():
    throttle = Throttle(half_life=1e9)
    fail(throttle, "a", 5)
    now, guesses = 0.0, 0
    while now < 1000.0:
        if throttle.delay("a", now, 0.0) is not None:
            throttle.succeeded("a", now)
        if throttle.delay("a", now, 0.0) is not None:
            throttle.failed("a", now)
            guesses += 1
        now += 0.5
    assert guesses <= 5 + 1000 / 10


def test_the_table_is_bounded_and_forgets_the_oldest():
    throttle = Throttle(table_size=100)
    fail(throttle, "kept", 9)
    fail(throttle, "forgotten", 9)
    for number in range(98):
        throttle.failed(f"other {number}", 0.0)
    throttle.failed("kept", 0.0)
    throttle.failed("one too many", 0.0)
    assert len(throttle) == 100
    assert throttle.delay("forgotten", 0.0, PATIENCE) == 0.0
    assert throttle.delay("kept", 0.0, PATIENCE) is None


def test_very_many_failures_do_not_overflow():
    throttle = Throttle()
    fail(throttle, "a", 5000)
    assert throttle.delay("a", 0.0, 60.0) == 10.0
    assert throttle.delay("a", 1e9, 60.0) == 0.0


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unix:1000", "unix:1000"),
        ("", ""),
    ],
)
def test_what_counts_as_one_source(source, key):
    assert throttle_key(source) == key


def test_neighbours_in_a_64_share_their_failures():
    throttle = Throttle()
    for number in range(5):
        throttle.failed(f"2001:db8::{number}", 0.0)
    assert throttle.delay("2001:db8::ffff", 0.0, PATIENCE) == 1.0
