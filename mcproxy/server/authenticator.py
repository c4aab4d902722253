"""Checks secrets, without letting anybody make the proxy hash itself to a standstill or find out who exists.

In this order: a turn, the throttle, the memory of logins that succeeded, the hash. The throttle comes before the
memory, or the memory would answer guesses at full speed. Turns and throttle are attempts.py; they hold for all workers
together, while each has its own threads and its own memory. A remembered login costs no hash.

Whoever is unknown goes the same way as whoever is known, with the stand-in verifier that Users makes for him, and only
at the end it is looked at whether what matched is a secret of somebody.
"""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from mcproxy.auth.preparation import PreparationError, prepare
from mcproxy.auth.throttle import Standing
from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import matching
from mcproxy.server.hashing import QUEUE, THREADS, Busy, Hashing, Matching
from mcproxy.server.second_source import SecondSource, Unavailable, counts
from mcproxy.server.shared import NAME_LENGTH, Attempts, Undecided

MEMORY_SIZE: Final = 4096
MEMORY_SECONDS: Final = 3600.0

# Why a login was refused, as a Verdict says it. One phrase for unknown users and wrong secrets: lines of the log are
# limited by their reason, and whether a line is written takes time.
WRONG: Final = "wrong user name or password"
THROTTLED: Final = "too many failed logins"
BUSY: Final = "too many logins are waiting to be checked"
TOO_LATE: Final = "not checked before the login deadline"
UNDECIDED: Final = "the parent process does not answer"
SILENT: Final = "saslauthd does not answer"


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


Judge = Callable[[Standing], Awaitable[bytes | None]]
"""Finds out which secret was shown: the identity of its verifier, None for a wrong one. Raises Busy."""


def _not_noted(username: str, secret: bytes) -> None:
    """Where nobody wants to know what was used."""


