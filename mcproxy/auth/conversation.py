"""What the login conversations of both protocols have in common: steps, bounds and the count of failures.

    LISTENING --an Attempt or a Proof--> CHECKING --answer--> LISTENING
        |                                    |
        +--quit, a broken frame,             +--answer--> OVER
           a bound reached, a login that
           needs no answer--> OVER

An answer of True ends it, unless the mechanism still has something to say (SCRAM's signature); of False, if it was one
failure too many.

Nothing reaches memcached from here. Each frame gets at most one reply, and the replies of one connection are
bounded, so that somebody who has not logged in can neither use the proxy as an amplifier nor make it work for long.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Close, LoggedIn, Proof, Reply, Step

REPLY_LIMIT = 1024
"""Bytes in one reply before login."""

REPLIES_LIMIT = 8192
"""Bytes in all replies of one connection before login. A frame is only looked at while a whole reply still fits."""

DEFAULT_FAILURES = 3
"""Wrong passwords on one connection; the last one closes it."""


class State(Enum):
    LISTENING = auto()
    CHECKING = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class _Check:
    """What becomes of what is being checked: how it goes on, or the reply to a failure."""

    accepted: Callable[[], None]
    failure: bytes


class Conversation(ABC):
    """One connection's way to a login.

    Feed it only when `next` returned None, so that what it holds is bounded by one frame and one read.
    `failures` is how many wrong passwords it takes to be closed, at least 1.
    """

    def __init__(self, *, failures: int = DEFAULT_FAILURES) -> None:
        if failures < 1:
            raise ValueError("at least one failure must be allowed")
        self._buffer = bytearray()
        self._steps: deque[Step] = deque()
        self._state = State.LISTENING
        self._check: _Check | None = None
        self._failures_left = failures
        self._replied = 0

    def feed(self, data: bytes) -> None:
        """Takes what the client sent. Raises RuntimeError once the conversation is over."""
        if self._state is State.OVER:
            raise RuntimeError("this login conversation is over")
        self._buffer += data

    def next(self) -> Step | None:
        """What to do now; None when it needs more bytes, an answer, or is over and all of it was taken."""
        while not self._steps:
            if self._state is not State.LISTENING:
                return None
            if self._replied + REPLY_LIMIT > REPLIES_LIMIT:
                self._close("too many frames before login")
            elif not self._advance():
                return None
        return self._steps.popleft()

    def answer(self, accepted: bool) -> None:
        """The outcome of the Attempt or Proof that was taken last. Raises RuntimeError when there is none."""
        check = self._check
        if self._state is not State.CHECKING or check is None:
            raise RuntimeError("no attempt is waiting for an answer")
        self._check = None
        self._state = State.LISTENING
        if accepted:
            check.accepted()
        else:
            self._fail(check.failure)

    @abstractmethod
    def _advance(self) -> bool:
        """Deals with one frame at the start of the buffer; False when it needs more bytes for that."""

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    def _reply(self, data: bytes, refused: str = "") -> None:
        if len(data) > REPLY_LIMIT:
            raise ValueError(f"a reply before login may have {REPLY_LIMIT} bytes, not {len(data)}")
        self._replied += len(data)
        self._steps.append(Reply(data, refused))

    def _ask(self, question: Attempt | Proof, accepted: Callable[[], None], failure: bytes) -> None:
        """Have it decided; then `accepted` is called, or `failure` is the reply."""
        self._check = _Check(accepted, failure)
        self._state = State.CHECKING
        self._steps.append(question)

    def _log_in(self, principal: Principal, mechanism: str, reply: bytes, token: bytes | None = None) -> None:
        self._reply(reply)
        self._state = State.OVER
        self._steps.append(LoggedIn(principal, mechanism, bytes(self._buffer), token))
        self._buffer.clear()

    def _fail(self, reply: bytes, refused: str = "") -> None:
        """A login that went wrong: counted, and the last one that is allowed closes."""
        self._reply(reply, refused)
        self._failures_left -= 1
        if self._failures_left == 0:
            self._close("too many failed logins")

    def _close(self, reason: str) -> None:
        self._state = State.OVER
        self._buffer.clear()
        self._steps.append(Close(reason))
