"""`mcproxy top`: what the running proxy does, live in the terminal, out of its /status.json."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from mcproxy.cli.arguments import add_config_option, file_name
from mcproxy.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError

SHORTEST, USUAL, LONGEST = 0.2, 2.0, 3600.0
"""Seconds of --interval. The proxy measures its rates every two seconds."""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "top",
        help="show live what the running proxy does",
        description="Show live what the running proxy does: whether it is well, rates, links, what is used of each "
        "limit, sessions by principal, the latest refusals. q or Ctrl-C ends it.",
    )
    add_config_option(parser)
    parser.add_argument("--once", action="store_true", help="print it once, as plain text, and end")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_seconds,
        default=USUAL,
        help=f"how often to look (default: {USUAL:g})",
    )
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        type=file_name,
        help="a client's certificate, where admin.tls.client_ca asks for one",
    )
    parser.add_argument("--key", metavar="FILE", type=file_name, help="its key, if that is in a file of its own")
    parser.set_defaults(command=top)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"must be a number of seconds, {SHORTEST:g} to {LONGEST:g}")
    return seconds


def top(options: argparse.Namespace) -> int:
    """Show it until told to stop, or once. Raises CommandError and ConfigurationError."""
    from mcproxy.cli.health import read_admin
    from mcproxy.cli.top.asking import NoStatus, Source

    if options.key is not None and options.certificate is None:
        raise CommandError("top: --key is of no use without --certificate", WRONG_USAGE)
    source = Source(read_admin(options.config), options.certificate, options.key)
    if options.once:
        from mcproxy.cli.top.view import View, plain

        try:
            print(plain(View(source.ask()).lines()))
        except NoStatus as error:
            raise CommandError(f"top: {error}", FAILED) from None
        return DONE
    _refuse_without_terminal()
    from mcproxy.cli.top.live import Live

    Live(source, options.interval).run()
    return DONE


def _refuse_without_terminal() -> None:
    if sys.stdout is None or not sys.stdout.isatty():
        raise CommandError("top: standard output is no terminal; use --once", WRONG_USAGE)
    if os.environ.get("TERM", "dumb") == "dumb":
        raise CommandError("top: this terminal can't be drawn on (TERM is not set, or dumb); use --once", WRONG_USAGE)
