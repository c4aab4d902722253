"""What a client was let in on, and whether that still holds once the files have changed."""

import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mcproxy.auth.offer import MECHANISMS
from mcproxy.auth.principals import Principal
from mcproxy.policy.allowlist import canonical_address
from mcproxy.relay.secured import Connection, Secured
from mcproxy.server.saslauthd import identity_of
from mcproxy.server.second_source import counts
from mcproxy.server.state import Generation, ListenerState
from mcproxy.server.trust import Trust, trust_objection

# What sends the password itself.
_CLEAR = ("PLAIN", "token")
_WIRE_LIMITS = ("value", "keys", "line", "tokens", "overlong_key")
_LISTENER_RULES = ("overlong_keys", "pipelining")


@dataclass(slots=True)
class Basis:
    """Of one connection. `address` is its canonical source, None for a unix socket; `via` the balancer that told it.

    Known later: `trust`, what its certificate's verification rested on; `principal`; `by`, the mechanism, `token`, or
    the kind of a principal whom the connection itself shows; `secret`, the identity of the verifier that a login was
    checked against; `protocol`.
    """

    listener: str
    connection: Connection
    address: str | None
    via: str | None = None
    trust: Trust | None = None
    principal: Principal | None = None
    by: str = ""
    secret: bytes | None = field(default=None, repr=False)
    protocol: str | None = None


def objection(basis: Basis, generation: Generation) -> str | None:
    """Why the client would not have come to what it is under this generation, or None. Raises OSError."""
    return way_objection(basis, generation) or _principal_objection(basis, generation)


def way_objection(basis: Basis, generation: Generation) -> str | None:
    """As objection, whoever it is and whatever secret it has shown: of where it comes from, how it is connected and the
    way by which it logs in. Raises OSError."""
    listener = generation.listeners[basis.listener]
    if basis.via is not None and not listener.balancers.admits(basis.via):
        return "came by a balancer that is not listed any more"
    if basis.address is not None and not listener.allowlist.admits(basis.address):
        return "not on the allowlist any more"
    if listener.settings.tls is not None and not isinstance(basis.connection, Secured):
        return "the listener has TLS now"
    if listener.settings.tls is not None and isinstance(basis.connection, Secured):
        version = basis.connection.tls.version()
        if listener.settings.tls.minimum_version == "1.3" and version != "TLSv1.3":
            return f"{version} is below the minimum_version now"
    if (why := trust_objection(basis.trust, listener.trust, datetime.now(UTC))) is not None:
        return why
    if basis.protocol is not None and basis.protocol not in listener.settings.protocols:
        return "protocol not allowed on this listener any more"
    return _mechanism_objection(basis, listener)


def _mechanism_objection(basis: Basis, listener: ListenerState) -> str | None:
    if basis.by == "token":
        if "token" not in listener.settings.authentication:
            return "token is not a way to log in any more"
    elif basis.by in MECHANISMS and basis.by not in listener.mechanisms:
        return f"{basis.by} is not a way to log in any more"
    if basis.by in _CLEAR and not may_carry_passwords(listener, basis.connection):
        return "a password may not be sent in clear text here any more"
    return None


def may_carry_passwords(listener: ListenerState, connection: Connection) -> bool:
    """Whether the connection may carry passwords as they are. By the real socket, never by an address that a balancer
    conveyed. Raises OSError."""
    if isinstance(connection, Secured) or listener.settings.plaintext_passwords:
        return True
    if connection.family == socket.AF_UNIX:
        return True
    address = canonical_address(connection.getpeername()[0])
    return address is not None and address.is_loopback


def _principal_objection(basis: Basis, generation: Generation) -> str | None:
    listener = generation.listeners[basis.listener]
    principal = basis.principal
    if principal is None:
        return "not logged in"
    if principal.kind == basis.by:
        if generation.access.identify(listener.settings, basis.connection, basis.address) != principal:
            return f"this {principal.kind} is not who it was any more"
        return None
    if principal.kind == "certificate":
        if generation.access.certificate_principal(listener.settings, basis.connection) != principal:
            return "this certificate is not who it was any more"
        return None
    saslauthd = generation.settings.saslauthd
    second_source = None if saslauthd is None else identity_of(saslauthd)
    if not counts(basis.secret, principal.name, generation.users, second_source):
        return "the secret that it logged in with does not count any more"
    return None


class RulesCompared:
    """Whether what somebody may do, and how it is read, is the same in two generations.

    `again`: they are one, and its sessions are looked at once more.
    """

    def __init__(self, old: Generation, new: Generation) -> None:
        self.new = new
        self.again = old is new
        self._old = old
        self._same: dict[tuple[str, Principal], bool] = {}
        self._offers: dict[str, bool] = {}
        before, after = old.settings.limits, new.settings.limits
        self._same_limits = all(getattr(before, key) == getattr(after, key) for key in _WIRE_LIMITS)

    def same(self, listener: str, principal: Principal) -> bool:
        """For a session of this principal on this listener."""
        found = self._same.get((listener, principal))
        if found is None:
            found = self._same[listener, principal] = self._compare(listener, principal)
        return found

    def same_offer(self, listener: str) -> bool:
        """Whether clients of this listener can log in by the same mechanisms."""
        found = self._offers.get(listener)
        if found is None:
            old, new = self._old.listeners[listener], self.new.listeners[listener]
            before, after = old.settings, new.settings
            found = self._offers[listener] = (
                old.mechanisms == new.mechanisms
                and (before.plaintext_passwords, before.tls) == (after.plaintext_passwords, after.tls)
                and ("EXTERNAL" not in new.mechanisms or self._old.settings.grants == self.new.settings.grants)
            )
        return found

    def _compare(self, listener: str, principal: Principal) -> bool:
        old, new = self._old, self.new
        before, after = old.settings.listeners[listener], new.settings.listeners[listener]
        roles = old.access.roles_of(principal)
        return (
            self._same_limits
            and all(getattr(before, key) == getattr(after, key) for key in _LISTENER_RULES)
            and roles == new.access.roles_of(principal)
            and all(old.settings.roles[name] == new.settings.roles[name] for name in roles)
        )
