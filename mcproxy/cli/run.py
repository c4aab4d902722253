"""`mcproxy run`: the proxy, in the foreground."""

from __future__ import annotations

import argparse
import os
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
    from mcproxy.cli.early import has_come
    from mcproxy.observe import log
    from mcproxy.server.inherited import InheritedSockets
    from mcproxy.server.reload import load_first
    from mcproxy.server.serve import run_server
    from mcproxy.server.service_manager import ServiceManager
    from mcproxy.server.signals import LateSignals
    from mcproxy.server.sockets import BindError
    from mcproxy.workers.run import run_workers

    late_signals = LateSignals()
    late_signals.reload |= has_come()
    try:
        inherited = InheritedSockets.from_environment(os.environ)
    except BindError as error:
        raise CommandError(str(error), WRONG_USAGE) from None
    loaded = load_first(options.config)
    settings = loaded.material.settings
    log.configure(settings.logging.level, settings.logging.format)
    manager = ServiceManager.from_environment(os.environ)
    for note in loaded.notes:
        log.get_logger().warning("configuration_note", note=note)
    serve = run_server if settings.workers == 1 else run_workers
    try:
        return serve(loaded, late_signals, inherited, manager)
    except BindError as error:
        raise CommandError(str(error), WRONG_USAGE) from None
