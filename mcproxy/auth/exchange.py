"""SASL exchanges within a login conversation, the same in both protocols but for how things are said."""

from typing import Protocol

from mcproxy.auth.conversation import DEFAULT_FAILURES, Conversation
from mcproxy.auth.mechanisms import Challenge, Failure, Mechanism, Outcome, Success
from mcproxy.auth.offer import Offer
from mcproxy.auth.steps import Attempt, Proof


class Answers(Protocol):
    """How a protocol answers one of the client's messages."""

    def challenge(self, data: bytes) -> bytes: ...

    def success(self) -> bytes: ...

    def failure(self) -> bytes: ...


class SaslConversation(Conversation):
    """One exchange at a time. Whatever begins another, or goes wrong, ends the one before."""

    def __init__(self, offer: Offer, *, failures: int = DEFAULT_FAILURES) -> None:
        super().__init__(failures=failures)
        self._offer = offer
        self._started: Mechanism | None = None

    def _begin(self, answers: Answers, name: bytes, response: bytes) -> None:
        """The client begins an exchange."""
        self._started = None
        mechanism = self._offer.begin(name)
        if mechanism is None:
            self._reply(answers.failure(), "a mechanism that is not offered")
        else:
            # The frames can't tell an empty initial response from none; memcached takes it for none.
            self._continue(answers, mechanism, mechanism.start(response or None))

    def _go_on(self, answers: Answers, response: bytes, name: bytes | None = None) -> None:
        """The client's next message; `name` is the mechanism that it names again, if it does."""
        mechanism, self._started = self._started, None
        if mechanism is None:
            self._reply(answers.failure(), "a step of no exchange")
        elif name is not None and name.upper() != mechanism.name.encode():
            self._reply(answers.failure(), "a step of another mechanism")
        else:
            self._continue(answers, mechanism, mechanism.step(response))

    def _continue(self, answers: Answers, mechanism: Mechanism, outcome: Outcome) -> None:
        match outcome:
            case Challenge(data):
                self._started = mechanism
                self._reply(answers.challenge(data))
            case Attempt() | Proof():
                self._ask(
                    outcome,
                    accepted=lambda: self._continue(answers, mechanism, mechanism.accepted()),
                    failure=answers.failure(),
                )
            case Success(principal):
                self._log_in(principal, mechanism.name, answers.success())
            case Failure(reason):
                self._fail(answers.failure(), reason)
