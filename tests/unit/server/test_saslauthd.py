"""Asking saslauthd: bounded in time and number, shared and never remembered. Its real self is in tests/integration;
here it is one that does what the real one can't be made to do.
"""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from mcproxy.auth.throttle import Standing
from mcproxy.config.schema import Saslauthd as Settings
from mcproxy.server.saslauthd import Saslauthd
from mcproxy.server.second_source import Unavailable
from tests.support.fake_saslauthd import FakeSaslauthd as Fake

OK, NO = b"\0\2OK", b"\0\2NO"
TIMEOUT, WRITTEN = 0.2, "200ms"


@pytest.fixture
async def fake(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Fake]:
    daemon = Fake(tmp_path / "mux")
    await daemon.listen()
    nursery.start_soon(daemon.serve)
    yield daemon
    daemon.close()


@pytest.fixture
def asking(fake: Fake) -> Saslauthd:
    return Saslauthd(Settings(socket=fake.path, timeout=WRITTEN), at_once=2, queue=3)


async def ask(asking: Saslauthd, password: str = "secret", standing: Standing = Standing.NEW) -> bool | str:
    """Whether it was accepted, or why nobody knows."""
    try:
        return await asking.check("olga", password, standing)
    except Unavailable as failure:
        return f"{failure}{' (asked)' if failure.asked else ''}"


@pytest.mark.parametrize(
    ("pieces", "result"),
    [
        ([OK], True),
        ([b"\0", b"\2O", b"K"], True),
        ([NO], False),
        ([b"\0\2N", b"O"], False),
        ([b"\0\7OKAY OK"], "an answer that saslauthd doesn't give (asked)"),
        ([b"\0\2O"], "an answer that saslauthd doesn't give (asked)"),
        ([], "an answer that saslauthd doesn't give (asked)"),
        ([OK + OK], "an answer that saslauthd doesn't give (asked)"),
        ([b"\0\x0aNO [ALERT]"], "it can't ask whoever it asks (asked)"),
    ],
)
async def test_only_an_ok_is_one(fake: Fake, asking: Saslauthd, pieces: list[bytes], result: bool | str) -> None:
    fake.behaviour = fake.says(*pieces)
    assert await ask(asking) == result
    assert fake.questions == 1


async def test_silence_ends_with_the_time_out(fake: Fake, asking: Saslauthd) -> None:
    fake.behaviour = fake.is_silent
    began = trio.current_time()
    assert await ask(asking) == "no answer in time (asked)"
    assert TIMEOUT <= trio.current_time() - began < TIMEOUT + 1
    fake.behaviour = fake.accepts
    assert await ask(asking) is True, "it is asked again"


async def test_nobody_there(tmp_path: Path) -> None:
    gone = Saslauthd(Settings(socket=tmp_path / "nothing", timeout=WRITTEN))
    assert await ask(gone) == "No such file or directory"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "mux"))
    assert await ask(Saslauthd(Settings(socket=tmp_path / "mux", timeout=WRITTEN))) == "Connection refused"


async def test_a_full_queue_of_its_socket_is_waited_for(tmp_path: Path) -> None:
    """connect(2) on a unix socket: EAGAIN, and no event when there is room."""
    daemon = Fake(tmp_path / "mux", backlog=0)
    await daemon.listen()
    full = socket.socket(socket.AF_UNIX)
    full.connect(str(daemon.path))
    asking = Saslauthd(Settings(socket=daemon.path, timeout=WRITTEN))
    assert await ask(asking) == "no answer in time", "it wasn't handed over, so it isn't a guess"
    async with trio.open_nursery() as nursery:
        answers: list[bool | str] = []

        async def note() -> None:
            answers.append(await ask(asking))
            nursery.cancel_scope.cancel()

        nursery.start_soon(note)
        await trio.testing.wait_all_tasks_blocked(0.005)
        full.close()
        nursery.start_soon(daemon.serve)
    assert answers == [True]
    daemon.close()


async def test_equal_questions_share_one_and_are_forgotten(
    fake: Fake, asking: Saslauthd, nursery: trio.Nursery
) -> None:
    fake.behaviour = fake.accepts_later
    answers: list[bool | str] = []

    async def note() -> None:
        answers.append(await ask(asking))

    for _ in range(20):
        nursery.start_soon(note)
    await trio.testing.wait_all_tasks_blocked(0.01)
    fake.release.set()
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert answers == [True] * 20
    assert fake.questions == 1
    fake.behaviour = fake.says(NO)
    assert await ask(asking) is False, "what was right a moment ago is asked again"


