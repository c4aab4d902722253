"""Checks passwords, without letting anybody make the proxy hash itself to a standstill.

In this order: the source's turn, its throttle, the memory of logins that succeeded, the hash. The throttle comes
before the memory, or the memory would answer guesses at full speed. Turns and throttle are attempts.py; they hold for
all workers together, while each has its own threads and its own memory.
Logins that are the same and under way at once share one hash, so a thousand clients that reconnect after a restart
cost one; a remembered login costs none.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier, mock_verifier
from mcproxy.server.shared import Attempt, Attempts, Undecided

THREADS: Final = 2
QUEUE: Final = 256
MEMORY_SIZE: Final = 4096
MEMORY_SECONDS: Final = 3600.0

# Why a login was refused, as a Verdict says it.
WRONG_PASSWORD: Final = "wrong password"  # noqa: S105 - a reason
UNKNOWN_USER: Final = "unknown user"
THROTTLED: Final = "too many failed logins from this address"
BUSY: Final = "too many logins are waiting to be checked"
TOO_LATE: Final = "not checked before the login deadline"
UNDECIDED: Final = "the parent process does not answer"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is for log and metrics: one of the phrases above, empty when accepted.

    `known` is whether the users file has the name; a name that it does not have must not be logged. `secret` is the
    identity of the verifier that accepted.
    """

    accepted: bool
    known: bool
    reason: str = ""
    secret: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True)
class _Hashing:
    """A hash under way, for those who wait for the same one. `matched` stays None when it was given up."""

    done: trio.Event = field(default_factory=trio.Event)
    matched: bool | None = None


class Authenticator:
    """`threads` hash at once, and `queue` different logins may wait for them; more are refused.

    A login is remembered for `memory_seconds` after its hash, `memory_size` users at most. `mock_key` makes the
    stand-ins for unknown users; it only matters that it is secret. `hash_password` is what a thread runs.
    """

    def __init__(
        self,
        users: Users,
        attempts: Attempts,
        *,
        threads: int = THREADS,
        queue: int = QUEUE,
        memory_size: int = MEMORY_SIZE,
        memory_seconds: float = MEMORY_SECONDS,
        mock_key: bytes | None = None,
        hash_password: Callable[[Verifier, str], bool] = Verifier.matches,
    ) -> None:
        self._users = users
        self._attempts = attempts
        self._limiter = trio.CapacityLimiter(threads)
        self._most_hashing = threads + queue
        self._hash_password = hash_password
        self._mock_key = secrets.token_bytes(32) if mock_key is None else mock_key
        self._memory_key = secrets.token_bytes(32)
        self._memory_size = memory_size
        self._memory_seconds = memory_seconds
        self._memory: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._hashing: dict[bytes, _Hashing] = {}
        self.hashes = 0
        """Passwords hashed since the start."""

    def knows(self, username: str) -> bool:
        """Whether the users file has the name."""
        return username in self._users

    def replace_users(self, users: Users) -> None:
        """From now on only these may log in. What is remembered of others is void.

        So is what is remembered of changed passwords: the verifier is part of what is compared.
        """
        self._users = users
        self._memory = OrderedDict((name, entry) for name, entry in self._memory.items() if name in users)

    async def check(self, username: str, password: str, source: str, deadline: float) -> Verdict:
        """Whether this is the user's password. `source` is an address, or `unix:<uid>`.

        `deadline` is in seconds of trio's clock; what is not decided by then is refused. Unknown users cost what
        known ones do.
        """
        try:
            with trio.move_on_at(deadline):
                async with self._attempts.attempt(source, deadline - trio.current_time()) as attempt:
                    if attempt.wait is None:
                        return self._refused(username, THROTTLED)
                    if attempt.wait > 0:
                        await trio.sleep(attempt.wait)
                    return await self._decide(username, password, attempt)
        except Undecided:
            return self._refused(username, UNDECIDED)
        return self._refused(username, TOO_LATE)

    async def _decide(self, username: str, password: str, attempt: Attempt) -> Verdict:
        users = self._users
        # Made for known users as well: the same steps for everybody.
        mock = mock_verifier(username, self._mock_key, iterations=users.usual_iterations)
        verifier = users.password_verifier(username)
        fingerprint = self._fingerprint(username, password, verifier or mock)
        matched = verifier is not None and self._remembers(username, fingerprint)
        if not matched:
            shared = await self._hash(fingerprint, verifier or mock, password)
            if shared is None:
                return self._refused(username, BUSY)
            # Users may have been replaced meanwhile: what was checked must be what counts now.
            matched = shared and verifier is not None and self._users.password_verifier(username) == verifier
            if matched:
                self._remember(username, fingerprint)
        if not matched:
            await attempt.failed()
            return self._refused(username, WRONG_PASSWORD if username in self._users else UNKNOWN_USER)
        attempt.succeeded()
        return Verdict(accepted=True, known=True, secret=verifier.identity if verifier else None)

    async def _hash(self, fingerprint: bytes, verifier: Verifier, password: str) -> bool | None:
        """Whether the password matches; None when too many others are waiting."""
        while (under_way := self._hashing.get(fingerprint)) is not None:
            await under_way.done.wait()
            if under_way.matched is not None:
                return under_way.matched
            # Whoever hashed it went away while waiting for a thread: somebody else has to.
        if len(self._hashing) >= self._most_hashing:
            return None
        hashing = self._hashing[fingerprint] = _Hashing()
        try:
            hashing.matched = await trio.to_thread.run_sync(
                self._hash_password, verifier, password, limiter=self._limiter
            )
            self.hashes += 1
        finally:
            del self._hashing[fingerprint]
            hashing.done.set()
        return hashing.matched

    def _fingerprint(self, username: str, password: str, verifier: Verifier) -> bytes:
        """Under a key that lives and dies with this process; the parts' lengths keep them apart."""
        parts = (username.encode(errors="surrogatepass"), verifier.identity, password.encode(errors="surrogatepass"))
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._memory_key, message, "sha256")

    def _remembers(self, username: str, fingerprint: bytes) -> bool:
        remembered, expires = self._memory.get(username, (b"", 0.0))
        if not hmac.compare_digest(remembered, fingerprint) or trio.current_time() >= expires:
            return False
        self._memory.move_to_end(username)
        return True

    def _remember(self, username: str, fingerprint: bytes) -> None:
        self._memory[username] = (fingerprint, trio.current_time() + self._memory_seconds)
        self._memory.move_to_end(username)
        if len(self._memory) > self._memory_size:
            self._memory.popitem(last=False)

    def _refused(self, username: str, reason: str) -> Verdict:
        return Verdict(accepted=False, known=username in self._users, reason=reason)
