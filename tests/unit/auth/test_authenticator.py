"""The authenticator, with trio's clock standing still unless moved and, mostly, a hash that costs nothing.

Each test asks for `mock_clock` itself: pytest-trio takes no clock that only a fixture has asked for.
"""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import Throttle
from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import Authenticator
from tests.unit.auth.checking import (
    ACCEPTED,
    ELSEWHERE,
    HERE,
    SLOWED_UNKNOWN,
    SOON,
    UNKNOWN,
    WRONG,
    users_of,
    verifier_of,
)


async def test_the_real_hash():
    users = Users([("sammy", make_verifier("secret", 4096))])
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
    (first,), *others = (verifiers for verifiers, _ in hashing.asked)
    assert others == [(first,)] * 2
    assert first.iterations == 4096


async def test_a_stand_in_that_matched_would_not_help(mock_clock):
    authenticator = Authenticator(users_of(), LocalAttempts(Throttle()), match=lambda verifiers, password: verifiers[0])
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
    authenticator = Authenticator(users_of(a="bc", ab="x"), LocalAttempts(Throttle()), match=hashing)
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
    authenticator = Authenticator(users, LocalAttempts(Throttle()), memory_size=2, match=hashing)
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
    authenticator.replace_users(Users([("sammy", verifier_of("secret", 5000))]))
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == 2


async def test_both_secrets_are_good_and_remembered_until_the_older_is_gone(hashing, mock_clock):
    new, old = verifier_of("new"), verifier_of("old")
    authenticator = Authenticator(Users([("sammy", new), ("sammy", old)]), LocalAttempts(Throttle()), match=hashing)
    for _ in range(3):
        for password, verifier in [("new", new), ("old", old)]:
            verdict = await authenticator.check("sammy", password, HERE, SOON)
            assert (verdict, verdict.secret) == (ACCEPTED, verifier.identity)
    assert authenticator.hashes == 2
    authenticator.replace_users(Users([("sammy", new)]))
    assert await authenticator.check("sammy", "old", HERE, SOON) == WRONG
    assert await authenticator.check("sammy", "new", HERE, SOON) == ACCEPTED


async def test_what_was_remembered_does_not_come_back_with_the_users(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    for users in (users_of(alex="other"), users_of(sammy="secret", alex="other")):
        authenticator.replace_users(users)
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    assert authenticator.hashes == 2


async def test_what_was_used_is_told_at_each_success(hashing, mock_clock):
    told = []
    users = users_of(sammy="secret")
    authenticator = Authenticator(
        users, LocalAttempts(Throttle()), match=hashing, used=lambda name, identity: told.append((name, identity))
    )
    secret = users.verifiers("sammy", "SCRAM-SHA-256")[0].identity
    for name, password in [("sammy", "wrong"), ("nobody", "secret"), ("sammy", "secret"), ("sammy", "secret")]:
        await authenticator.check(name, password, HERE, SOON)
    await authenticator.prove("sammy", None, HERE, SOON)
    assert told == [("sammy", secret)] * 2
    await authenticator.prove("sammy", secret, HERE, SOON)
    assert told == [("sammy", secret)] * 3


@pytest.mark.parametrize("name", ["x" * 5000, "\ud800", "ä" * 200])
async def test_names_that_no_user_can_have(authenticator, name, mock_clock):
    for _ in range(5):
        assert await authenticator.check(name, "guess", HERE, SOON) == UNKNOWN
    assert await authenticator.check(name, "guess", HERE, trio.current_time() + 0.5) == SLOWED_UNKNOWN


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


async def test_nothing_is_left_behind(authenticator, mock_clock):
    for number in range(20):
        await authenticator.check("sammy", f"guess {number}", f"10.3.0.{number}", SOON)
    assert authenticator._attempts._turns == {}
    assert authenticator._hashing._jobs == {}


async def test_a_hash_that_breaks_accepts_nobody(mock_clock):
    def broken(verifiers, password):
        raise MemoryError

    authenticator = Authenticator(users_of(sammy="secret"), LocalAttempts(Throttle()), match=broken)
    with pytest.raises(MemoryError):
        await authenticator.check("sammy", "secret", HERE, SOON)
    assert authenticator._hashing._jobs == {}
    assert authenticator._attempts._turns == {}
