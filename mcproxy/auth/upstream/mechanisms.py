"""SASL mechanisms (RFC 4422), the client's side.

`start` gives the initial response, nothing where upstream speaks first; `step` answers a challenge; `accepted` gets
what came with upstream's yes and raises UpstreamConfused when it came too soon: before we proved who we are, or before
upstream did, where the mechanism has that. Each message is taken once and in its place, so upstream can't keep us busy.
"""

from abc import ABC, abstractmethod
from typing import Final

TOO_SOON: Final = "it accepts a login that is not complete"
OUT_OF_PLACE: Final = "it asks for more than this login has"


class ClientMechanism(ABC):
    name: str
    """As it is registered."""

    @abstractmethod
    def start(self) -> bytes: ...

    @abstractmethod
    def step(self, challenge: bytes) -> bytes: ...

    @abstractmethod
    def accepted(self, data: bytes) -> None: ...
