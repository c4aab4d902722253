"""Who we are towards an upstream."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """`mechanism` is SASL's, None for the token of the text protocol. `password` is empty for EXTERNAL."""

    mechanism: str | None
    username: str
    password: str = field(repr=False)
