"""Who a connection belongs to, once it is known."""

from dataclasses import dataclass
from typing import Final

KINDS: Final = frozenset({"user", "certificate", "address", "peer", "anonymous"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A typed name: user sammy and a certificate that a grant calls sammy are two principals.

    `name` is the user's name from the users file or a grant's `as`, never what a client chose freely, so it
    may stand in logs and metric labels. Raises ValueError for an unknown kind.
    """

    kind: str
    name: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of principal: {self.kind!r}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"
