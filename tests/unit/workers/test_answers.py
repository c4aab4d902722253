"""The parent's answers when frames come in odd orders, or are none that a worker sends."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import FREE_FAILURES, Standing, Throttle
from mcproxy.server.admission import Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.workers.answers import Answers
from mcproxy.workers.channel import Channel

HERE = "10.0.0.1"


class Alone:
    """The parent's answers without a worker: frames are taken in one breath, as when one receive brings them all."""

    def __init__(self, nursery, admission, attempts):
        self.ours, self.theirs = socket.socketpair()
        self.answers = Answers(Channel(self.ours), nursery, admission, attempts, lambda: False)

    def take(self, *frames):
        for frame in frames:
            assert self.answers.take(*frame)

    def close(self):
        self.ours.close()
        self.theirs.close()


@asynccontextmanager
async def answering(admission=None, attempts=None):
    async with trio.open_nursery() as nursery:
        alone = Alone(nursery, admission or Admission(10, 0, 1), attempts or LocalAttempts(Throttle()))
        try:
            yield alone
        finally:
            alone.close()
        nursery.cancel_scope.cancel()


async def test_a_turn_that_is_given_back_before_it_was_taken_is_free(autojump_clock):
    attempts = LocalAttempts(Throttle())
    async with answering(attempts=attempts) as alone:
        for number in range(1, 20):
            alone.take((number, "attempt", HERE, "sammy", 5.0, 5.0), (0, "release", number))
        await wait_all_tasks_blocked()
        with trio.fail_after(1):
            async with attempts.attempt(HERE, "sammy", 5.0, 5.0) as attempt:
                assert attempt.wait == 0


async def test_a_turn_that_nobody_gives_back_ends_and_counts_as_a_wrong_password(autojump_clock):
    attempts = LocalAttempts(Throttle())
    async with answering(attempts=attempts) as alone:
        for number in range(1, FREE_FAILURES + 2):
            alone.take((number, "attempt", HERE, "sammy", 0.1, 0.1))
            await trio.sleep(1.2)
        with trio.fail_after(0.1):
            async with attempts.attempt(HERE, "sammy", 60.0, 60.0) as attempt:
                assert attempt.wait > 0


async def test_a_login_has_its_whole_time_although_its_slot_had_to_begin_earlier(autojump_clock):
    """saslauthd is asked within the slot, and takes its time over right passwords too."""
    attempts = LocalAttempts(Throttle())
    async with answering(attempts=attempts) as alone:
        for number in range(1, FREE_FAILURES + 2):
            alone.take((number, "attempt", HERE, "sammy", 1.0, 5.0))
            await trio.sleep(4.9)
            alone.take((0, "succeeded", number), (0, "release", number))
        await wait_all_tasks_blocked()
        async with attempts.attempt(HERE, "sammy", 5.0, 5.0) as attempt:
            assert (attempt.wait, attempt.standing) == (0, Standing.KNOWN)


async def test_a_place_that_is_given_back_before_it_was_taken_is_free(autojump_clock):
    admission = Admission(10, 0, 1)
    async with answering(admission) as alone:
        first = await admission.enter((alone.answers, "plain"), None)
        for number in range(1, 6):
            alone.take((number, "enter", "plain", None), (0, "release", number))
        await wait_all_tasks_blocked()
        first.release()
        await wait_all_tasks_blocked()
        assert (admission.connections, admission.waiting) == (0, 0)


async def test_a_worker_that_ends_with_a_question_just_read_leaves_nothing_behind(autojump_clock):
    admission = Admission(10, 0, 1)
    async with answering(admission) as alone:
        first = await admission.enter((alone.answers, "plain"), None)
        alone.take((1, "enter", "plain", None))
        alone.answers.release_all()
        first.release()
        await wait_all_tasks_blocked()
        assert (admission.connections, admission.waiting) == (0, 0)


@pytest.mark.parametrize("arguments", [(), (None,), (None, HERE), ("plain", 7), ("plain", HERE, HERE)])
async def test_newcomers_that_no_worker_announces_are_noticed(arguments):
    async with answering() as alone:
        with pytest.raises(TypeError):
            alone.take((1, "enter", *arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        (HERE, 5.0, 5.0),
        (HERE, None, 5.0, 5.0),
        (HERE, 7, 5.0, 5.0),
        (None, "sammy", 5.0, 5.0),
        (HERE, "sammy", "5", 5.0),
        (HERE, "sammy", float("nan"), 5.0),
        (HERE, "sammy", float("inf"), 5.0),
        (HERE, "sammy", 5.0, "5"),
        (HERE, "sammy", 5.0, float("nan")),
        (HERE, "x" * 129, 5.0, 5.0),
        (HERE, "sammy", 5.0),
        (HERE, "sammy", 5.0, 5.0, 5.0),
    ],
)
async def test_attempts_that_no_worker_asks_for_are_noticed(arguments):
    async with answering() as alone:
        with pytest.raises(TypeError):
            alone.take((1, "attempt", *arguments))