async def test_who_shares_with_somebody_that_leaves_asks_himself(fake: Fake, asking: Saslauthd) -> None:
    fake.behaviour = fake.accepts_later
    answers: list[bool | str] = []

    async def note() -> None:
        answers.append(await ask(asking))

    async with trio.open_nursery() as others:
        async with trio.open_nursery() as first:
            first.start_soon(note)
            await trio.testing.wait_all_tasks_blocked(0.01)
            others.start_soon(note)
            await trio.testing.wait_all_tasks_blocked(0.01)
            first.cancel_scope.cancel()
        assert answers == []
        fake.release.set()
    assert answers == [True]


async def test_few_at_once_and_a_bounded_number_waits(fake: Fake, asking: Saslauthd, nursery: trio.Nursery) -> None:
    fake.behaviour = fake.accepts_later
    answers: list[bool | str] = []

    async def note(number: int) -> None:
        answers.append(await ask(asking, f"secret {number}"))

    for number in range(9):
        nursery.start_soon(note, number)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert answers == ["too many questions are waiting"] * 4
    fake.release.set()
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert answers[4:] == [True] * 5
    assert fake.most_at_once == 2


async def test_those_who_wait_give_up_together_when_nobody_is_answered(
    fake: Fake, asking: Saslauthd, nursery: trio.Nursery
) -> None:
    fake.behaviour = fake.is_silent
    began = trio.current_time()
    answers: list[bool | str] = []
    async with trio.open_nursery() as all_of_them:
        for number in range(5):

            async def note(number: int = number) -> None:
                answers.append(await ask(asking, f"secret {number}"))

            all_of_them.start_soon(note)
    assert trio.current_time() - began < 2 * TIMEOUT + 0.5
    assert set(answers) <= {"no answer in time (asked)", "no turn in time"}


async def test_whoever_waits_goes_on_waiting_while_others_are_answered(
    fake: Fake, asking: Saslauthd, nursery: trio.Nursery
) -> None:
    """Longer than the time-out of one: what is slow is the number, not saslauthd."""

    async def slowly(stream: trio.SocketStream) -> None:
        await fake.question(stream)
        await trio.sleep(0.6 * TIMEOUT)
        await stream.send_all(OK)

    fake.behaviour = slowly
    answers: list[bool | str] = []
    async with trio.open_nursery() as all_of_them:
        for number in range(5):

            async def note(number: int = number) -> None:
                answers.append(await ask(asking, f"secret {number}"))

            all_of_them.start_soon(note)
    assert answers == [True] * 5


async def test_who_has_logged_in_before_does_not_wait_behind_strangers(
    fake: Fake, asking: Saslauthd, nursery: trio.Nursery
) -> None:
    fake.behaviour = fake.accepts_later
    for number in range(5):
        nursery.start_soon(ask, asking, f"guess {number}")
    await trio.testing.wait_all_tasks_blocked(0.01)
    fake.behaviour = fake.accepts
    assert await ask(asking, standing=Standing.KNOWN) is True
    fake.release.set()


async def test_sources_that_failed_leave_room_for_those_that_did_not(
    fake: Fake, asking: Saslauthd, nursery: trio.Nursery
) -> None:
    fake.behaviour = fake.accepts_later
    for number in range(4):
        nursery.start_soon(ask, asking, f"guess {number}", Standing.FAILED)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert fake.at_once == 1
    answers: list[bool | str] = []

    async def note(number: int) -> None:
        answers.append(await ask(asking, f"secret {number}"))

    for number in range(3):
        nursery.start_soon(note, number)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert fake.at_once == 2
    fake.release.set()
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert answers == [True] * 3


async def test_a_question_that_would_be_cut_short_is_not_asked(fake: Fake, asking: Saslauthd) -> None:
    """Or a guesser left too little time for the late answer to a wrong password, and no guess of his would count."""
    with trio.move_on_after(0.9 * TIMEOUT):
        assert await ask(asking) == "no turn in time"
    assert fake.questions == 0
    with trio.move_on_after(10 * TIMEOUT):
        assert await ask(asking) is True


@pytest.mark.parametrize("name", ["", "a b", "a:b", "#a", "a\0b", "A" * 129, "\u00aa"])
async def test_names_that_nobody_can_have_are_not_asked_about(fake: Fake, asking: Saslauthd, name: str) -> None:
    assert await asking.check(name, "secret", Standing.NEW) is False
    assert fake.questions == 0


async def test_it_is_another_when_another_is_asked() -> None:
    given = [{}, {"socket": "/run/other"}, {"service": "imap"}, {"realm": "example.org"}, {"timeout": "3s"}]
    found = [Saslauthd(Settings.model_validate(more)).identity for more in given]
    assert len(set(found)) == 4
    assert found[0] == found[4]
