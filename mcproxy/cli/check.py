"""`mcproxy check`: is this configuration right? Everything that `run` would read is read, nothing is opened."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mcproxy.cli.arguments import add_config_option
from mcproxy.cli.errors import DONE

if TYPE_CHECKING:
    from mcproxy.config.material import Material
    from mcproxy.config.schema import Admin, Listener


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "check",
        help="check the configuration and everything that it names",
        description="Check the configuration, its certificates and its users file; tell everything that is wrong.",
    )
    add_config_option(parser)
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Print `ok`, who can log in how on each listener, who reaches which upstream how, and notes.

    Raises ConfigurationError with all that is wrong.
    """
    from mcproxy.config.load import Reading
    from mcproxy.config.logins import ways_in
    from mcproxy.config.notes import notes_of
    from mcproxy.config.problems import printable
    from mcproxy.config.source import read_text
    from mcproxy.config.ways_up import ways_up

    material = Reading(read_text(options.config), options.config).material()
    settings = material.settings
    print(f"ok: {options.config}")
    for name, listener in settings.listeners.items():
        print(f"listener {name}: {_listener(listener)}")
        for way in ways_in(listener, settings, material.users, binding=_has_binding(listener, material)):
            print(f"  {way}")
    for line in ways_up(settings, material.files):
        print(printable(line))
    if settings.users_file is not None:
        print(f"users: {len(material.users)} in {settings.users_file}")
    print(f"admin: {_admin(settings.admin)}")
    for note in notes_of(material):
        print(f"note: {note}")
    return DONE


def _has_binding(listener: Listener, material: Material) -> bool:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from mcproxy.server.channel_binding import server_end_point

    if listener.tls is None:
        return False
    shown = x509.load_pem_x509_certificates(material.files[listener.tls.certificate].content)[0]
    return server_end_point(shown.public_bytes(Encoding.DER)) is not None


def _admin(admin: Admin) -> str:
    from mcproxy.config.encryption import admin_access

    access = "" if admin.tls is None and admin.token_file is None else f"; {admin_access(admin)}"
    hosts = f"; also as {', '.join(admin.hosts)}" if admin.hosts else ""
    health = f"; health at {admin.health_bind}" if admin.health_bind else ""
    return f"{admin.bind}{access}{hosts}{health}"


def _listener(listener: Listener) -> str:
    from mcproxy.config.encryption import listener_encryption

    parts = [", ".join(str(address) for address in listener.bind), listener_encryption(listener)]
    if listener.is_unix:
        group = f", group {listener.group}" if listener.group is not None else ""
        parts.append(f"mode {listener.mode:04o}{group}")
    else:
        parts.append(f"from {', '.join(str(network) for network in listener.allow) or 'nowhere'}")
        if listener.proxy_protocol:
            parts.append(f"balancers {', '.join(str(network) for network in listener.proxy_protocol)}")
    parts.append(" and ".join(listener.protocols))
    return "; ".join(parts)
