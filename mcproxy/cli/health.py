"""`mcproxy health`: one look at /healthz or /readyz, for a container's HEALTHCHECK and for scripts.

It runs every few seconds, perhaps as another user than the proxy: it reads the configuration's section `admin` and
nothing else, and neither imports what checks the rest nor opens a file that the rest names.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mcproxy.cli.arguments import add_config_option
from mcproxy.cli.errors import DONE, FAILED, CommandError

if TYPE_CHECKING:
    from mcproxy.config.addresses import TcpAddress, UnixAddress
    from mcproxy.config.problems import ConfigurationError

LONGEST = 3600.0
"""Seconds of --timeout."""
MOST_SHOWN = 500
"""Characters of a reason."""
_WELL = {"/healthz": "ok", "/readyz": "ready"}
"""What these say of a proxy that is well (server/admin_pages.py). Any other server might answer with status 200."""
_NO_CERTIFICATE = "admin.tls.client_ca asks for a certificate, and a health check has none; set admin.health_bind"


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "health",
        help="ask the running proxy whether it is well",
        description="Ask the running proxy whether it is alive, or with --ready whether it can serve requests. "
        "Exit status 0: yes; 1: no, with one line that says why; 2: the configuration is wrong.",
    )
    add_config_option(parser)
    parser.add_argument("--ready", action="store_true", help="ask /readyz, not /healthz")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=5.0,
        help="for the whole answer (default: 5)",
    )
    parser.set_defaults(command=health)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, more than 0 and at most {LONGEST:g}")
    return seconds


def health(options: argparse.Namespace) -> int:
    """Ask, and print what was answered if all is well. Raises CommandError if not, and ConfigurationError."""
    from mcproxy.cli.admin_client import AdminUnreachable, fetch

    admin = read_admin(options.config)
    path = "/readyz" if options.ready else "/healthz"
    try:
        status, body = fetch(admin, path, health=True, timeout=options.timeout)
    except AdminUnreachable as error:
        barred = admin.tls is not None and admin.tls.wants_certificate and admin.health_bind is None
        raise CommandError(f"health: {error}{f' ({_NO_CERTIFICATE})' if barred else ''}", FAILED) from None
    # CommandError's message is escaped where it is printed.
    said = " ".join(body.decode("utf-8", "replace").split())[:MOST_SHOWN]
    if status != 200:
        raise CommandError(f"health: {said or 'no reason given'} ({path} answered {status})", FAILED)
    if said != _WELL[path]:
        raise CommandError(f"health: what answers {path} is not mcproxy: {said or 'it says nothing'}", FAILED)
    print(said)
    return DONE


class _Tls(NamedTuple):
    certificate: Path
    wants_certificate: bool


class AdminSection(NamedTuple):
    """What the client of the admin port needs of the section `admin`."""

    bind: TcpAddress | UnixAddress
    health_bind: TcpAddress | UnixAddress | None
    tls: _Tls | None
    token_file: Path | None


def read_admin(path: Path) -> AdminSection:
    """The section `admin` of a configuration file, whatever else is wrong with it. Raises ConfigurationError."""
    from mcproxy.config.addresses import TcpAddress, parse_bind
    from mcproxy.config.source import read_text

    section = _section(path, read_text(path))
    bind: TcpAddress | UnixAddress = TcpAddress("127.0.0.1", 9156)
    health_bind: TcpAddress | UnixAddress | None = None
    tls, token_file = section.get("tls"), section.get("token_file")
    files = tls if isinstance(tls, dict) else {}
    try:
        if "bind" in section:
            bind = parse_bind(section["bind"])
        if "health_bind" in section:
            health_bind = parse_bind(section["health_bind"])
    except ValueError as error:
        raise _wrong(path, str(error)) from None
    return AdminSection(
        bind,
        health_bind,
        # Whatever stands there, it means that TLS is spoken.
        None if tls is None else _Tls(path.parent / str(files.get("certificate")), files.get("client_ca") is not None),
        None if token_file is None else path.parent / str(token_file),
    )


def _section(path: Path, text: str) -> dict[str, Any]:
    """Only this section's nodes are made into data: the others may be thousands of grants."""
    import yaml

    # The C parser, where PyYAML has it, takes a tenth of the time. `mcproxy check` says what is wrong in better words.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        if not isinstance(root, yaml.MappingNode):
            raise _wrong(path, "must be a mapping")
        loader.flatten_mapping(root)
        found = [value for name, value in root.value if name.value == "admin"]
        if not found:
            return {}
        section = loader.construct_document(found[-1])
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        raise _wrong(path, "not valid YAML; mcproxy check says more") from None
    finally:
        loader.dispose()
    if not isinstance(section, dict):
        raise _wrong(path, "must be a mapping")
    return section


def _wrong(path: Path, message: str) -> ConfigurationError:
    from mcproxy.config.problems import ConfigurationError, Problem

    return ConfigurationError([Problem(path, None, "admin", message)])
