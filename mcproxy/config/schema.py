"""The configuration's shape: frozen models whose attributes are named like the keys of the YAML file.

Values are parsed (durations to float seconds, sizes to int bytes, addresses and networks to objects). What one field
can't judge alone is in rules.py, what needs the machine is in machine.py; docs/configuration.md explains every key.
Fields typed NotYet belong to later releases: given now they are an error, since ignoring them would pretend.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
)

from mcproxy.auth.principals import Principal
from mcproxy.config import names
from mcproxy.config.addresses import (
    LONGEST_UNIX_PATH,
    Network,
    TcpAddress,
    UnixAddress,
    parse_bind,
    parse_destination,
    parse_network,
)
from mcproxy.config.problems import Finding, Problem, dotted
from mcproxy.config.processors import parse_workers
from mcproxy.config.units import parse_duration, parse_size
from mcproxy.policy.certificates import CertificateName

MAX_VALUE = 2**30
"""The largest value memcached can be told to take: `-I` ends at 1 GiB."""

DEFAULT_UPSTREAM = "upstream"
"""What a single one is called in logs and metrics."""

SMALLEST_BUFFER = 2**20
"""Bytes that any process needs for what its clients are sent."""


def is_file_name(value: str) -> bool:
    """Whether a file may be called that: one line, without PEM, and no part longer than NAME_MAX (Linux: 255 bytes)."""
    if any(ord(character) < 32 for character in value) or "-----BEGIN" in value:
        return False
    try:
        return all(len(os.fsencode(part)) <= 255 for part in value.split("/"))
    except UnicodeEncodeError:  # half a pair of UTF-16
        return False


def _path(value: Any, info: ValidationInfo) -> Path:
    """A file name; relative ones are relative to the configuration file's directory, which the context names."""
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError('must be a file name, such as "/etc/mcproxy/users"')
    if "\0" in str(value):
        raise ValueError("a file name can't hold a NUL")
    # Not repeated: it may be a key or a password that somebody put here by mistake.
    if not is_file_name(str(value)):
        raise ValueError("must be the name of a file, and not what the file holds; what stands here is no name")
    return Path((info.context or {}).get("directory", ""), value)


def _socket_path(value: Any, info: ValidationInfo) -> Path:
    """As _path, and short enough for a unix socket."""
    path = _path(value, info)
    if len(os.fsencode(path)) > LONGEST_UNIX_PATH:
        raise ValueError(f'"{path}": the path of a unix socket has at most {LONGEST_UNIX_PATH} bytes')
    return path


def _not_available(value: Any) -> None:
    if value is not None:
        raise ValueError("not available in this version; take it out")


def _distinct(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} is given twice")
    return values


