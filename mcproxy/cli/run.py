"""`mcproxy run`: the proxy, in the foreground."""

from __future__ import annotations

import argparse
from typing import Any

from mcproxy.cli.arguments import add_config_option
from mcproxy.cli.errors import WRONG_USAGE, CommandError


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "run", help="run the proxy", description="Run the proxy in the foreground until SIGTERM or SIGINT."
    )
    add_config_option(parser)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop. Raises ConfigurationError, or CommandError for an address that can't be listened on."""
    from mcproxy.config.load import loads, read_text
    from mcproxy.config.notes import notes
    from mcproxy.observe import log
    from mcproxy.server.serve import run_server
    from mcproxy.server.sockets import BindError
    from mcproxy.workers.run import run_workers

    text = read_text(options.config)
    settings = loads(text, options.config)
    log.configure(settings.logging.level, settings.logging.format)
    for note in notes(settings):
        log.get_logger().warning("configuration_note", note=note)
    try:
        return run_server(settings) if settings.workers == 1 else run_workers(settings, text, options.config)
    except BindError as error:
        raise CommandError(str(error), WRONG_USAGE) from None
