"""The authenticator when many want to log in at once."""

import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import Throttle
from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier, matching
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import Authenticator
from tests.unit.auth.checking import (
    ACCEPTED,
    BUSY,
    ELSEWHERE,
    HERE,
    LATE,
    SLOWED,
    SOON,
    WRONG,
    users_of,
)


async def test_threads_and_the_queue_are_bounded(hashing, mock_clock):
    users = users_of(**{f"user{number}": "x" for number in range(20)})
    throttle = Throttle()
    authenticator = Authenticator(users, LocalAttempts(throttle), threads=2, queue=5, match=hashing)
    hashing.hold()
    verdicts = []

    async def one(number):
        verdicts.append(await authenticator.check(f"user{number}", "x", f"10.0.0.{number}", SOON))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(one, number)
        await wait_all_tasks_blocked()
        assert verdicts == [BUSY] * 13
        await hashing.begun(2)
        hashing.release()
    assert verdicts[13:] == [ACCEPTED] * 7
    assert hashing.most_at_once == 2
    assert len(throttle) == 0, "who was never checked has not failed"


async def test_a_source_cannot_take_all_places(authenticator, hashing, mock_clock):
    """Forty guesses from one address wait for their turn; a login from elsewhere is next but two."""
    hashing.hold()
    verdicts = {}

    async def one(name, password, source):
        verdicts[password] = await authenticator.check(name, password, source, SOON)

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, "sammy", f"guess {number}", HERE)
        await wait_all_tasks_blocked()
        nursery.start_soon(one, "alex", "other", ELSEWHERE)
        await wait_all_tasks_blocked()
        await hashing.begun(2)
        assert len(hashing.asked) == 2
        hashing.release()
        while "other" not in verdicts:
            await trio.lowlevel.checkpoint()
        assert verdicts.pop("other") == ACCEPTED
        assert len(verdicts) < 10
        nursery.cancel_scope.cancel()


async def test_guesses_at_once_are_no_more_than_guesses_one_by_one(authenticator, hashing, mock_clock):
    verdicts = []

    async def one(number):
        verdicts.append(await authenticator.check("sammy", f"guess {number}", HERE, SOON))

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(one, number)
        while len(verdicts) < 5:
            await wait_all_tasks_blocked()
            await trio.lowlevel.checkpoint()
        mock_clock.jump(SOON)
    # Five are free, a sixth may be under way when the fifth is counted; after a second comes the next slot.
    assert len(hashing.asked) <= 8
    assert verdicts.count(WRONG) == len(hashing.asked)
    assert len(verdicts) == 60


async def test_the_deadline_passes_in_the_queue(authenticator, hashing, mock_clock):
    hashing.hold()
    verdicts = {}

    async def one(password, source, deadline):
        verdicts[password] = await authenticator.check("sammy", password, source, deadline)

    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(one, f"guess {number}", f"10.1.0.{number}", 100.0)
        await wait_all_tasks_blocked()
        nursery.start_soon(one, "secret", HERE, SOON)
        await wait_all_tasks_blocked()
        mock_clock.jump(SOON)
        await wait_all_tasks_blocked()
        assert verdicts == {"secret": LATE}
        hashing.release()
    assert len(hashing.asked) == 2


async def test_who_shares_a_hash_takes_over_when_the_first_goes_away(authenticator, hashing, mock_clock):
    hashing.hold()
    verdicts = []

    async def one(source):
        verdicts.append(await authenticator.check("sammy", "secret", source, SOON))

    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(authenticator.check, "alex", f"guess {number}", f"10.1.0.{number}", SOON)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as leaving:
            leaving.start_soon(one, HERE)
            await wait_all_tasks_blocked()
            for number in range(3):
                nursery.start_soon(one, f"10.2.0.{number}")
            await wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert verdicts == []
        hashing.release()
    assert verdicts == [ACCEPTED] * 3
    assert len(hashing.asked) == 3


async def test_a_failure_counts_although_the_client_left(authenticator, hashing, mock_clock):
    """Whoever hangs up before the answer has had his guess all the same."""
    for number in range(5):
        hashing.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(authenticator.check, "sammy", f"guess {number}", HERE, SOON)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            hashing.release()
    assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.5) == SLOWED