def _one_of(known: tuple[str, ...], later: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    return partial(names.one_of, known=known, later=later)


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
FilePath = Annotated[Path, PlainValidator(_path)]
NotYet = Annotated[None, PlainValidator(_not_available)]
Bind = Annotated[TcpAddress | UnixAddress, PlainValidator(parse_bind)]
Destination = Annotated[TcpAddress | UnixAddress, PlainValidator(parse_destination)]
AllowedNetwork = Annotated[Network, PlainValidator(parse_network)]
Label = Annotated[str, PlainValidator(names.parse_label)]
UserName = Annotated[str, PlainValidator(names.parse_user_name)]
GrantedCertificate = Annotated[CertificateName, PlainValidator(names.parse_certificate_name)]
KeyPattern = Annotated[str, PlainValidator(names.parse_key_pattern)]
SocketMode = Annotated[int, PlainValidator(names.parse_mode)]
Protocol = Annotated[str, PlainValidator(_one_of(names.PROTOCOLS))]
Method = Annotated[str, PlainValidator(_one_of(names.METHODS))]
Mechanism = Annotated[str, PlainValidator(_one_of(names.MECHANISMS))]
Classes = Annotated[frozenset[str], PlainValidator(names.parse_classes)]
UnixId = Annotated[int, Field(ge=0, le=2**32 - 2)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)


class ListenerTls(_Model):
    certificate: FilePath = Field(examples=["/etc/mcproxy/tls/tls.crt"])
    key: FilePath = Field(examples=["/etc/mcproxy/tls/tls.key"])
    client_ca: FilePath | None = None
    crl: FilePath | None = None
    client_certificate: Annotated[str, PlainValidator(_one_of(("required", "optional")))] = "required"
    minimum_version: Annotated[str, PlainValidator(names.parse_tls_version)] = "1.2"


class Listener(_Model):
    """A set of addresses with one set of rules. For unix sockets `allow` is empty and nobody asks it."""

    bind: Annotated[list[Bind], Field(min_length=1), AfterValidator(_distinct)] = Field(
        examples=['["127.0.0.1:11211"]']
    )
    allow: list[AllowedNetwork] = Field(default=[], examples=['["10.0.0.0/24"]'])
    protocols: Annotated[list[Protocol], Field(min_length=1), AfterValidator(_distinct)] = ["text", "binary"]
    tls: ListenerTls | None = None
    plaintext: bool = False
    authentication: Annotated[list[Method], Field(min_length=1), AfterValidator(_distinct)] = Field(
        examples=["[sasl, token]"]
    )
    mechanisms: Annotated[list[Mechanism], Field(min_length=1), AfterValidator(_distinct)] = ["SCRAM-SHA-256", "PLAIN"]
    plaintext_passwords: bool = False
    overlong_keys: Annotated[str, PlainValidator(_one_of(("refuse", "digest")))] = "refuse"
    pipelining: Annotated[str, PlainValidator(_one_of(("allow", "refuse")))] = "allow"
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


class UpstreamTls(_Model):
    """How upstream proves who it is (`ca`, `server_name`), and what it is shown of us if anything."""

    ca: FilePath = Field(examples=["/etc/mcproxy/upstream/ca.crt"])
    server_name: str | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    minimum_version: Annotated[str, PlainValidator(names.parse_tls_version)] = "1.2"


class UpstreamLogin(_Model):
    """Who we are towards upstream. The password is in a file or in an environment variable, never here."""

    method: Annotated[str, PlainValidator(_one_of(("sasl", "token")))] = Field(examples=["sasl"])
    mechanism: Annotated[str | None, PlainValidator(_one_of(names.UPSTREAM_MECHANISMS))] = None
    username: str | None = None
    password_file: FilePath | None = None
    password_environment: str | None = None


class Upstream(_Model):
    address: Destination = Field(examples=['"127.0.0.1:11211"'])
    plaintext: bool = False
    plaintext_passwords: bool = False
    links: Annotated[int, Field(ge=1, le=64)] = 2
    timeout: Annotated[Duration, Field(gt=0, le=3600)] = 1.0
    protocol: Annotated[str, PlainValidator(_one_of(("same", *names.PROTOCOLS)))] = "same"
    tls: UpstreamTls | None = None
    login: UpstreamLogin | None = None

    def spoken(self, protocol: str) -> str:
        """The protocol in which the requests of clients that speak `protocol` go up."""
        return protocol if self.protocol == "same" else self.protocol


class Saslauthd(_Model):
    """Cyrus SASL's daemon that checks passwords, asked about users who are not in the users file."""

    socket: Annotated[Path, PlainValidator(_socket_path)] = Path("/run/saslauthd/mux")
    service: Annotated[str, PlainValidator(names.parse_saslauthd_word)] = "memcached"
    realm: Annotated[str, PlainValidator(names.parse_saslauthd_word)] = ""
    timeout: Annotated[Duration, Field(gt=0, le=3600)] = 2.0


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
    login_timeout: Annotated[Duration, Field(gt=0, le=3600)] = 5.0
    stall_timeout: Annotated[Duration, Field(gt=0, le=86400)] = 30.0
    idle_timeout: Annotated[Duration, Field(ge=0, le=30 * 86400)] = 0.0
    drain_timeout: Annotated[Duration, Field(ge=0, le=86400)] = 10.0


class Admin(_Model):
    bind: Bind = TcpAddress("127.0.0.1", 9156)
    health_bind: Bind | None = None


class Logging(_Model):
    level: Annotated[
        Literal["debug", "info", "warning", "error"], PlainValidator(_one_of(("debug", "info", "warning", "error")))
    ] = "info"
    format: Annotated[Literal["json", "console"], PlainValidator(_one_of(("json", "console")))] = "json"


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

    def problem(self, finding: Finding) -> Problem:
        """A finding with the file and line that it is about, for what the settings were read from."""
        if self._problem is None:
            return Problem(Path("configuration"), None, dotted(finding.place), finding.message)
        return self._problem(finding)

    def read_from(self, problem: Callable[[Finding], Problem]) -> None:
        """Remember how places become lines; the loader's, once."""
        self._problem = problem
