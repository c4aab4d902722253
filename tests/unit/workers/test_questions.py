"""Workers' questions and the parent's answers over real sockets: the limits hold for all workers together."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from mcproxy.auth.throttle import FREE_FAILURES, Standing, Throttle
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.server.admission import LOGINS_PER_SOURCE, Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.shared import Undecided
from mcproxy.workers import questions as questions_module
from mcproxy.workers.answers import Answers
from mcproxy.workers.channel import Channel
from mcproxy.workers.questions import Questions, RemoteAttempts, RemoteEntrance, RemotePlace

HERE = "10.0.0.1"


class Worker:
    """A worker's side, and its parent's, which are the program's own; only the processes are missing."""

    def __init__(self, nursery, admission, attempts):
        ours, theirs = socket.socketpair()
        self.parents_end, self.own_end = Channel(ours), Channel(theirs)
        self.questions = Questions(self.own_end)
        self.entrance = RemoteEntrance(self.questions)
        self.attempts = RemoteAttempts(self.questions)
        self.answers = Answers(self.parents_end, nursery, admission, attempts, lambda: False)
        for task in (self.parents_end.send_forever, self.own_end.send_forever, self._answer, self._receive):
            nursery.start_soon(task)

    async def _answer(self):
        while (frame := await self.parents_end.receive()) is not None:
            assert self.answers.take(*frame)

    async def _receive(self):
        while (frame := await self.own_end.receive()) is not None:
            self.questions.answered(*frame)

    def close(self):
        self.parents_end.close()
        self.own_end.close()


@asynccontextmanager
async def two_workers(admission=None, attempts=None):
    admission = admission or Admission(1000, 0, 1000)
    attempts = attempts or LocalAttempts(Throttle())
    workers = []
    try:
        async with trio.open_nursery() as nursery:
            workers += [Worker(nursery, admission, attempts) for _ in range(2)]
            yield workers
            nursery.cancel_scope.cancel()
    finally:
        for worker in workers:
            worker.close()


def wait():
    """Nothing is done about there being no room."""


async def entered(worker, address=None):
    place = await worker.entrance.enter("plain", address, wait)
    assert isinstance(place, RemotePlace), place
    return place


async def heard(worker):
    """What the worker told has come before the answer to this."""
    await worker.entrance.is_ahead()


async def told(admission, connections, waiting):
    """Returns when the parent counts so many: what is told needs no answer, and takes its time."""
    with trio.fail_after(5):
        while (admission.connections, admission.waiting) != (connections, waiting):
            await trio.lowlevel.checkpoint()


async def test_connections_of_all_workers_are_counted_together():
    admission = Admission(connections=3, per_address=0, logins=100)
    async with two_workers(admission) as (one, other):
        places = [await entered(one), await entered(other), await entered(one)]
        for worker in (one, other):
            assert await worker.entrance.enter("plain", None, wait) is ConnectionRefusal.TOO_MANY
        places[1].release()
        places[1].release()
        await heard(other)
        await entered(one)
        assert await other.entrance.enter("plain", None, wait) is ConnectionRefusal.TOO_MANY


async def test_connections_of_one_address_are_counted_together():
    async with two_workers(Admission(connections=100, per_address=2, logins=100)) as (one, other):
        first = await entered(one, HERE)
        await entered(other, HERE)
        for worker in (one, other):
            assert await worker.entrance.enter("plain", HERE, wait) is ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        first.logged_in()
        assert await other.entrance.enter("plain", HERE, wait) is ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        first.release()
        await heard(one)
        await entered(other, HERE)


async def test_logins_of_one_address_are_counted_together():
    async with two_workers() as workers:
        places = [await entered(workers[number % 2], HERE) for number in range(LOGINS_PER_SOURCE)]
        for worker in workers:
            assert await worker.entrance.enter("plain", HERE, wait) is ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        places[0].logged_in()
        await heard(workers[0])
        again = await entered(workers[1], HERE)
        assert not await places[0].logs_in_again()
        again.release()
        await heard(workers[1])
        assert await places[0].logs_in_again()


async def test_who_comes_while_as_many_log_in_as_may_waits_for_room_made_in_the_same_worker(monkeypatch):
    """And longer than an answer may take: the parent has said that it is there."""
    monkeypatch.setattr(questions_module, "PATIENCE", 0.2)
    admission = Admission(connections=100, per_address=0, logins=2, workers=2)
    async with two_workers(admission) as (one, other):
        place = await entered(one)
        with trio.move_on_after(0.5):
            await entered(one)
        await told(admission, 1, 1)
        await entered(other)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(entered, one)
            await wait_all_tasks_blocked(0.05)
            place.logged_in()
        await told(admission, 3, 2)


async def test_who_is_told_not_to_wait_leaves_nothing_behind():
    admission = Admission(connections=100, per_address=0, logins=1)
    async with two_workers(admission) as (_, other):
        place = await entered(other)
        why = ConnectionRefusal.TOO_MANY_FROM_ADDRESS
        assert await other.entrance.enter("plain", None, lambda: why) is why
        place.release()
        await told(admission, 0, 0)
        await heard(other)
        assert not other.answers._waiting


