"""Places: how many there are, and that each comes back exactly once (case 54)."""

import random

import pytest
import trio
import trio.testing

from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.server.admission import LOGINS_PER_SOURCE, Admission, CountedPlace

HERE = "a listener"


def entered(admission: Admission, address: str | None) -> CountedPlace:
    place = admission.enter_now(HERE, address)
    assert isinstance(place, CountedPlace), place
    return place


def test_as_many_as_configured_and_no_more() -> None:
    admission = Admission(connections=3, per_address=0, logins=100)
    places = [entered(admission, "10.0.0.1") for _ in range(3)]
    assert admission.enter_now(HERE, "10.0.0.2") == "too_many"
    assert admission.enter_now(HERE, None) == "too_many"
    places[1].release()
    places[1].release()
    assert isinstance(admission.enter_now(HERE, None), CountedPlace)
    assert admission.enter_now(HERE, None) == "too_many", "a place that is given up twice counts once"


def test_a_cap_for_each_address() -> None:
    admission = Admission(connections=100, per_address=2, logins=100)
    first, _ = entered(admission, "10.0.0.1"), entered(admission, "10.0.0.1")
    assert admission.enter_now(HERE, "10.0.0.1") == "too_many_from_address"
    entered(admission, "10.0.0.2")
    first.logged_in()
    assert admission.enter_now(HERE, "10.0.0.1") == "too_many_from_address", "who is logged in still counts"
    first.release()
    entered(admission, "10.0.0.1")
    assert admission.enter_now(HERE, "10.0.0.1") == "too_many_from_address"


def test_loopback_and_unix_sockets_have_no_cap_of_their_own() -> None:
    admission = Admission(connections=500, per_address=1, logins=500)
    for _ in range(500):
        entered(admission, None)
    assert admission.enter_now(HERE, None) == "too_many"


def test_logins_of_one_address_are_bounded_without_a_cap() -> None:
    """Before login 64, whatever is configured for after it."""
    admission = Admission(connections=10_000, per_address=0, logins=10_000)
    places = [entered(admission, "10.0.0.1") for _ in range(LOGINS_PER_SOURCE)]
    assert admission.enter_now(HERE, "10.0.0.1") == "too_many_from_address"
    entered(admission, "10.0.0.2")
    places[0].logged_in()
    entered(admission, "10.0.0.1")
    assert admission.enter_now(HERE, "10.0.0.1") == "too_many_from_address"


def test_logins_of_a_64_of_ipv6_count_together_and_its_sessions_do_not() -> None:
    """One host has as many addresses of its /64 as it likes."""
    admission = Admission(connections=10_000, per_address=2, logins=10_000)
    places = [entered(admission, f"2001:db8::{number:x}") for number in range(LOGINS_PER_SOURCE)]
    assert admission.enter_now(HERE, "2001:db8::ffff") == "too_many_from_address"
    entered(admission, "2001:db8:0:1::1")
    for place in places:
        place.logged_in()
    entered(admission, "2001:db8::1")
    assert admission.enter_now(HERE, "2001:db8::1") == "too_many_from_address"
    entered(admission, "2001:db8::ffff")


def test_each_listener_has_places_of_its_own() -> None:
    admission = Admission(connections=6, per_address=0, logins=2)
    first, _ = entered(admission, None), entered(admission, None)
    assert admission.enter_now(HERE, None) is None
    others = [admission.enter_now("another", None) for _ in range(3)]
    assert [isinstance(place, CountedPlace) for place in others] == [True, True, False]
    first.logged_in()
    assert admission.enter_now("another", None) is None
    entered(admission, None)
    assert not first.waits_again()


def test_places_of_those_who_log_in_are_divided_among_workers() -> None:
    admission = Admission(connections=100, per_address=0, logins=7, workers=3)
    assert [isinstance(admission.enter_now(HERE, None), CountedPlace) for _ in range(3)] == [True, True, False]
    assert isinstance(admission.enter_now("another worker's", None), CountedPlace)
    admission = Admission(connections=100, per_address=0, logins=1, workers=3)
    entered(admission, None)


async def test_whoever_is_over_a_cap_does_not_wait() -> None:
    """Nor do others behind him, then."""
    admission = Admission(connections=10, per_address=1, logins=1)
    entered(admission, "10.0.0.1")
    assert await admission.enter(HERE, "10.0.0.1") == "too_many_from_address"


