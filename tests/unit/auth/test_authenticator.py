"""The authenticator, with trio's clock standing still unless moved and, mostly, a hash that costs nothing.

Each test asks for `mock_clock` itself: pytest-trio takes no clock that only a fixture has asked for.
"""

import hashlib
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import Throttle
from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier, make_verifier
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import Authenticator, Verdict

HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
SOON = 5.0
ACCEPTED = Verdict(accepted=True, known=True)
WRONG = Verdict(accepted=False, known=True, reason="wrong password")
UNKNOWN = Verdict(accepted=False, known=False, reason="unknown user")
SLOWED = Verdict(accepted=False, known=True, reason="too many failed logins from this address")
BUSY = Verdict(accepted=False, known=True, reason="too many logins are waiting to be checked")
LATE = Verdict(accepted=False, known=True, reason="not checked before the login deadline")


def verifier_of(password, iterations=4096):
    """A verifier as the stub below reads it: the stored key is the password's SHA-256."""
    return Verifier("SCRAM-SHA-256", iterations, bytes(16), hashlib.sha256(password.encode()).digest(), bytes(32))


def users_of(**passwords):
    return Users({(name, "SCRAM-SHA-256"): verifier_of(password) for name, password in passwords.items()})


class Hash:
    """Stands in for the hash. Keeps what it was asked; waits while `held`."""

    def __init__(self):
        self.asked = []
        self.most_at_once = 0
        self._at_once = 0
        self._changed = threading.Condition()
        self._go = threading.Event()
        self._go.set()

    def hold(self):
        self._go.clear()

    def release(self):
        self._go.set()

    async def begun(self, number):
        """Returns when so many were begun; a task that is blocked on a thread says nothing about the thread."""

        def wait():
            with self._changed:
                assert self._changed.wait_for(lambda: len(self.asked) >= number, 10), self.asked

        await trio.to_thread.run_sync(wait)

    def __call__(self, verifier, password):
        with self._changed:
            self.asked.append((verifier, password))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._changed.notify_all()
        assert self._go.wait(10), "the test never let go"
        with self._changed:
            self._at_once -= 1
        return verifier.stored_key == hashlib.sha256(password.encode()).digest()


@pytest.fixture
def hashing():
    stub = Hash()
    yield stub
    stub.release()


@pytest.fixture
def authenticator(hashing):
    return Authenticator(users_of(sammy="secret", alex="other"), LocalAttempts(Throttle()), hash_password=hashing)


async def test_the_real_hash():
    users = Users({("sammy", "SCRAM-SHA-256"): make_verifier("secret", 4096)})
    authenticator = Authenticator(users, LocalAttempts(Throttle()))
    deadline = trio.current_time() + 60
    assert await authenticator.check("sammy", "secret", HERE, deadline) == ACCEPTED
    assert await authenticator.check("sammy", "Secret", HERE, deadline) == WRONG
    assert await authenticator.check("nobody", "secret", HERE, deadline) == UNKNOWN
    assert authenticator.hashes == 3


