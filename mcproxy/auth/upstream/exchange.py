"""What all logins to an upstream have in common: one message at a time, each answered once, and all of it bounded.

    NEW --start--> ASKED --receive, a whole answer--> ASKED  (the next message goes up)
                     |                           +--> DONE
                     +--anything unexpected--> OVER

The mechanisms bound how many messages there are. Upstream speaks only when it was asked, so bytes behind an answer are
refused: once logged in they would be taken for replies to somebody's request.
"""

from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import Final

from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.mechanisms import ClientMechanism

DATA_LIMIT: Final = 2048
"""Bytes of data in one answer: the most that RFC 2831 section 2.1.1 allows a challenge. SCRAM's are shorter."""

ANSWER_LIMIT: Final = 4096
"""Bytes of one answer with all that frames it."""

OUT_OF_TURN: Final = "it sends something that nobody asked for"


class State(Enum):
    NEW = auto()
    ASKED = auto()
    DONE = auto()
    OVER = auto()


class UpstreamLogin(ABC):
    """One link's login. `receive` may take a second of processor time (SCRAM): call it in a thread."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._state = State.NEW

    @property
    def done(self) -> bool:
        """Whether upstream took the login, and proved itself where the mechanism has that."""
        return self._state is State.DONE

    def start(self) -> bytes:
        """The first bytes to send. Raises RuntimeError when it was called before."""
        if self._state is not State.NEW:
            raise RuntimeError("this login has begun already")
        self._state = State.ASKED
        return self._first()

    def receive(self, data: bytes) -> bytes:
        """Takes what came and gives what to send next; nothing when more must come first, or when it is `done`.

        Raises LoginRefused and UpstreamConfused; either ends the login, and the link has to be closed.
        """
        state, self._state = self._state, State.OVER
        if state is not State.ASKED:
            raise UpstreamConfused(OUT_OF_TURN)
        if len(self._buffer) + len(data) > ANSWER_LIMIT:
            raise UpstreamConfused("its answer to the login is too long")
        self._buffer += data
        message = self._advance()
        if message is None:
            self._state = State.ASKED
            return b""
        if self._buffer:
            raise UpstreamConfused("it sends more than its answer to the login")
        if not message:
            self._state = State.DONE
            return b""
        self._state = State.ASKED
        return message

    @abstractmethod
    def _first(self) -> bytes:
        """The first message, framed."""

    @abstractmethod
    def _advance(self) -> bytes | None:
        """Takes one whole answer from the buffer and gives the next message, framed.

        None when more bytes must come first; nothing (b"") when the login is done.
        """

    def _take(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken


class SaslLogin(UpstreamLogin):
    """A login by one SASL mechanism, however it is framed."""

    def __init__(self, mechanism: ClientMechanism) -> None:
        super().__init__()
        self._mechanism = mechanism

    def _challenged(self, challenge: bytes) -> bytes:
        """Upstream wants more."""
        return self._mechanism.step(challenge)

    def _accepted(self, data: bytes) -> bytes:
        """Upstream says that we are in; what came with it may be its proof."""
        self._mechanism.accepted(data)
        return b""
