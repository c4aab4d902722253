"""Who may do what: the grants of the configuration, by connection or user, compiled when first needed."""

import socket
import struct
from collections.abc import Callable, Container
from dataclasses import dataclass

from mcproxy.auth.principals import Principal
from mcproxy.config.schema import Listener, Settings
from mcproxy.policy.allowlist import AddressTable
from mcproxy.policy.certificates import CertificateTable
from mcproxy.policy.grants import Role, Ruleset
from mcproxy.policy.keys import KeySet
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.server.client_certificate import certificate_names
from mcproxy.wire.binary import BinaryRules
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.text_rules import TextRules

ANONYMOUS = Principal("anonymous", "anonymous")
# Names of one certificate in one line of the log.
_NAMES_LOGGED = 8
# struct ucred of unix(7): a process id, and a user and a group id without a sign.
_CREDENTIALS = struct.Struct("=iII")


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a unix socket, as the kernel tells (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


def unix_peer(connection: Connection) -> Peer:
    """Raises OSError."""
    raw = socket_of(connection).getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(raw))


class Access:
    """The grants, by what they are given to. `users`: whose names the users file has; None: every user's."""

    def __init__(self, settings: Settings, users: Container[str] | None = None) -> None:
        limits = settings.limits
        self._limits = WireLimits(limits.value, limits.keys, limits.line, limits.tokens, limits.overlong_key)
        self._roles = {name: Role(role.commands, KeySet.of(role.keys)) for name, role in settings.roles.items()}
        self._default_roles = frozenset(settings.default_roles)
        self._users = users
        self._granted: dict[Principal, frozenset[str]] = {}
        certificates = []
        self._peers: list[tuple[int | None, int | None, Principal]] = []
        addresses = {}
        for grant in settings.grants:
            principal = grant.principal
            self._granted[principal] = self._granted.get(principal, frozenset()) | frozenset(grant.roles)
            if grant.certificate is not None:
                certificates.append((grant.certificate, principal))
            elif grant.address is not None:
                addresses[grant.address] = principal
            elif grant.peer is not None:
                self._peers.append((grant.peer.uid, grant.peer.gid, principal))
        self._addresses = AddressTable(addresses)
        self._certificates = CertificateTable(certificates)
        self._text_rules: dict[frozenset[str], TextRules] = {}
        self._binary_rules: dict[frozenset[str], BinaryRules] = {}

    def identify(self, listener: Listener, connection: Connection, address: str | None) -> Principal | None:
        """Who this is by the connection alone; None if that says nothing that a grant names. Raises OSError.

        A certificate says more than an address, so it is asked first. `default_roles` are nobody's here: a stranger
        with a certificate of the right authority is still a stranger.
        """
        methods = listener.authentication
        if "none" in methods:
            return ANONYMOUS
        if "certificate" in methods and (known := self.certificate_principal(listener, connection)) is not None:
            return known
        if "peer" in methods and socket_of(connection).family == socket.AF_UNIX:
            peer = unix_peer(connection)
            for uid, gid, principal in self._peers:
                if uid in (None, peer.uid) and gid in (None, peer.gid):
                    return principal
        if "address" in methods and address is not None:
            return self._addresses.most_specific(address)
        return None

    def certificate_principal(self, listener: Listener, connection: Connection) -> Principal | None:
        """Who the verified client certificate is by the grants, for `identify` and for SASL EXTERNAL.

        None without TLS, without `client_ca`, without a certificate, and for one that no grant names. SASL EXTERNAL may
        ask although `authentication` doesn't list certificate.
        """
        if listener.tls is None or listener.tls.client_ca is None or not isinstance(connection, Secured):
            return None
        return self._certificates.lookup(certificate_names(connection))

    def presented(self, method: str, connection: Connection) -> dict[str, object]:
        """What somebody presented whom no grant names, for the log. An address is logged anyway."""
        if method == "certificate" and isinstance(connection, Secured):
            return {"names": ", ".join(map(str, certificate_names(connection)[:_NAMES_LOGGED]))}
        if method == "peer":
            peer = unix_peer(connection)
            return {"uid": peer.uid, "gid": peer.gid}
        return {}

    def roles_of(self, principal: Principal) -> frozenset[str]:
        """The names of the roles of a principal."""
        roles = self._granted.get(principal, frozenset())
        if principal.kind == "anonymous" or (principal.kind == "user" and self._is_of_the_file(principal.name)):
            roles |= self._default_roles
        return roles

    def _is_of_the_file(self, username: str) -> bool:
        return self._users is None or username in self._users

    def may_write(self, principal: Principal) -> Callable[[bytes], bool]:
        """Which keys the principal may write."""
        return self._ruleset(self.roles_of(principal)).keys("write").__contains__

    def text_rules(self, principal: Principal) -> TextRules:
        """What the principal may do, compiled into the text grammar."""
        roles = self.roles_of(principal)
        if roles not in self._text_rules:
            self._text_rules[roles] = TextRules(self._ruleset(roles), self._limits)
        return self._text_rules[roles]

    def binary_rules(self, principal: Principal) -> BinaryRules:
        """What the principal may do, by opcode."""
        roles = self.roles_of(principal)
        if roles not in self._binary_rules:
            self._binary_rules[roles] = BinaryRules(self._ruleset(roles), self._limits)
        return self._binary_rules[roles]

    def _ruleset(self, roles: frozenset[str]) -> Ruleset:
        return Ruleset(self._roles[name] for name in sorted(roles))