async def test_who_was_here_before_goes_first_and_who_failed_last(hashing, mock_clock):
    names = [f"user{number}" for number in range(7)]
    users = users_of(known="known", **dict.fromkeys(names, "x"))
    throttle = Throttle()
    authenticator = Authenticator(users, LocalAttempts(throttle), threads=1, queue=3, match=hashing)
    assert await authenticator.check("known", "known", HERE, SOON) == ACCEPTED
    for number in range(3):
        throttle.attempt(f"10.9.0.{number}", "anybody", 0.0, SOON).failed(0.0)
    hashing.hold()
    verdicts = {}

    async def one(name, password, source):
        verdicts[source] = await authenticator.check(name, password, source, SOON)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "user0", "first", "10.8.0.0")
        await hashing.begun(2)
        for number in range(3):
            nursery.start_soon(one, f"user{number}", "guess", f"10.9.0.{number}")
            await wait_all_tasks_blocked()
        assert verdicts == {}
        nursery.start_soon(one, "user4", "x", "10.7.0.0")
        nursery.start_soon(one, "user5", "x", "10.7.0.1")
        await wait_all_tasks_blocked()
        nursery.start_soon(one, "known", "guess", HERE)
        await wait_all_tasks_blocked()
        assert verdicts == {f"10.9.0.{number}": BUSY for number in range(3)}
        nursery.start_soon(one, "user6", "x", "10.7.0.2")
        await wait_all_tasks_blocked()
        assert verdicts.pop("10.7.0.2") == BUSY, "nobody of less standing is left"
        hashing.release()
    assert [password for _, password in hashing.asked[2:]] == ["guess", "x", "x"]
    assert verdicts[HERE] == WRONG


async def test_who_shares_a_hash_with_somebody_who_had_to_leave_asks_for_it_again(hashing, mock_clock):
    users = users_of(known="known", sammy="secret")
    throttle = Throttle()
    authenticator = Authenticator(users, LocalAttempts(throttle), threads=1, queue=1, match=hashing)
    throttle.attempt(ELSEWHERE, "anybody", 0.0, SOON).failed(0.0)
    hashing.hold()
    verdicts = {}

    async def one(name, password, source):
        verdicts[source] = await authenticator.check(name, password, source, SOON)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "known", "guess", "10.8.0.0")
        await hashing.begun(1)
        nursery.start_soon(one, "sammy", "secret", ELSEWHERE)
        await wait_all_tasks_blocked()
        throttle.attempt(HERE, "sammy", 0.0, SOON).succeeded(0.0)
        nursery.start_soon(one, "sammy", "secret", HERE)
        await wait_all_tasks_blocked()
        nursery.start_soon(one, "known", "known", "10.8.0.1")
        await wait_all_tasks_blocked()
        assert verdicts == {ELSEWHERE: BUSY, "10.8.0.1": BUSY}
        hashing.release()
    assert verdicts[HERE] == ACCEPTED


async def test_who_leaves_the_queue_leaves_no_thread_idle(hashing, mock_clock):
    authenticator = Authenticator(users_of(sammy="secret"), LocalAttempts(Throttle()), threads=1, match=hashing)
    hashing.hold()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(authenticator.check, "sammy", "guess", "10.8.0.0", SOON)
        await hashing.begun(1)
        async with trio.open_nursery() as leaving:
            for number in range(3):
                leaving.start_soon(authenticator.check, "sammy", f"guess {number}", f"10.8.1.{number}", SOON)
            await wait_all_tasks_blocked()
            hashing.release()
            leaving.cancel_scope.cancel()
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    queue = authenticator._hashing._queue
    assert (len(queue), queue.idle) == (0, 1)


async def test_all_spellings_of_a_right_password_cost_one_hash(mock_clock):
    """SASLprep maps soft hyphens to nothing (RFC 3454 table B.1), and who is right is never slowed."""
    hashing = CountingMatching()
    users = Users([("anna", make_verifier("secret", 4096))])
    authenticator = Authenticator(users, LocalAttempts(Throttle()), match=hashing)
    for place in range(7):
        spelled = "secret"[:place] + "\u00ad" * (place % 3) + "secret"[place:]
        assert await authenticator.check("anna", spelled, HERE, SOON) == ACCEPTED
    assert hashing.asked == 1
    refused = ["a\u0627", "a\u0628", "\U0001f600", "\u00ad"]
    for number, password in enumerate(refused):
        assert await authenticator.check("anna", password, f"10.3.0.{number}", SOON) == WRONG
    assert hashing.asked == 5


class CountingMatching:
    """The real hash."""

    def __init__(self):
        self.asked = 0

    def __call__(self, verifiers, password):
        self.asked += 1
        return matching(verifiers, password)
