"""How commands tell what went wrong: one line each on standard error, and an exit status."""

from __future__ import annotations

import os
import sys

DONE = 0
FAILED = 1
WRONG_USAGE = 2
"""The command line or the configuration is wrong."""


class CommandError(Exception):
    """A command can't go on. The message is one line for the person at the terminal; `status` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def complain(message: str) -> None:
    """Print `mcproxy: message` on standard error: one line, with whatever could upset a terminal or a log escaped."""
    from mcproxy.config.problems import printable

    if sys.stderr is not None:  # None if it was closed before the start
        print(f"mcproxy: {printable(message)}", file=sys.stderr)


def give_up_standard_output() -> None:
    """Python flushes standard output once more at its end; that must not fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
