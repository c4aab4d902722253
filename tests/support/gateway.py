"""A gateway: the program as legacy clients have it beside them, in front of memcacheds and guards that want a login.

One gateway has all the upstreams of a test module, and for each of them a listener for every way in which a client
without a login is told apart.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from tests.support import packets
from tests.support.certificates import CLIENT_URI, Certificates
from tests.support.configuration import GRANTS, LOOPBACK, PASSWORDS, ROLES, configuration, server_tls
from tests.support.conversation import Connection
from tests.support.memcached import Memcached, with_sasl, with_token
from tests.support.proxy import Proxy, token

USER = "gateway"
PASSWORD = "between-two-machines"
"""Without a space: with one memcached 1.6.18's token never logs in."""

WAYS = ("peer", "none", "address")
"""How a gateway knows clients that can't say who they are; `peer` is on a unix socket, the others are on loopback."""

IDENTITIES: list[dict[str, Any]] = [
    {"peer": {"uid": os.getuid()}, "as": "beside", "roles": ["everything"]},
    {"address": "127.0.0.1/32", "as": "loopback", "roles": ["everything"]},
]


def secret_file(directory: Path, secret: str = PASSWORD) -> Path:
    """A file with a password that its owner alone can read, and a line's end behind it."""
    path = directory / "upstream-password"
    path.touch(mode=0o600)
    path.write_text(secret + "\n")
    return path


def sasl_login(mechanism: str, password_file: Path, username: str = USER) -> dict[str, Any]:
    """`login` of an upstream, by SASL."""
    return {"method": "sasl", "mechanism": mechanism, "username": username, "password_file": str(password_file)}


def token_login(password_file: Path) -> dict[str, Any]:
    """`login` of an upstream, by memcached's token."""
    return {"method": "token", "username": USER, "password_file": str(password_file)}


def upstream_tls(certificates: Certificates, *, shown: bool = False, **more: Any) -> dict[str, Any]:
    """`tls` of an upstream. `shown`: it is shown the client's certificate."""
    tls = {"ca": str(certificates.authority), "server_name": "localhost", **more}
    if shown:
        tls |= {"certificate": str(certificates.client_certificate), "key": str(certificates.client_key)}
    return tls


def gateway(
    directory: Path,
    certificates: Certificates,
    upstreams: Mapping[str, Any],
    protocols: Sequence[str] = ("text",),
    **changes: Any,
) -> Proxy:
    """Not started yet. Its listeners are `UPSTREAM-WAY`; everybody may do everything unless `changes` say otherwise.

    One link an upstream and protocol, so that all clients share it, and one that gets out of step shows.
    """
    listeners: dict[str, Any] = {}
    for name in upstreams:
        for way in WAYS:
            where: dict[str, Any] = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK}
            if way == "peer":
                where = {"bind": [f"unix:{directory}/{name}.sock"]}
            listeners[f"{name}-{way}"] = {
                **where,
                "protocols": list(protocols),
                "authentication": [way],
                "upstream": name,
            }
    settings: dict[str, Any] = {
        "listeners": listeners,
        "upstreams": {name: {"timeout": "5s", "links": 1, **upstream} for name, upstream in upstreams.items()},
        "roles": ROLES,
        "grants": IDENTITIES,
        "default_roles": ["everything"],
        "admin": {"bind": "127.0.0.1:0"},
    }
    return Proxy(directory, settings | changes, certificates)


def guard(directory: Path, upstream_address: str, certificates: Certificates) -> Proxy:
    """Not started yet: what stands before a memcached at the far end, with TLS, and takes gateways alone.

    Listeners: `scram` for users of configuration.py, `certificate` and `external` for the certificate of a client.
    """
    with_clients = server_tls(certificates, client_ca=str(certificates.authority))
    mechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    here = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK}
    listeners: dict[str, Any] = {
        "plain": None,
        "tls": None,
        "socket": None,
        "scram": {**here, "tls": server_tls(certificates), "authentication": ["sasl"], "mechanisms": mechanisms},
        "certificate": {**here, "tls": with_clients, "authentication": ["certificate"]},
        "external": {**here, "tls": with_clients, "authentication": ["sasl"], "mechanisms": ["EXTERNAL"]},
    }
    grants = [*GRANTS, {"certificate": CLIENT_URI, "as": USER, "roles": ["everything"]}]
    settings = configuration(directory, upstream_address, certificates, listeners=listeners, grants=grants)
    return Proxy(directory, settings, certificates)


