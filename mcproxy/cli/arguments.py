"""What the commands' argument parsers have in common."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from mcproxy.cli.errors import WRONG_USAGE, complain

DEFAULT_CONFIG = "/etc/mcproxy/mcproxy.yaml"


class Parser(argparse.ArgumentParser):
    """argparse, with mistakes told in one line and without guessing at shortened options."""

    def __init__(self, takes_password: bool = False, **arguments: Any) -> None:
        arguments.setdefault("allow_abbrev", False)
        super().__init__(**arguments)
        self._takes_password = takes_password
        """Somebody may put a password on this command's line: what it doesn't know is not repeated."""
        self._secrets: list[str] = []

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse has it, but what isn't known is told here, by the command that it was given to."""
        given = sys.argv[1:] if args is None else list(args)
        self._secrets = _passwords(given)
        options, unknown = super().parse_known_args(given, namespace)
        if unknown:
            shown = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            if not shown and not self._takes_password:
                shown = unknown
            if not self._secrets and self._takes_password:
                self._secrets = unknown
            self.error(f"unrecognized arguments{': ' if shown else ''}{' '.join(shown)}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        for secret in self._secrets:
            message = message.replace(repr(secret), "'...'")
        hint = "; no password goes on a command line, use --password-stdin" if self._secrets else ""
        complain(f'{command + ": " if command else ""}{message}{hint}; see "{self.prog} --help"')
        raise SystemExit(WRONG_USAGE)


def _passwords(arguments: list[str]) -> list[str]:
    """What follows `--password`, or anything like it, as the next word or after an equals sign."""
    found = []
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        option, equals, value = word.partition("=")
        if option.startswith("--pass"):
            if equals:
                found.append(value)
            elif option != "--password-stdin":
                found.append(following)
    return [word for word in found if word]


def file_name(text: str) -> Path:
    """The path that an option names. Raises ArgumentTypeError for none: `--config "$UNSET"` is not the directory."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; it must name a file")
    return Path(text)


def add_config_option(parser: Any) -> None:
    """Add `--config FILE`, by default the file of MCPROXY_CONFIG or else /etc/mcproxy/mcproxy.yaml.

    `parser` is an ArgumentParser or one of its groups; the value is a Path.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=file_name,
        default=Path(os.environ.get("MCPROXY_CONFIG") or DEFAULT_CONFIG),
        help=f"the configuration (default: the environment's MCPROXY_CONFIG, else {DEFAULT_CONFIG})",
    )
