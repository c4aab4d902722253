"""Who we are towards an upstream."""

from dataclasses import dataclass, field

from mcproxy.auth.upstream.salting import SaltedPassword


@dataclass(frozen=True, slots=True)
class Credentials:
    """`mechanism` is SASL's, None for the token of the text protocol. `password` is empty for EXTERNAL.

    `salted` is what SCRAM made of it last.
    """

    mechanism: str | None
    username: str
    password: str = field(repr=False)
    salted: SaltedPassword = field(default_factory=SaltedPassword, repr=False, compare=False)
