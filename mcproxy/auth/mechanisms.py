"""SASL mechanisms (RFC 4422) as the binary login sees them, and the registry of those that exist.

A mechanism holds the state of one exchange. `start` gets the client's initial response, None when AUTH carried
none; `step` gets each later response. Both say what comes next:

    Challenge   send this and wait for a step
    Attempt     have this password checked
    Success     the mechanism itself knows who it is
    Failure     refused, with a reason for the log

SCRAM and EXTERNAL join by an entry in a registry; what they need (users, a certificate) is bound into the factory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from mcproxy.auth import plain
from mcproxy.auth.credentials import Malformed
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt


@dataclass(frozen=True, slots=True)
class Challenge:
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Success:
    principal: Principal


@dataclass(frozen=True, slots=True)
class Failure:
    reason: str


Outcome = Challenge | Attempt | Success | Failure


class Mechanism(Protocol):
    def start(self, response: bytes | None) -> Outcome: ...

    def step(self, response: bytes) -> Outcome: ...


Registry = Mapping[str, Callable[[], Mechanism]]


class Plain:
    """RFC 4616. The client speaks first; without an initial response it is asked for it with an empty challenge."""

    def start(self, response: bytes | None) -> Outcome:
        return Challenge(b"") if response is None else self.step(response)

    def step(self, response: bytes) -> Outcome:
        parsed = plain.parse(response)
        if isinstance(parsed, Malformed):
            return Failure(parsed.reason)
        return Attempt(parsed.username, parsed.password, "PLAIN")


MECHANISMS: Final[Registry] = MappingProxyType({"PLAIN": Plain})
"""Every mechanism by its registered name, in capitals."""