class Authenticator:
    """`threads` hash at once, and `queue` different logins may wait for them; more are refused.

    A login is remembered for `memory_seconds` after its hash, `memory_size` of them at most. `used` is told the name
    and the secret's identity of every login that succeeds; it must not wait. `match` is what a thread runs.
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
        used: Callable[[str, bytes], None] = _not_noted,
        match: Matching = matching,
        second_source: SecondSource | None = None,
    ) -> None:
        self._users = users
        self._attempts = attempts
        self._hashing = Hashing(match, threads, queue)
        self._used = used
        self._second_source = second_source
        self._memory_key = secrets.token_bytes(32)
        self._memory_size = memory_size
        self._memory_seconds = memory_seconds
        self._memory: OrderedDict[tuple[str, bytes], tuple[bytes, float]] = OrderedDict()

    @property
    def hashes(self) -> int:
        """Passwords hashed since the start."""
        return self._hashing.hashes

    def replace_users(self, users: Users) -> None:
        """From now on only these may log in, by their present secrets: what is remembered of others is forgotten."""
        self._users = users
        for name, secret in list(self._memory):
            if secret not in users.secrets(name):
                del self._memory[name, secret]

    def replace_second_source(self, second_source: SecondSource | None) -> None:
        """From now on only this one is believed about names that the users file doesn't have."""
        self._second_source = second_source

    async def check(self, username: str, password: str, source: str, deadline: float) -> Verdict:
        """Whether this is the user's password. `source` is an address, or `unix:<uid>`.

        `deadline` is in seconds of trio's clock; what is not decided by then is refused. Unknown users cost what
        known ones do.
        """
        return await self._attempt(username, source, deadline, partial(self._judge_password, username, password))

    async def prove(self, username: str, secret: bytes | None, source: str, deadline: float) -> Verdict:
        """Whether a proof that was computed already is to be accepted, as `check` has it for a password.

        `secret` is the identity of the verifier that it was right for, None for a wrong proof. A right one waits, and
        is refused, like a right password.
        """

        async def judge(_: Standing) -> bytes | None:
            return secret

        return await self._attempt(username, source, deadline, judge)

    async def _attempt(self, username: str, source: str, deadline: float, judge: Judge) -> Verdict:
        """Wait for a turn and a slot, judge, and count what came of it."""
        try:
            with trio.move_on_at(deadline):
                # What saslauthd is asked for is given its whole time; for known names too, or time told them apart.
                reserved = 0.0 if self._second_source is None else self._second_source.seconds
                seconds = deadline - trio.current_time()
                name = username[:NAME_LENGTH]
                async with self._attempts.attempt(source, name, seconds - reserved, seconds) as attempt:
                    if attempt.wait is None:
                        return self._refused(username, THROTTLED)
                    if attempt.wait > 0:
                        await trio.sleep(attempt.wait)
                    try:
                        secret = await judge(attempt.standing)
                    except Unavailable as failure:
                        if failure.asked:
                            await attempt.failed()
                        return self._refused(username, SILENT)
                    # Users may have been replaced meanwhile: what was shown must be what counts now.
                    if secret is None or not self._counts(username, secret):
                        await attempt.failed()
                        return self._refused(username, WRONG)
                    attempt.succeeded()
                    if username in self._users:
                        self._used(username, secret)
                    return Verdict(accepted=True, known=True, secret=secret)
        except Busy:
            return self._refused(username, BUSY)
        except Undecided:
            return self._refused(username, UNDECIDED)
        return self._refused(username, TOO_LATE)

    async def _judge_password(self, username: str, password: str, standing: Standing) -> bytes | None:
        verifiers = self._users.password_verifiers_or_stand_in(username)
        identities = [verifier.identity for verifier in verifiers]
        fingerprint = self._fingerprint(username, password, identities)
        remembered = self._remembered(username, fingerprint, identities)
        if remembered is not None:
            return remembered
        matched = await self._hashing.matching(fingerprint, verifiers, password, standing, username)
        if matched is None:
            return await self._ask_second_source(username, password, standing)
        # Users may have been replaced since, and a stand-in is nobody's secret.
        if matched.identity in self._users.secrets(username):
            self._remember(username, fingerprint, matched.identity)
        return matched.identity

    async def _ask_second_source(self, username: str, password: str, standing: Standing) -> bytes | None:
        """As a Judge, about names that the users file doesn't have. The stand-in was hashed before, as for everybody.

        What it said is not remembered: an account that was closed there must not live on here. Raises Unavailable.
        """
        asked = self._second_source
        if asked is None or username in self._users:
            return None
        return asked.identity if await asked.check(username, password, standing) else None

    def _counts(self, username: str, secret: bytes) -> bool:
        return counts(secret, username, self._users, self._second_source.identity if self._second_source else None)

    def _fingerprint(self, username: str, password: str, identities: list[bytes]) -> bytes:
        """Under a key that lives and dies with this process; the parts' lengths keep them apart.

        Of the password as it is hashed: one has thousands of spellings, and each would cost a hash.
        """
        parts = (username.encode(errors="surrogatepass"), _prepared(password), *identities)
        message = b"".join(len(part).to_bytes(4) + part for part in parts)
        return hmac.digest(self._memory_key, message, "sha256")

    def _remembered(self, username: str, fingerprint: bytes, identities: list[bytes]) -> bytes | None:
        """The secret that this login was accepted by before, if it is remembered."""
        for identity in identities:
            remembered, expires = self._memory.get((username, identity), (b"", 0.0))
            if hmac.compare_digest(remembered, fingerprint) and trio.current_time() < expires:
                self._memory.move_to_end((username, identity))
                return identity
        return None

    def _remember(self, username: str, fingerprint: bytes, secret: bytes) -> None:
        self._memory[username, secret] = (fingerprint, trio.current_time() + self._memory_seconds)
        self._memory.move_to_end((username, secret))
        if len(self._memory) > self._memory_size:
            self._memory.popitem(last=False)

    def _refused(self, username: str, reason: str) -> Verdict:
        return Verdict(accepted=False, known=username in self._users, reason=reason)


def _prepared(password: str) -> bytes:
    """What is hashed; what SASLprep refuses, which matches nothing, as it came."""
    try:
        return prepare(password).encode()
    except PreparationError:
        return b"\xff" + password.encode(errors="surrogatepass")