class FarEnd:
    """What gateways lead to: `memcached -S`, `-S -Z` and `-Y -Z`, and a guard before a memcached of its own.

    `upstreams` are ways to it as a gateway's configuration has them: those of these `names`. Only what they need is
    started. `directory` makes a new one.
    """

    def __init__(self, directory: Callable[[], Path], certificates: Certificates, *names: str) -> None:
        users, large = {USER: PASSWORD}, ("-I", "2m")
        self._sasl = with_sasl(directory(), users, *large)
        self._sasl_tls = with_sasl(directory(), users, *large, certificates=certificates)
        self._token_tls = with_token(directory(), users, *large, certificates=certificates)
        self._guarded = Memcached(directory(), *large)
        self.guard = guard(directory(), self._guarded.address, certificates)
        self.upstreams: dict[str, dict[str, Any]] = {}
        self._names = names
        self._ours = secret_file(directory())
        self._theirs = secret_file(directory(), PASSWORDS["root"])
        self._certificates = certificates
        self._behind: dict[str, Memcached] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._ends.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _start(self) -> None:
        tls, shown = upstream_tls(self._certificates), upstream_tls(self._certificates, shown=True)
        external = {"method": "sasl", "mechanism": "EXTERNAL"}
        binary = {"protocol": "binary"}
        self._add("sasl-plain", self._sasl, **binary, login=sasl_login("PLAIN", self._ours))
        self._add("sasl-scram", self._sasl, **binary, login=sasl_login("SCRAM-SHA-256", self._ours))
        self._add("sasl-tls", self._sasl_tls, **binary, tls=shown, login=sasl_login("SCRAM-SHA-256", self._ours))
        self._add("token-tls", self._token_tls, tls=tls, login=token_login(self._ours))
        if not any(name.startswith("guard") for name in self._names):
            return
        self._started(self._guarded)
        self._ends.callback(self.guard.assert_good_end)
        self.guard.start()
        root = self._theirs, "root"
        self._add_guard("guard-scram", "scram", tls=tls, login=sasl_login("SCRAM-SHA-256", *root))
        self._add_guard("guard-bound", "scram", **binary, tls=tls, login=sasl_login("SCRAM-SHA-256-PLUS", *root))
        self._add_guard("guard-certificate", "certificate", tls=shown)
        self._add_guard("guard-external", "external", tls=shown, login=external)

    def _add(self, name: str, memcached: Memcached, **settings: Any) -> None:
        if name in self._names:
            self._started(memcached)
            self._behind[name] = memcached
            self.upstreams[name] = {"address": memcached.address, **settings}

    def _add_guard(self, name: str, listener: str, **settings: Any) -> None:
        if name in self._names:
            self._behind[name] = self._guarded
            self.upstreams[name] = {"address": self.guard.address(listener), **settings}

    def _started(self, memcached: Memcached) -> None:
        if memcached.process is None:
            self._ends.callback(memcached.kill)
            memcached.start()

    def held(self, upstream: str, key: str) -> tuple[bytes, int] | None:
        """Value and flags that the memcached at the end has, which is asked past gateway and guard."""
        memcached = self._behind[upstream]
        with Connection(memcached.connect()) as connection:
            if "-S" in memcached.options:
                assert connection.ask(packets.plain(USER, PASSWORD)).status == packets.OK
                answer = connection.ask(packets.with_key(packets.GET, key.encode()))
                return (answer.value, int.from_bytes(answer.extras)) if answer.status == packets.OK else None
            if "-Y" in memcached.options:
                connection.send(token(USER, PASSWORD))
                assert connection.line() == b"STORED\r\n"
            connection.send(f"get {key}\r\n".encode())
            words = connection.line().split()
            return (connection.receive(int(words[3])), int(words[2])) if words[0] == b"VALUE" else None
