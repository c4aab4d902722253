"""`mcproxy acl --as WHO 'COMMAND LINE'...`: may this principal send that, and why? Nothing is sent anywhere."""

from __future__ import annotations

import argparse
from typing import Any

from mcproxy.cli.arguments import add_config_option
from mcproxy.cli.errors import WRONG_USAGE, CommandError


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "acl",
        help="tell whether somebody may send a command, and why",
        description="Tell whether somebody may send a command line of the text protocol, and by which role and grant, "
        "or what is missing. The configuration on disk is asked, by the grammar that the proxy uses; nothing is sent "
        "anywhere. Exit status 0: all of them are allowed; 1: one isn't; 2: the command line or the configuration is "
        "wrong.",
    )
    parser.add_argument(
        "--as",
        dest="who",
        metavar="WHO",
        required=True,
        help="user:NAME, or certificate:NAME, address:NAME or peer:NAME with the `as` of a grant, or anonymous",
    )
    parser.add_argument(
        "--listener", metavar="NAME", help="connected to this listener (default: each that lets WHO log in)"
    )
    parser.add_argument(
        "lines",
        metavar="COMMAND_LINE",
        nargs="+",
        help="such as 'get app:1'; its line end may be left out, and so may the data block of a storage command",
    )
    add_config_option(parser)
    parser.set_defaults(command=acl)


def acl(options: argparse.Namespace) -> int:
    """Print a verdict for each command line, and its grounds. Raises CommandError and ConfigurationError."""
    if empty := [line for line in options.lines if not line.strip()]:
        raise CommandError(f"acl: {empty[0]!r} is no command line", WRONG_USAGE)
    from mcproxy.cli.acl.answer import answer

    return answer(options.config, options.who, options.listener, options.lines)
