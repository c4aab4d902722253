"""`mcproxy check`: is this configuration right? Everything that `run` would read is read, nothing is opened."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mcproxy.cli.arguments import add_config_option
from mcproxy.cli.errors import DONE

if TYPE_CHECKING:
    from pathlib import Path

    from mcproxy.config.schema import Listener, Settings

SOON_DAYS = 14
"""A certificate that ends within so many days is worth a note."""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check the configuration and everything that it names",
        description="Check the configuration, its certificates and its users file; tell everything that is wrong.",
    )
    add_config_option(parser)
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Print `ok` and a summary. Raises ConfigurationError with everything that is wrong."""
    from mcproxy.config.load import load

    settings = load(options.config)
    print(f"ok: {options.config}")
    for name, listener in settings.listeners.items():
        print(f"listener {name}: {_listener(listener)}")
    print(f"upstream: {settings.upstream.address}")
    if settings.users_file is not None:
        print(f"users: {len(_user_names(settings.users_file))} in {settings.users_file}")
    health = f"; health at {settings.admin.health_bind}" if settings.admin.health_bind else ""
    print(f"admin: {settings.admin.bind}{health}")
    for note in _notes(settings):
        print(f"note: {note}")
    return DONE


def _listener(listener: Listener) -> str:
    parts = [", ".join(str(address) for address in listener.bind), _encryption(listener)]
    if listener.is_unix:
        group = f", group {listener.group}" if listener.group is not None else ""
        parts.append(f"mode {listener.mode:04o}{group}")
    else:
        parts.append(f"from {', '.join(str(network) for network in listener.allow) or 'nowhere'}")
    parts.append(" and ".join(listener.protocols))
    parts.append(f"login by {', '.join(_method(method, listener) for method in listener.authentication)}")
    return "; ".join(parts)


def _encryption(listener: Listener) -> str:
    if listener.tls is None:
        return "no TLS"
    asked = f", client certificate {listener.tls.client_certificate}" if listener.tls.client_ca else ""
    return f"TLS {listener.tls.minimum_version} or newer{asked}"


def _method(method: str, listener: Listener) -> str:
    return f"sasl ({', '.join(listener.mechanisms)})" if method == "sasl" else method


def _user_names(users_file: Path) -> list[str]:
    from mcproxy.auth.users import parse_users

    return parse_users(users_file.read_text(encoding="utf-8")).names()


def _notes(settings: Settings) -> Iterator[str]:
    """What is legal, and yet hardly meant."""
    for name, listener in settings.listeners.items():
        if not listener.is_unix and not listener.allow:
            yield f"listener {name} admits nobody: its allow is empty"
        if listener.tls is not None:
            yield from _certificate_notes(listener.tls.certificate)
    if settings.users_file is not None:
        names = set(_user_names(settings.users_file))
        for grant in settings.grants:
            if grant.user is not None and grant.user not in names:
                yield f"a grant names user {grant.user}, who is not in the users file"
    if not settings.default_roles and not any(grant.roles for grant in settings.grants):
        yield "nobody may do anything: there are no grants and no default_roles"


def _certificate_notes(path: Path) -> Iterator[str]:
    from datetime import UTC, datetime

    from cryptography import x509

    certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    if certificate.not_valid_before_utc > datetime.now(UTC):
        yield f"{path} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if left.total_seconds() < 0:
        yield f"{path} has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; clients will refuse it"
    elif left.days < SOON_DAYS:
        yield f"{path} expires in {left.days} days"