async def test_whoever_waits_is_asked_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    admission = Admission(connections=10, per_address=0, logins=1)
    place = entered(admission, None)
    asked = 0

    def make_room() -> None:
        nonlocal asked
        asked += 1
        if asked == 5:
            place.release()

    assert isinstance(await admission.enter(HERE, None, make_room), CountedPlace)
    assert asked == 5
    assert await admission.enter(HERE, None, lambda: ConnectionRefusal.TOO_MANY_FROM_ADDRESS) == "too_many_from_address"
    assert admission.waiting == 1


def test_logins_of_all_together_are_bounded() -> None:
    admission = Admission(connections=100, per_address=0, logins=2)
    first, _ = entered(admission, "10.0.0.1"), entered(admission, None)
    assert admission.enter_now(HERE, "10.0.0.3") is None, "he has to wait"
    first.logged_in()
    first.logged_in()
    assert admission.waiting == 1
    entered(admission, "10.0.0.3")
    assert admission.enter_now(HERE, "10.0.0.4") is None


def test_logging_in_again_takes_a_place_among_those_who_log_in() -> None:
    admission = Admission(connections=100, per_address=0, logins=2)
    place = entered(admission, "10.0.0.1")
    assert place.waits_again()
    assert admission.waiting == 1, "it was among them already"
    place.logged_in()
    assert place.waits_again()
    assert admission.waiting == 1
    place.logged_in()
    others = [entered(admission, "10.0.0.2") for _ in range(2)]
    assert not place.waits_again(), "there is no place among them"
    assert admission.waiting == 2
    place.release()
    for other in others:
        other.release()
    assert (admission.connections, admission.waiting) == (0, 0)


def test_logging_in_again_is_bounded_for_each_address() -> None:
    admission = Admission(connections=1000, per_address=0, logins=1000)
    place = entered(admission, "10.0.0.1")
    place.logged_in()
    for _ in range(LOGINS_PER_SOURCE):
        entered(admission, "10.0.0.1")
    assert not place.waits_again()


async def test_whoever_comes_while_as_many_log_in_as_may_waits(nursery: trio.Nursery) -> None:
    """But is refused where there is no place for a session either."""
    admission = Admission(connections=4, per_address=0, logins=2)
    first, second = entered(admission, None), entered(admission, None)
    got: list[object] = []

    async def enter() -> None:
        got.append(await admission.enter(HERE, None))

    for _ in range(3):
        nursery.start_soon(enter)
    await trio.testing.wait_all_tasks_blocked()
    assert (got, admission.waiting) == ([], 2)
    first.logged_in()
    await trio.testing.wait_all_tasks_blocked()
    assert (len(got), admission.connections, admission.waiting) == (1, 3, 2)
    second.release()
    await trio.testing.wait_all_tasks_blocked()
    assert (len(got), admission.connections, admission.waiting) == (2, 3, 2)
    assert all(isinstance(place, CountedPlace) for place in got)
    for place in list(got):
        assert isinstance(place, CountedPlace)
        place.logged_in()
    await trio.testing.wait_all_tasks_blocked()
    assert (len(got), admission.connections) == (3, 4)
    assert await admission.enter(HERE, None) == "too_many"


@pytest.mark.parametrize("seed", range(5))
def test_churn_leaves_exactly_the_places_that_there_were(seed: int) -> None:
    """Case 54: whatever way connections go, and in whatever order."""
    chance = random.Random(seed)
    addresses = [None, "10.0.0.1", "10.0.0.2", "2001:db8::1"]
    admission = Admission(connections=40, per_address=7, logins=20)
    places: list[CountedPlace] = []
    for _ in range(5000):
        action = chance.random()
        if action < 0.45:
            place = admission.enter_now(HERE, chance.choice(addresses))
            if isinstance(place, CountedPlace):
                places.append(place)
        elif places:
            place = chance.choice(places)
            if action < 0.6:
                place.logged_in()
            elif action < 0.7:
                place.waits_again()
            else:
                places.remove(place)
                for _ in range(chance.randint(1, 2)):
                    place.release()
        assert admission.connections == len(places) <= 40
        assert 0 <= admission.waiting <= min(20, len(places))
        for address in addresses[1:]:
            assert sum(place.address == address for place in places) <= 7
    for place in places:
        place.release()
    assert (admission.connections, admission.waiting) == (0, 0)
    for address in addresses[1:]:
        again = [entered(admission, address) for _ in range(7)]
        assert admission.enter_now(HERE, address) == "too_many_from_address"
        for place in again:
            place.release()
    assert not admission._by_address
    assert not admission._waiting_by_source, "addresses that are gone are forgotten"
    assert not admission._waiting
