"""The types of the configuration's values, each with the parser that tells what is wrong with one."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo

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
from mcproxy.config.admin_words import parse_admin_host
from mcproxy.config.units import parse_duration, parse_size
from mcproxy.policy.certificates import CertificateName


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


def distinct(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"{value} is given twice")
    return values


def one_of(known: tuple[str, ...]) -> Callable[[Any], Any]:
    return partial(names.one_of, known=known)


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
FilePath = Annotated[Path, PlainValidator(_path)]
Bind = Annotated[TcpAddress | UnixAddress, PlainValidator(parse_bind)]
Destination = Annotated[TcpAddress | UnixAddress, PlainValidator(parse_destination)]
AllowedNetwork = Annotated[Network, PlainValidator(parse_network)]
Label = Annotated[str, PlainValidator(names.parse_label)]
UserName = Annotated[str, PlainValidator(names.parse_user_name)]
GrantedCertificate = Annotated[CertificateName, PlainValidator(names.parse_certificate_name)]
KeyPattern = Annotated[str, PlainValidator(names.parse_key_pattern)]
SocketMode = Annotated[int, PlainValidator(names.parse_mode)]
Protocol = Annotated[str, PlainValidator(one_of(names.PROTOCOLS))]
Method = Annotated[str, PlainValidator(one_of(names.METHODS))]
Mechanism = Annotated[str, PlainValidator(one_of(names.MECHANISMS))]
Classes = Annotated[frozenset[str], PlainValidator(names.parse_classes)]
SocketPath = Annotated[Path, PlainValidator(_socket_path)]
TlsVersion = Annotated[str, PlainValidator(names.parse_tls_version)]
Timeout = Annotated[Duration, Field(gt=0, le=3600)]
AdminHost = Annotated[str, PlainValidator(parse_admin_host)]
UnixId = Annotated[int, Field(ge=0, le=2**32 - 2)]

SECTION = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)
"""What all sections have in common: an unknown key is an error, and nothing is converted that isn't so on purpose."""
