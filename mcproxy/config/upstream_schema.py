"""The sections `upstream` and `upstreams`; schema.py has the rest."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, PlainValidator

from mcproxy.auth.upstream.fitness import MECHANISMS
from mcproxy.config import names, upstream_words
from mcproxy.config.addresses import TcpAddress
from mcproxy.config.fields import SECTION, Destination, FilePath, Timeout, TlsVersion, one_of


class _Model(BaseModel):
    model_config = SECTION


class UpstreamTls(_Model):
    """How upstream proves who it is (`ca`, `server_name`), and what it is shown of us if anything."""

    ca: FilePath = Field(examples=["/etc/mcproxy/upstream/ca.crt"])
    server_name: Annotated[str | None, PlainValidator(upstream_words.parse_server_name)] = None
    certificate: FilePath | None = None
    key: FilePath | None = None
    minimum_version: TlsVersion = "1.2"


class UpstreamLogin(_Model):
    """Who we are towards upstream. The password is in a file or in an environment variable, never here."""

    method: Annotated[str, PlainValidator(one_of(("sasl", "token")))] = Field(examples=["sasl"])
    mechanism: Annotated[str | None, PlainValidator(one_of(MECHANISMS))] = None
    username: Annotated[str | None, PlainValidator(upstream_words.parse_login_name)] = None
    password_file: FilePath | None = None
    password_environment: Annotated[str | None, PlainValidator(upstream_words.parse_variable)] = None

    @property
    def sends_password(self) -> bool:
        """Whether the password itself goes over the wire."""
        return self.method == "token" or self.mechanism == "PLAIN"


class Upstream(_Model):
    address: Destination = Field(examples=['"127.0.0.1:11211"'])
    plaintext: bool = False
    plaintext_passwords: bool = False
    links: Annotated[int, Field(ge=1, le=64)] = 2
    timeout: Timeout = 1.0
    protocol: Annotated[str, PlainValidator(one_of(("same", *names.PROTOCOLS)))] = "same"
    engine: Annotated[str, PlainValidator(one_of(names.ENGINES))] = "memcached"
    tls: UpstreamTls | None = None
    login: UpstreamLogin | None = None

    @property
    def server_name(self) -> str | None:
        """What the certificate has to be for; None where that is not said, as it must be for a unix socket."""
        if self.tls is not None and self.tls.server_name is not None:
            return self.tls.server_name
        return self.address.host if isinstance(self.address, TcpAddress) else None

    def spoken(self, protocol: str) -> str:
        """The protocol in which the requests of clients that speak `protocol` go up."""
        return protocol if self.protocol == "same" else self.protocol
