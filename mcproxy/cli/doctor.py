"""`mcproxy doctor`: is this deployment safe, as it runs? It changes nothing and stores nothing."""

from __future__ import annotations

import argparse
import ipaddress
import shutil
from typing import Any

from mcproxy.cli.arguments import add_config_option, file_name
from mcproxy.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="look at the running deployment as an auditor would",
        description="Look at the running proxy, its memcached, its files and this machine, and print a table of "
        "verdicts. Nothing is changed and nothing stored; one login with a made-up name is tried. Run it as root, on "
        "the proxy's machine. Exit status 0: nothing found; 1: findings, or something that could not be told.",
        takes_password=True,
    )
    add_config_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON (docs/doctor.md) in place of the table")
    parser.add_argument(
        "--user", dest="name", metavar="NAME", help="log in as this user on every listener that takes passwords"
    )
    parser.add_argument("--password-stdin", action="store_true", help="read that user's password from standard input")
    parser.add_argument(
        "--from-address",
        metavar="ADDRESS",
        action="append",
        type=_address,
        default=[],
        help="try the allowlists from this address of this machine too; may be given several times",
    )
    parser.add_argument(
        "--certificate", metavar="FILE", type=file_name, help="a client certificate to show to the admin port"
    )
    parser.add_argument("--key", metavar="FILE", type=file_name, help="its key, if that is not in the same file")
    parser.set_defaults(command=doctor)


def doctor(options: argparse.Namespace) -> int:
    """Raises CommandError for a wrong command line, ConfigurationError for a configuration nothing can be made of."""
    import trio

    from mcproxy.cli.user.passwords import tried_password
    from mcproxy.doctor.deployment import Asked, read_material
    from mcproxy.doctor.run import examine_all
    from mcproxy.doctor.show import as_json, failed, table

    if options.password_stdin and options.name is None:
        raise CommandError("--password-stdin needs --user NAME", WRONG_USAGE)
    if options.key is not None and options.certificate is None:
        raise CommandError("--key needs --certificate FILE", WRONG_USAGE)
    password = tried_password(options) if options.name is not None else None
    asked = Asked(options.config, options.name, password, tuple(options.from_address), options.certificate, options.key)
    material, refusals = read_material(options.config)
    examined = trio.run(examine_all, asked, material, refusals)
    if options.json:
        print(as_json(examined, options.config))
    else:
        print("\n".join(table(examined, shutil.get_terminal_size((110, 24)).columns)))
    return FAILED if failed(examined) else DONE


def _address(text: str) -> str:
    """Raises ArgumentTypeError."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
