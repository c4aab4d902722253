"""The authenticator with a second source of truth: whom it is asked about, when, and what its silence costs."""

from typing import Any

import pytest
import trio

from mcproxy.auth.principals import Principal
from mcproxy.auth.throttle import Standing, Throttle
from mcproxy.server.access import Access
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.authenticator import SILENT, THROTTLED, TOO_LATE, WRONG, Authenticator, Verdict
from mcproxy.server.second_source import Unavailable, counts
from tests.unit.auth.checking import HERE, SOON, Hash, users_of
from tests.unit.config.building import changed, settings_of

ACCEPTED = Verdict(accepted=True, known=True)


class Source:
    """`answers` by name and password; what isn't there is wrong. An exception is raised instead."""

    identity = b"second"
    seconds = 1.0

    def __init__(self, answers: dict[tuple[str, str], bool | Exception]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Standing]] = []
        self.meanwhile = lambda: None

    async def check(self, username: str, password: str, standing: Standing) -> bool:
        self.asked.append((username, password, standing))
        await trio.lowlevel.checkpoint()
        self.meanwhile()
        answer = self.answers.get((username, password), False)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def source() -> Source:
    return Source({("olga", "right"): True})


@pytest.fixture
def hashing() -> Hash:
    return Hash()


@pytest.fixture
def used() -> list[tuple[str, bytes]]:
    return []


@pytest.fixture
def throttle() -> Throttle:
    return Throttle()


@pytest.fixture
def checking(source: Source, hashing: Hash, throttle: Throttle, used: list[tuple[str, bytes]]) -> Authenticator:
    return Authenticator(
        users_of(sammy="correct"),
        LocalAttempts(throttle),
        match=hashing,
        second_source=source,
        used=lambda name, secret: used.append((name, secret)),
    )


async def check(checking: Authenticator, username: str, password: str, seconds: float = SOON) -> Verdict:
    return await checking.check(username, password, HERE, trio.current_time() + seconds)


async def test_whom_the_file_does_not_have_it_is_asked_about(
    checking: Authenticator, source: Source, hashing: Hash, used: list[tuple[str, bytes]]
) -> None:
    verdict = await check(checking, "olga", "right")
    assert verdict == ACCEPTED
    assert verdict.secret == b"second"
    assert len(hashing.asked) == 1, "the stand-in's hash comes first, as for anybody"
    assert used == [], "when a secret of the users file was last used is none of its business"
    assert await check(checking, "olga", "wrong") == Verdict(accepted=False, known=False, reason=WRONG)
    assert source.asked == [("olga", "right", Standing.NEW), ("olga", "wrong", Standing.KNOWN)]


async def test_a_success_is_not_remembered(checking: Authenticator, source: Source) -> None:
    assert (await check(checking, "olga", "right")).accepted
    source.answers = {}
    assert not (await check(checking, "olga", "right")).accepted


async def test_names_of_the_file_are_none_of_its_business(checking: Authenticator, source: Source) -> None:
    source.answers = {("sammy", "another"): True}
    assert await check(checking, "sammy", "another") == Verdict(accepted=False, known=True, reason=WRONG)
    assert await check(checking, "sammy", "correct") == ACCEPTED
    assert source.asked == []


@pytest.mark.parametrize("change", ["the name comes into the file", "the source goes", "another source comes"])
async def test_what_was_replaced_meanwhile_does_not_count(checking: Authenticator, source: Source, change: str) -> None:
    another = Source({})
    another.identity = b"another"
    source.meanwhile = {
        "the name comes into the file": lambda: checking.replace_users(users_of(olga="of her own")),
        "the source goes": lambda: checking.replace_second_source(None),
        "another source comes": lambda: checking.replace_second_source(another),
    }[change]
    assert not (await check(checking, "olga", "right")).accepted


async def test_a_proof_is_never_the_second_sources(checking: Authenticator, source: Source) -> None:
    verdict = await checking.prove("olga", None, HERE, trio.current_time() + SOON)
    assert not verdict.accepted
    assert source.asked == []


async def test_silence_refuses_and_counts_if_it_may_have_been_a_guess(
    checking: Authenticator, source: Source, throttle: Throttle
) -> None:
    source.answers = {
        ("olga", "late"): Unavailable("late", asked=True),
        ("olga", "gone"): Unavailable("gone", asked=False),
    }
    for password, number, slowed in (("gone", 20, False), ("late", 5, True)):
        for _ in range(number):
            verdict = await check(checking, "olga", password)
            assert verdict == Verdict(accepted=False, known=False, reason=SILENT)
        slot = throttle.attempt(HERE, "olga", trio.current_time(), SOON)
        assert slot.wait is not None
        assert (slot.wait > 0) is slowed
        slot.left()


async def test_its_time_is_kept_free_for_every_name_alike(checking: Authenticator) -> None:
    """An attempt whose slot leaves saslauthd less than its time takes none, whoever it is about."""
    for _ in range(5):
        await check(checking, "olga", "wrong")
    for name in ("sammy", "olga", "nobody"):
        assert (await check(checking, name, "wrong", seconds=1.5)).reason == THROTTLED


async def test_it_is_waited_for_beyond_the_time_of_a_slot(source: Source, hashing: Hash) -> None:
    asked: list[float] = []

    class Noting(LocalAttempts):
        def attempt(self, *arguments: Any) -> Any:
            asked.extend(arguments[2:])
            return super().attempt(*arguments)

    checking = Authenticator(users_of(), Noting(Throttle()), match=hashing, second_source=source)
    assert await check(checking, "olga", "right", seconds=5.0) == ACCEPTED
    assert asked == [pytest.approx(4.0, abs=0.1), pytest.approx(5.0, abs=0.1)]


async def test_what_takes_too_long_is_refused_at_the_deadline(checking: Authenticator, source: Source) -> None:
    async def hang(username: str, password: str, standing: Standing) -> bool:
        await trio.sleep_forever()
        return True

    source.check = hang  # type: ignore[method-assign]
    source.seconds = 0.1
    assert (await check(checking, "olga", "right", seconds=0.2)).reason == TOO_LATE


def test_which_secrets_count() -> None:
    users = users_of(sammy="correct")
    (secret,) = users.secrets("sammy")
    assert counts(secret, "sammy", users, b"second")
    assert counts(b"second", "olga", users, b"second")
    for wrong, name, second in (
        (b"second", "sammy", b"second"),
        (secret, "olga", b"second"),
        (b"second", "olga", b"another"),
        (b"second", "olga", None),
        (None, "olga", None),
        (None, "olga", b"second"),
        (None, "sammy", None),
    ):
        assert not counts(wrong, name, users, second)


DEFAULT = ("default_roles", ["app"])


def test_default_roles_are_for_the_users_of_the_file() -> None:
    access = Access(settings_of(changed(("saslauthd", {}), DEFAULT, ("grants", []))), users_of(sammy="correct"))
    assert access.roles_of(Principal("user", "sammy")) == {"app"}
    assert access.roles_of(Principal("user", "olga")) == set()
    assert access.roles_of(Principal("anonymous", "anonymous")) == {"app"}