async def test_right_wrong_and_unknown(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    assert await authenticator.check("sammy", "other", HERE, SOON) == WRONG
    assert await authenticator.check("alex", "secret", HERE, SOON) == WRONG
    assert await authenticator.check("nobody", "secret", HERE, SOON) == UNKNOWN
    assert await authenticator.check("", "", HERE, SOON) == UNKNOWN


async def test_unknown_users_cost_what_most_known_ones_do_and_stay_unknown(authenticator, hashing, mock_clock):
    for _ in range(3):
        assert await authenticator.check("nobody", "guess", HERE, SOON) == UNKNOWN
    assert authenticator.hashes == 3
    verifiers = [verifier for verifier, _ in hashing.asked]
    assert verifiers[0] == verifiers[1] == verifiers[2]
    assert verifiers[0].iterations == 4096


async def test_a_stand_in_that_matched_would_not_help(mock_clock):
    authenticator = Authenticator(users_of(), LocalAttempts(Throttle()), hash_password=lambda verifier, password: True)
    for _ in range(2):
        assert await authenticator.check("nobody", "guess", HERE, SOON) == UNKNOWN
    assert authenticator.hashes == 2, "and it is not remembered"


async def test_a_thousand_reconnects_cost_one_hash(authenticator, mock_clock):
    for _ in range(1000):
        assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == 1


async def test_a_thousand_at_once_from_everywhere_cost_one_hash(authenticator, hashing, mock_clock):
    hashing.hold()
    verdicts = []

    async def one(number):
        verdicts.append(await authenticator.check("sammy", "secret", f"10.0.{number % 250}.1", SOON))

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(one, number)
        await wait_all_tasks_blocked()
        hashing.release()
    assert verdicts == [ACCEPTED] * 1000
    assert authenticator.hashes == 1
    assert await authenticator.check("sammy", "wrong", ELSEWHERE, SOON) == WRONG


async def test_what_is_remembered_is_the_password_and_not_the_user(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    for wrong in ("secre", "secrett", "Secret", ""):
        assert await authenticator.check("sammy", wrong, HERE, SOON) == WRONG
    assert await authenticator.check("alex", "secret", ELSEWHERE, SOON) == WRONG
    assert authenticator.hashes == 6


async def test_the_parts_of_what_is_remembered_cannot_be_shifted(mock_clock, hashing):
    authenticator = Authenticator(users_of(a="bc", ab="x"), LocalAttempts(Throttle()), hash_password=hashing)
    assert await authenticator.check("a", "bc", HERE, SOON) == ACCEPTED
    assert await authenticator.check("ab", "c", HERE, SOON) == WRONG


async def test_a_remembered_login_expires(authenticator, mock_clock):
    for moved, hashes in [(0, 1), (3599, 1), (1, 2), (3599, 2)]:
        mock_clock.jump(moved)
        now = trio.current_time()
        assert await authenticator.check("sammy", "secret", HERE, now + SOON) == ACCEPTED
        assert authenticator.hashes == hashes


async def test_the_memory_is_bounded_and_keeps_who_comes_back(hashing, mock_clock):
    users = users_of(a="1", b="2", c="3")
    authenticator = Authenticator(users, LocalAttempts(Throttle()), memory_size=2, hash_password=hashing)
    for name, password, hashes in [("a", "1", 1), ("b", "2", 2), ("a", "1", 2), ("c", "3", 3), ("a", "1", 3)]:
        assert await authenticator.check(name, password, HERE, SOON) == ACCEPTED
        assert authenticator.hashes == hashes, (name, password)
    assert await authenticator.check("b", "2", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == 4


async def test_passwords_are_not_kept(authenticator, mock_clock):
    await authenticator.check("sammy", "secret", HERE, SOON)
    assert "sammy" in repr(vars(authenticator))
    assert "secret" not in repr(vars(authenticator))


async def test_users_that_were_replaced(authenticator, mock_clock):
    for name, password in (("sammy", "secret"), ("alex", "other")):
        assert await authenticator.check(name, password, HERE, SOON) == ACCEPTED
    authenticator.replace_users(users_of(sammy="changed", alex="other"))
    assert await authenticator.check("sammy", "secret", HERE, SOON) == WRONG
    assert await authenticator.check("sammy", "changed", HERE, SOON) == ACCEPTED
    hashes = authenticator.hashes
    assert await authenticator.check("alex", "other", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == hashes, "alex has not changed"
    authenticator.replace_users(users_of(sammy="changed"))
    assert await authenticator.check("alex", "other", HERE, SOON) == UNKNOWN


async def test_a_verifier_made_anew_for_the_same_password_is_hashed_again(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    authenticator.replace_users(Users({("sammy", "SCRAM-SHA-256"): verifier_of("secret", 5000)}))
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == 2


@pytest.mark.parametrize(("after", "verdict"), [({"sammy": "changed"}, WRONG), ({}, UNKNOWN)])
async def test_users_replaced_while_a_hash_is_under_way(authenticator, hashing, after, verdict, mock_clock):
    hashing.hold()
    verdicts = []

    async def one():
        verdicts.append(await authenticator.check("sammy", "secret", HERE, SOON))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await wait_all_tasks_blocked()
        authenticator.replace_users(users_of(**after))
        hashing.release()
    assert verdicts == [verdict]
    assert await authenticator.check("sammy", "secret", HERE, SOON) == verdict


async def test_threads_and_the_queue_are_bounded(hashing, mock_clock):
    users = users_of(**{f"user{number}": "x" for number in range(20)})
    throttle = Throttle()
    authenticator = Authenticator(users, LocalAttempts(throttle), threads=2, queue=5, hash_password=hashing)
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


async def test_one_address_is_slowed_and_the_same_user_gets_in_from_elsewhere(authenticator, mock_clock):
    for number in range(5):
        assert await authenticator.check("sammy", f"guess {number}", HERE, SOON) == WRONG
    hashes = authenticator.hashes
    verdicts = []

    async def one():
        verdicts.append(await authenticator.check("sammy", "secret", HERE, SOON))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await wait_all_tasks_blocked()
        assert (verdicts, authenticator.hashes) == ([], hashes), "waits before it is hashed"
        assert await authenticator.check("sammy", "secret", ELSEWHERE, SOON) == ACCEPTED
        mock_clock.jump(0.99)
        await wait_all_tasks_blocked()
        assert verdicts == []
        mock_clock.jump(0.01)
    assert verdicts == [ACCEPTED]


async def test_right_passwords_of_a_slowed_address_do_not_wait_for_each_other(authenticator, mock_clock):
    for number in range(5):
        assert await authenticator.check("sammy", f"guess {number}", HERE, SOON) == WRONG
    mock_clock.jump(1.0)
    for _ in range(100):
        assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.5) == ACCEPTED
    assert await authenticator.check("sammy", "another guess", HERE, trio.current_time() + 0.5) == WRONG
    assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.5) == SLOWED


async def test_the_memory_does_not_answer_guesses_past_the_throttle(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    for number in range(9):
        await authenticator.check("sammy", f"guess {number}", HERE, SOON if number < 5 else trio.current_time() + 0.5)
    assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.5) == SLOWED


async def test_a_slot_behind_the_deadline_is_refused_at_once(authenticator, mock_clock):
    for number in range(5):
        await authenticator.check("sammy", f"guess {number}", HERE, SOON)
    hashes = authenticator.hashes
    assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.9) == SLOWED
    assert authenticator.hashes == hashes


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


async def test_nothing_is_left_behind(authenticator, mock_clock):
    for number in range(20):
        await authenticator.check("sammy", f"guess {number}", f"10.3.0.{number}", SOON)
    assert authenticator._attempts._turns == {}
    assert authenticator._hashing == {}


async def test_a_hash_that_breaks_accepts_nobody(mock_clock):
    def broken(verifier, password):
        raise MemoryError

    authenticator = Authenticator(users_of(sammy="secret"), LocalAttempts(Throttle()), hash_password=broken)
    with pytest.raises(MemoryError):
        await authenticator.check("sammy", "secret", HERE, SOON)
    assert authenticator._hashing == {}
    assert authenticator._attempts._turns == {}
