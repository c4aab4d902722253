"""What one connection may log in with: of the configured mechanisms, those that can work on it.

A mechanism that isn't offered isn't listed and can't be begun. What is offered depends on the listener's configuration,
on how the connection is protected and on the certificate that the client has shown; so each connection has its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from mcproxy.auth import external, plain
from mcproxy.auth.external import External
from mcproxy.auth.mechanisms import Mechanism
from mcproxy.auth.plain import Plain
from mcproxy.auth.principals import Principal
from mcproxy.auth.scram import PLUS, Lookup, Scram, random_nonce

MECHANISMS: Final = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
    "SCRAM-SHA-1",
    plain.NAME,
    external.NAME,
)
"""Every mechanism there is, by its registered name."""

NAME_LIMIT: Final = 32
"""Bytes of a mechanism's name; memcached's own bound (RFC 4422 section 3.1 would have 20)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What a login goes by beside the client's bytes.

    `clear_passwords`: whether a password may be sent over it as it is. `binding` is tls-server-end-point of the
    certificate that was served on it (RFC 5929 section 4), None if there is none. `certificate` is who the client's
    verified certificate is by the grants.
    """

    clear_passwords: bool
    binding: bytes | None = field(default=None, repr=False)
    certificate: Principal | None = None


class Offer:
    """`configured` are the listener's mechanisms, in the order to list them. Raises ValueError for an unknown one.

    `lookup` gives SCRAM its verifiers; `make_nonce` its part of the nonce, which only tests fix.
    """

    def __init__(
        self,
        configured: Sequence[str],
        channel: Channel,
        lookup: Lookup,
        *,
        make_nonce: Callable[[], str] = random_nonce,
    ) -> None:
        unknown = [name for name in configured if name not in MECHANISMS]
        if unknown:
            raise ValueError(f"unknown SASL mechanisms: {', '.join(unknown)}")
        self.channel = channel
        self._lookup = lookup
        self._make_nonce = make_nonce
        self.names = tuple(name for name in configured if _works_on(name, channel))
        self.listed = " ".join(self.names).encode()
        """The names as the protocols list them; empty if nobody can log in with SASL here."""

    def begin(self, name: bytes) -> Mechanism | None:
        """A new exchange; None if that isn't offered. Upper and lower case don't matter, as to memcached."""
        wanted = name.upper().decode("ascii", "replace")
        if wanted not in self.names:
            return None
        if wanted == plain.NAME:
            return Plain()
        if wanted == external.NAME:
            # Offered only where there is one.
            return None if self.channel.certificate is None else External(self.channel.certificate)
        return Scram(
            wanted,
            self._lookup,
            binding=self.channel.binding if wanted.endswith(PLUS) else None,
            plus_offered=any(offered.endswith(PLUS) for offered in self.names),
            make_nonce=self._make_nonce,
        )


def _works_on(name: str, channel: Channel) -> bool:
    if name == plain.NAME:
        return channel.clear_passwords
    if name == external.NAME:
        return channel.certificate is not None
    return not name.endswith(PLUS) or bool(channel.binding)
