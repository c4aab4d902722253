"""The authenticator with its throttle: who is slowed, and who is not."""

import trio
from trio.testing import wait_all_tasks_blocked

from tests.unit.auth.checking import (
    ACCEPTED,
    ELSEWHERE,
    HERE,
    SLOWED,
    SLOWED_UNKNOWN,
    SOON,
    UNKNOWN,
    WRONG,
    users_of,
)


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
    assert await authenticator.check("alex", "a guess", HERE, trio.current_time() + 0.5) == WRONG
    assert await authenticator.check("alex", "other", HERE, trio.current_time() + 0.5) == SLOWED
    assert await authenticator.check("sammy", "secret", HERE, trio.current_time() + 0.5) == ACCEPTED


async def test_who_was_here_before_does_not_queue_behind_a_guesser(authenticator, mock_clock):
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(authenticator.check, "alex", f"guess {number}", HERE, SOON)
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0, "the guessers are waiting"
        assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED
        nursery.cancel_scope.cancel()


async def test_a_proof_is_slowed_like_a_password(authenticator, hashing, mock_clock):
    secret = users_of(sammy="secret").verifiers("sammy", "SCRAM-SHA-256")[0].identity
    for name, verdict in [("sammy", WRONG), ("nobody", UNKNOWN)]:
        assert await authenticator.prove(name, None, HERE, SOON) == verdict
    accepted = await authenticator.prove("sammy", secret, HERE, SOON)
    assert (accepted, accepted.secret) == (ACCEPTED, secret)
    soon = trio.current_time() + 0.5
    for _ in range(5):
        assert await authenticator.prove("sammy", None, ELSEWHERE, soon) == WRONG
    assert await authenticator.prove("sammy", secret, ELSEWHERE, soon) == SLOWED
    assert await authenticator.check("sammy", "secret", ELSEWHERE, soon) == SLOWED
    for _ in range(5):
        assert await authenticator.prove("nobody", None, "10.0.0.3", soon) == UNKNOWN
    assert await authenticator.prove("nobody", None, "10.0.0.3", soon) == SLOWED_UNKNOWN
    assert hashing.asked == []


async def test_a_proof_of_a_secret_that_is_gone_is_wrong(authenticator, mock_clock):
    secret = users_of(sammy="secret").verifiers("sammy", "SCRAM-SHA-256")[0].identity
    assert await authenticator.prove("alex", secret, HERE, SOON) == WRONG
    assert await authenticator.prove("nobody", secret, HERE, SOON) == UNKNOWN
    authenticator.replace_users(users_of(sammy="changed"))
    assert await authenticator.prove("sammy", secret, HERE, SOON) == WRONG


async def test_users_replaced_while_a_proof_waits_for_its_slot(authenticator, mock_clock):
    secret = users_of(sammy="secret").verifiers("sammy", "SCRAM-SHA-256")[0].identity
    verdicts = []

    async def one():
        verdicts.append(await authenticator.prove("sammy", secret, HERE, SOON))

    for _ in range(5):
        await authenticator.prove("sammy", None, HERE, SOON)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await wait_all_tasks_blocked()
        authenticator.replace_users(users_of(sammy="changed"))
        mock_clock.jump(1.0)
    assert verdicts == [WRONG]


async def test_an_owner_gets_in_from_elsewhere_while_everybody_guesses(authenticator, mock_clock):
    for number in range(100):
        await authenticator.check("sammy", f"guess {number}", f"10.1.0.{number}", SOON)
    assert await authenticator.check("sammy", "another", "10.1.0.0", SOON) == SLOWED
    assert await authenticator.check("sammy", "secret", HERE, SOON) == ACCEPTED


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
