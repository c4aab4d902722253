"""Mechanisms in which upstream proves itself too: SCRAM and DIGEST-MD5. A yes without its own proof is none.

    EMPTY   --start-----------------> STARTED
    STARTED --its challenge---------> PROVED   our proof
    PROVED  --its proof-------------> TRUSTED  an empty response; or the proof comes with the yes
    TRUSTED --the yes---------------> OVER     accepted

Each step is taken once and in this order; anything else ends the exchange.
"""

from abc import abstractmethod
from enum import Enum, auto

from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.mechanisms import OUT_OF_PLACE, TOO_SOON, ClientMechanism


class State(Enum):
    EMPTY = auto()
    STARTED = auto()
    PROVED = auto()
    TRUSTED = auto()
    OVER = auto()


class MutualMechanism(ClientMechanism):
    """Both methods that a mechanism has of its own raise LoginRefused and UpstreamConfused, which end the exchange."""

    def __init__(self) -> None:
        self._state = State.EMPTY

    def start(self) -> bytes:
        self._state = State.STARTED
        return self._first()

    def step(self, challenge: bytes) -> bytes:
        state, self._state = self._state, State.OVER
        if state is State.STARTED:
            response = self._prove(challenge)
            self._state = State.PROVED
            return response
        if state is State.PROVED:
            self._trust(challenge)
            self._state = State.TRUSTED
            return b""
        raise UpstreamConfused(OUT_OF_PLACE)

    def accepted(self, data: bytes) -> None:
        state, self._state = self._state, State.OVER
        if state is State.PROVED:
            self._trust(data)
        elif state is not State.TRUSTED:
            raise UpstreamConfused(TOO_SOON)

    @abstractmethod
    def _first(self) -> bytes:
        """The initial response."""

    @abstractmethod
    def _prove(self, challenge: bytes) -> bytes:
        """That we know the password."""

    @abstractmethod
    def _trust(self, message: bytes) -> None:
        """Takes upstream's proof that it knows it too."""
