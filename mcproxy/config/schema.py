"""The configuration's shape: frozen models whose attributes are named like the keys of the YAML file.

Values are parsed (fields.py): durations to float seconds, sizes to int bytes, addresses and networks to objects. What
one field can't judge alone is in rules.py, what needs the machine in machine.py; docs/configuration.md explains it all.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainValidator, PrivateAttr

from mcproxy.auth.principals import Principal
from mcproxy.config import names
from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.fields import (
    SECTION,
    AdminHost,
    AllowedNetwork,
    Bind,
    Classes,
    Duration,
    FilePath,
    GrantedCertificate,
    KeyPattern,
    Label,
    Mechanism,
    Method,
    Protocol,
    Size,
    SocketMode,
    SocketPath,
    Timeout,
    TlsVersion,
    UnixId,
    UserName,
    distinct,
    one_of,
)
from mcproxy.config.fields import is_file_name as is_file_name
from mcproxy.config.problems import Finding, Problem, dotted
from mcproxy.config.processors import parse_workers
from mcproxy.config.upstream_schema import Upstream as Upstream
from mcproxy.config.upstream_schema import UpstreamLogin as UpstreamLogin
from mcproxy.config.upstream_schema import UpstreamTls as UpstreamTls

MAX_VALUE = 2**30
"""The largest value memcached can be told to take: `-I` ends at 1 GiB."""

DEFAULT_UPSTREAM = "upstream"
"""What a single one is called in logs and metrics."""

SMALLEST_BUFFER = 2**20
"""Bytes that any process needs for what its clients are sent."""


class _Model(BaseModel):
    model_config = SECTION


class ListenerTls(_Model):
    certificate: FilePath = Field(examples=["/etc/mcproxy/tls/tls.crt"])
    key: FilePath = Field(examples=["/etc/mcproxy/tls/tls.key"])
    client_ca: FilePath | None = None
    crl: FilePath | None = None
    client_certificate: Annotated[str, PlainValidator(one_of(("required", "optional")))] = "required"
    minimum_version: TlsVersion = "1.2"


class Listener(_Model):
    """A set of addresses with one set of rules. For unix sockets `allow` is empty and nobody asks it."""

    bind: Annotated[list[Bind], Field(min_length=1), AfterValidator(distinct)] = Field(examples=['["127.0.0.1:11211"]'])
    allow: list[AllowedNetwork] = Field(default=[], examples=['["10.0.0.0/24"]'])
    protocols: Annotated[list[Protocol], Field(min_length=1), AfterValidator(distinct)] = ["text", "binary"]
    tls: ListenerTls | None = None
    plaintext: bool = False
    authentication: Annotated[list[Method], Field(min_length=1), AfterValidator(distinct)] = Field(
        examples=["[sasl, token]"]
    )
    mechanisms: Annotated[list[Mechanism], Field(min_length=1), AfterValidator(distinct)] = ["SCRAM-SHA-256", "PLAIN"]
    plaintext_passwords: bool = False
    overlong_keys: Annotated[str, PlainValidator(one_of(("refuse", "digest")))] = "refuse"
    pipelining: Annotated[str, PlainValidator(one_of(("allow", "refuse")))] = "allow"
    upstream: Label | None = None
    proxy_protocol: list[AllowedNetwork] = Field(default=[], examples=['["10.0.0.2/32"]'])
    mode: SocketMode = 0o600
    group: Annotated[str | int | None, PlainValidator(names.parse_group)] = None

    @property
    def is_unix(self) -> bool:
        return any(isinstance(address, UnixAddress) for address in self.bind)

    @property
    def is_local(self) -> bool:
        """Whether all of its addresses are loopback or unix sockets."""
        return all(address.is_loopback for address in self.bind)


class Saslauthd(_Model):
    """Cyrus SASL's daemon that checks passwords, asked about users who are not in the users file."""

    socket: SocketPath = Path("/run/saslauthd/mux")
    service: Annotated[str, PlainValidator(names.parse_saslauthd_word)] = "memcached"
    realm: Annotated[str, PlainValidator(names.parse_saslauthd_word)] = ""
    timeout: Timeout = 2.0


class Role(_Model):
    """`commands` with `*` expanded to every class. `keys` as written: a trailing `*` makes a prefix."""

    commands: Classes = Field(examples=["[read, write]"])
    keys: list[KeyPattern] = []


class Peer(_Model):
    """Who is at the other end of a unix socket, as the kernel says (SO_PEERCRED). Both must match if both are given."""

    uid: UnixId | None = None
    gid: UnixId | None = None


