"""Who is ended when there is no place left to log in, and who isn't."""

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trio
from trio.testing import MockClock

from mcproxy.server.crowd import SILENCE, Crowd, Crowds, Newcomer


class Stage:
    """A crowd, whose clients say nothing unless they are told to."""

    def __init__(self) -> None:
        self.crowd = Crowd()
        self.ends = ExitStack()

    def join(self, source: str, count: int = 1) -> list[Newcomer]:
        """So many come of a source."""
        joined = []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            self.ends.enter_context(ours)
            self.ends.enter_context(theirs)
            joined.append(self.ends.enter_context(self.crowd.joined_by(source, ours, trio.CancelScope())))
            self.theirs = theirs
        return joined


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.ends:
        yield stage
    assert (stage.crowd.held, stage.crowd.silent) == (0, 0)
    assert not stage.crowd._sources
    assert not stage.crowd._sources_with
    assert not stage.crowd._expected


def ended(newcomers: list[Newcomer]) -> list[bool]:
    return [newcomer.crowded_out for newcomer in newcomers]


async def test_the_oldest_silent_one_of_the_largest_crowd_is_ended(autojump_clock: MockClock, stage: Stage) -> None:
    small = stage.join("small", 2)
    large = stage.join("large", 3)
    assert stage.crowd.make_room_for("new")
    assert not any(ended(small + large)), "nobody is silent yet"
    await trio.sleep(SILENCE)
    for expected in ([True, False, False], [True, True, False]):
        assert stage.crowd.make_room_for("new")
        assert ended(large) == expected or any(ended(small))
    assert sum(ended(small + large)) == 2
    assert large[0]._scope.cancel_called


async def test_who_talks_is_left_alone(autojump_clock: MockClock, stage: Stage) -> None:
    talking = stage.join("large", 2)
    stage.theirs.send(b"x")
    checked, late = stage.join("large", 2)
    checked.proxys_turn()
    silent = stage.join("large", 5)
    await trio.sleep(SILENCE / 2)
    late.clients_turn()
    await trio.sleep(SILENCE / 2)
    for _ in range(10):
        stage.crowd.make_room_for(None)
    assert ended([*talking, checked, late]) == [True, False, False, False]
    assert ended(silent) == [True, False, False, False, False], "what is left is a rush"


async def test_sending_bytes_now_and_then_gains_no_time(autojump_clock: MockClock, stage: Stage) -> None:
    (newcomer,) = stage.join("drop by drop")
    for _ in range(4):
        await trio.sleep(SILENCE / 4)
        stage.theirs.send(b"x")
        newcomer.sock.recv(1)
    assert stage.crowd.make_room_for("new")
    assert newcomer.crowded_out


async def test_nobody_is_ended_in_a_rush(autojump_clock: MockClock, stage: Stage) -> None:
    """Most of them talk: whoever comes then waits, wherever he comes from."""
    silent = stage.join("one", 10)
    await trio.sleep(SILENCE)
    stage.join("another", 11)
    for source in ("one", "another", "new", None):
        assert stage.crowd.make_room_for(source)
        assert not stage.crowd.was_made_by("one")
    assert not any(ended(silent))


@pytest.mark.parametrize(("held", "makes_room"), [(0, True), (4, True), (5, False), (9, False)])
async def test_only_a_crowd_more_than_twice_as_large_has_to_make_room(
    autojump_clock: MockClock, stage: Stage, held: int, makes_room: bool
) -> None:
    crowd = stage.join("crowd", 10)
    await trio.sleep(SILENCE)
    stage.join("own", held)
    assert stage.crowd.make_room_for("own"), "its own aren't silent: it may wait"
    assert any(ended(crowd)) is makes_room


async def test_who_is_one_of_the_crowd_is_told_so(autojump_clock: MockClock, stage: Stage) -> None:
    crowd = [*stage.join("one", 10), *stage.join("another", 9)]
    await trio.sleep(SILENCE)
    for source in ("one", "another"):
        assert not stage.crowd.make_room_for(source)
        assert stage.crowd.was_made_by(source)
    assert not stage.crowd.was_made_by("new")
    assert not any(ended(crowd))
    stage.join("one", 11)
    assert not stage.crowd.was_made_by("one"), "most of its own talk"


async def test_whoever_was_ended_is_not_ended_again(autojump_clock: MockClock, stage: Stage) -> None:
    (newcomer,) = stage.join("one")
    await trio.sleep(SILENCE)
    assert stage.crowd.make_room_for("new")
    newcomer.clients_turn()
    await trio.sleep(SILENCE)
    assert stage.crowd.make_room_for("new")
    assert stage.crowd.silent == 0


async def test_listeners_have_crowds_of_their_own(autojump_clock: MockClock) -> None:
    crowds = Crowds()
    assert crowds["one"] is crowds["one"] is not crowds["another"]


@pytest.mark.parametrize("seed", range(5))
async def test_the_index_says_what_looking_at_all_would(autojump_clock: MockClock, stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    joined: list[tuple[ExitStack, Newcomer]] = []
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        for _ in range(1500):
            action = chance.random()
            if action < 0.4:
                context = ExitStack()
                source = f"10.0.0.{chance.randint(1, 6)}"
                newcomer = context.enter_context(stage.crowd.joined_by(source, ours, trio.CancelScope()))
                joined.append((context, newcomer))
            elif action < 0.5:
                await trio.sleep(chance.random())
            elif joined and action < 0.7:
                joined.pop(chance.randrange(len(joined)))[0].close()
            elif joined and action < 0.8:
                chance.choice(joined)[1].proxys_turn()
            elif joined and action < 0.9:
                chance.choice(joined)[1].clients_turn()
            else:
                before = [newcomer for _, newcomer in joined if newcomer.crowded_out]
                most = max((len(source.silent) for source in stage.crowd._sources.values()), default=0)
                stage.crowd.make_room_for(None)
                now = [newcomer for _, newcomer in joined if newcomer.crowded_out and newcomer not in before]
                assert len(now) <= 1
                assert all(len(newcomer.source.silent) + 1 >= most for newcomer in now)
            sources = stage.crowd._sources.values()
            assert stage.crowd.held == len(joined) == sum(source.held for source in sources)
            assert stage.crowd.silent == sum(len(source.silent) for source in sources)
            assert stage.crowd._most == max((len(source.silent) for source in sources), default=0)
        for context, _ in joined:
            context.close()