async def test_who_makes_room_while_he_waits_gets_in():
    admission = Admission(connections=100, per_address=0, logins=1)
    async with two_workers(admission) as (_, other):
        place = await entered(other)
        assert isinstance(await other.entrance.enter("plain", None, place.release), RemotePlace)
        await told(admission, 1, 1)


async def test_a_worker_that_ends_gives_back_all_that_it_held():
    admission = Admission(connections=5, per_address=2, logins=5)
    attempts = LocalAttempts(Throttle(), turns=1)
    async with two_workers(admission, attempts) as (one, other):
        for _ in range(2):
            (await entered(one, HERE)).logged_in()
        await entered(one)
        await heard(one)
        kept = await entered(other)
        kept.logged_in()
        async with trio.open_nursery() as nursery:

            async def try_for_ever():
                async with one.attempts.attempt(HERE, "sammy", 60, 60):
                    await trio.sleep_forever()

            nursery.start_soon(try_for_ever)
            await told(admission, 4, 1)
            with trio.fail_after(5):
                while not attempts._turns:
                    await trio.lowlevel.checkpoint()
            one.answers.release_all()
            async with other.attempts.attempt(HERE, "sammy", 5, 5) as attempt:
                assert attempt.wait == 0
            nursery.cancel_scope.cancel()
        assert (admission.connections, admission.waiting) == (1, 0)
        assert not admission._by_address


async def test_a_guesser_gets_no_more_guesses_by_spreading_them():
    async with two_workers() as workers:
        for number in range(FREE_FAILURES):
            async with workers[number % 2].attempts.attempt(HERE, "sammy", 0.1, 0.1) as attempt:
                assert attempt.wait == 0
                await attempt.failed()
        for worker in workers:
            async with worker.attempts.attempt(HERE, "sammy", 0.1, 0.1) as attempt:
                assert attempt.wait is None
            async with worker.attempts.attempt("10.0.0.2", "sammy", 0.1, 0.1) as attempt:
                assert attempt.wait == 0


async def test_a_source_has_its_turns_over_all_workers():
    async with two_workers(attempts=LocalAttempts(Throttle(), turns=2)) as (one, other):
        async with one.attempts.attempt(HERE, "sammy", 60, 60), other.attempts.attempt(HERE, "sammy", 60, 60):
            with trio.move_on_after(0.2) as scope:
                async with one.attempts.attempt(HERE, "sammy", 60, 60):
                    pytest.fail("a third turn")
            assert scope.cancelled_caught
        async with one.attempts.attempt(HERE, "sammy", 60, 60):
            pass


async def test_success_gives_the_slot_back():
    async with two_workers() as (one, other):
        for _ in range(FREE_FAILURES):
            async with one.attempts.attempt(HERE, "sammy", 0, 0) as attempt:
                await attempt.failed()
        async with other.attempts.attempt(HERE, "sammy", 5, 5) as attempt:
            assert 0 < attempt.wait <= 1
            attempt.succeeded()
        await heard(other)
        async with one.attempts.attempt(HERE, "alex", 5, 5) as attempt:
            assert attempt.wait <= 1, "else two"


async def test_who_was_here_before_is_known_to_all_workers():
    async with two_workers() as (one, other):
        async with one.attempts.attempt(HERE, "sammy", 5, 5) as attempt:
            assert attempt.standing is Standing.NEW
            attempt.succeeded()
        await heard(one)
        for _ in range(FREE_FAILURES):
            async with other.attempts.attempt(HERE, "alex", 5, 5) as attempt:
                await attempt.failed()
        async with other.attempts.attempt(HERE, "alex", 0.1, 0.1) as attempt:
            assert (attempt.wait, attempt.standing) == (None, Standing.FAILED)
        async with other.attempts.attempt(HERE, "sammy", 0.1, 0.1) as attempt:
            assert (attempt.wait, attempt.standing) == (0, Standing.KNOWN)


async def test_a_parent_that_does_not_answer_admits_nobody_and_gets_everything_back(monkeypatch):
    monkeypatch.setattr(questions_module, "PATIENCE", 0.1)
    ours, theirs = socket.socketpair()
    questions = Questions(Channel(theirs))
    with pytest.raises(Undecided):
        await RemoteEntrance(questions).enter("plain", HERE, wait)
    with pytest.raises(Undecided):
        async with RemoteAttempts(questions).attempt(HERE, "sammy", 5, 7):
            pytest.fail("nobody gave a turn")
    assert not await RemoteEntrance(questions).is_ahead()
    place = RemotePlace(questions, 7)
    place.logged_in()
    assert not await place.logs_in_again()
    silent = Channel(ours)
    kinds = [(await silent.receive())[1:] for _ in range(9)]
    assert kinds == [
        ["enter", "plain", HERE],
        ["release", 1],
        ["attempt", HERE, "sammy", 5, 7],
        ["release", 2],
        ["is_ahead"],
        ["release", 3],
        ["logged_in", 7],
        ["logs_in_again", 7],
        ["release", 4],
    ]
    questions.answered(1, None)
    ours.close()
    theirs.close()


async def test_frames_that_no_worker_sends_are_noticed():
    async with two_workers() as (one, _):
        assert not one.answers.take(1, "give me everything")
        one.answers.take(0, "release", 99)
        one.answers.take(0, "logged_in", 99)
        one.answers.take(0, "succeeded", 99)