class Grant(_Model):
    """Roles for exactly one of a user, a certificate, a network or a unix peer. `as_` is the key `as`."""

    user: UserName | None = None
    certificate: GrantedCertificate | None = None
    address: AllowedNetwork | None = None
    peer: Peer | None = None
    as_: UserName | None = Field(default=None, alias="as")
    roles: list[Label] = Field(examples=["[app]"])

    @property
    def kind(self) -> str:
        """`user`, `certificate`, `address` or `peer`."""
        return next(kind for kind in names.GRANT_KINDS if getattr(self, kind) is not None)

    @property
    def principal(self) -> Principal:
        """Who this grant is for: `as` of a certificate is never the user of that name."""
        return Principal(self.kind, self.user if self.user is not None else self.as_ or "")


class Limits(_Model):
    value: Annotated[Size, Field(ge=1, le=MAX_VALUE)] = 2**20
    keys: Annotated[int, Field(ge=1, le=65536)] = 1000
    line: Annotated[Size, Field(ge=2048, le=65536)] = 2048
    tokens: Annotated[int, Field(ge=16, le=1024)] = 24
    overlong_key: Annotated[Size, Field(ge=251, le=65536)] = 1024
    pipeline: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    session_buffer: Annotated[Size, Field(ge=2**16, le=2**36)] = 2 * 2**20
    total_buffer: Annotated[Size, Field(ge=SMALLEST_BUFFER, le=2**44)] = 256 * 2**20
    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    connections_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    login_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 512
    login_timeout: Timeout = 5.0
    stall_timeout: Annotated[Duration, Field(gt=0, le=86400)] = 30.0
    idle_timeout: Annotated[Duration, Field(ge=0, le=30 * 86400)] = 0.0
    drain_delay: Annotated[Duration, Field(ge=0, le=86400)] = 0.0
    drain_timeout: Annotated[Duration, Field(ge=0, le=86400)] = 10.0


class AdminTls(_Model):
    certificate: FilePath = Field(examples=["/etc/mcproxy/admin/tls.crt"])
    key: FilePath = Field(examples=["/etc/mcproxy/admin/tls.key"])
    client_ca: FilePath | None = None
    minimum_version: TlsVersion = "1.2"


class Admin(_Model):
    """`hosts` are names that the Host header may have beside those that the address itself has."""

    bind: Bind = TcpAddress("127.0.0.1", 9156)
    health_bind: Bind | None = None
    tls: AdminTls | None = None
    token_file: FilePath | None = None
    hosts: Annotated[list[AdminHost], AfterValidator(distinct)] = []
    upstream_statistics: bool = True


class Logging(_Model):
    level: Annotated[
        Literal["debug", "info", "warning", "error"], PlainValidator(one_of(("debug", "info", "warning", "error")))
    ] = "info"
    format: Annotated[Literal["json", "console"], PlainValidator(one_of(("json", "console")))] = "json"


class Settings(_Model):
    """A whole configuration. Only mcproxy.config.load makes one that the rules were asked about."""

    listeners: Annotated[dict[Label, Listener], Field(min_length=1)] = Field(
        examples=["a listener, as in config/mcproxy.minimal.yaml"]
    )
    upstream: Upstream | None = Field(default=None, examples=['{address: "127.0.0.1:11211"}'])
    upstreams: dict[Label, Upstream] = {}
    users_file: FilePath | None = None
    saslauthd: Saslauthd | None = Field(default=None, examples=["{socket: /run/saslauthd/mux}"])
    roles: dict[Label, Role] = {}
    grants: list[Grant] = []
    default_roles: list[Label] = []
    limits: Limits = Limits()
    workers: Annotated[int, BeforeValidator(parse_workers), Field(ge=1, le=256)] = 1
    admin: Admin = Admin()
    logging: Logging = Logging()
    watch_files: bool = True
    _problem: Callable[[Finding], Problem] | None = PrivateAttr(default=None)

    @property
    def all_upstreams(self) -> dict[str, Upstream]:
        """By name. A single `upstream` is called DEFAULT_UPSTREAM."""
        return self.upstreams if self.upstream is None else {DEFAULT_UPSTREAM: self.upstream}

    def upstream_of(self, listener: str) -> str:
        """The name of the upstream that a listener's clients reach."""
        return self.listeners[listener].upstream or next(iter(self.all_upstreams))

    def listeners_of(self, upstream: str) -> dict[str, Listener]:
        """The listeners whose clients reach an upstream."""
        return {name: one for name, one in self.listeners.items() if self.upstream_of(name) == upstream}

    def problem(self, finding: Finding) -> Problem:
        """A finding with the file and line that it is about, for what the settings were read from."""
        if self._problem is None:
            return Problem(Path("configuration"), None, dotted(finding.place), finding.message)
        return self._problem(finding)

    def read_from(self, problem: Callable[[Finding], Problem]) -> None:
        """Remember how places become lines; the loader's, once."""
        self._problem = problem
