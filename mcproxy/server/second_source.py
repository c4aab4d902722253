"""A second source of truth about passwords: who is asked about names that the users file doesn't have."""

from typing import Protocol

from mcproxy.auth.throttle import Standing
from mcproxy.auth.users import Users


class Unavailable(Exception):
    """Whoever would know gives no answer. Its text is why, in words of the program's own.

    `asked`: the question was handed over, and the answer didn't come in its time. Back ends such as PAM answer wrong
    passwords late on purpose, so that is no better than a wrong one: a guess must not be free.
    """

    def __init__(self, reason: str, *, asked: bool) -> None:
        super().__init__(reason)
        self.asked = asked


class SecondSource(Protocol):
    """`identity` stands for it where a user of the users file has the identity of a verifier; it isn't secret."""

    @property
    def identity(self) -> bytes:
        """The same for as long as the same authority is asked in the same way."""

    @property
    def seconds(self) -> float:
        """How long a question may take."""

    async def check(self, username: str, password: str, standing: Standing) -> bool:
        """Whether this is the user's password now. Raises Unavailable."""


def counts(secret: bytes | None, username: str, users: Users, second_source: bytes | None) -> bool:
    """Whether the secret that somebody logged in with makes him this user. `second_source` is its identity.

    A name that the users file has is decided by the file alone.
    """
    if username in users:
        return secret in users.secrets(username)
    return secret is not None and secret == second_source
