"""What the commands' argument parsers have in common."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, NoReturn

from mcproxy.cli.errors import WRONG_USAGE, complain

DEFAULT_CONFIG = "/etc/mcproxy/mcproxy.yaml"


class Parser(argparse.ArgumentParser):
    """argparse, with mistakes told in one line and without guessing at shortened options."""

    def __init__(self, **arguments: Any) -> None:
        arguments.setdefault("allow_abbrev", False)
        super().__init__(**arguments)

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        complain(f'{command + ": " if command else ""}{message}; see "{self.prog} --help"')
        raise SystemExit(WRONG_USAGE)


def add_config_option(parser: Any) -> None:
    """Add `--config FILE`, by default the file of MCPROXY_CONFIG or else /etc/mcproxy/mcproxy.yaml.

    `parser` is an ArgumentParser or one of its groups; the value is a Path.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=Path(os.environ.get("MCPROXY_CONFIG") or DEFAULT_CONFIG),
        help=f"the configuration (default: the environment's MCPROXY_CONFIG, else {DEFAULT_CONFIG})",
    )
