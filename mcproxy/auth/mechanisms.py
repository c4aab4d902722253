"""SASL mechanisms (RFC 4422) as a login conversation sees them.

A mechanism holds the state of one exchange. `start` gets the client's initial response, None when there was none;
`step` gets each later response; `accepted` is called when the Attempt or the Proof that it asked for was accepted, and
only then. Each says what comes next:

    Challenge   send this and wait for a step
    Attempt     have this password checked
    Proof       have it decided whether this proof counts
    Success     this is who it is
    Failure     refused, with a reason for the log that holds no input

After a Success, a Failure, or an Attempt or Proof that was not accepted, the exchange is over.
"""

from dataclasses import dataclass, field
from typing import Protocol

from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt, Proof


@dataclass(frozen=True, slots=True)
class Challenge:
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    principal: Principal


@dataclass(frozen=True, slots=True)
class Failure:
    reason: str


Outcome = Challenge | Attempt | Proof | Success | Failure


class Mechanism(Protocol):
    name: str
    """As it is registered, in capitals."""

    def start(self, response: bytes | None) -> Outcome: ...

    def step(self, response: bytes) -> Outcome: ...

    def accepted(self) -> Outcome: ...


OUT_OF_PLACE = Failure("a message out of place")
