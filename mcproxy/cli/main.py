"""`mcproxy COMMAND ...`: finds the command, runs it, and turns what it raises into a line and an exit status."""

from __future__ import annotations

import sys


def refuse_old_python(version: tuple[int, ...]) -> str | None:
    """Why this Python won't do. This file, and all that is imported before the answer, keeps to old syntax."""
    if version >= (3, 11):
        return None
    have = ".".join(str(part) for part in version[:3])
    return f"mcproxy: needs Python 3.11 or newer and this is {have}; Debian 12 and Ubuntu 24.04 have it"


_refusal = refuse_old_python(tuple(sys.version_info[:3]))
if _refusal:
    sys.exit(_refusal)

from mcproxy.cli.descriptors import open_missing  # noqa: E402

open_missing()

from mcproxy.cli.early import expect_signals  # noqa: E402

expect_signals()

import importlib  # noqa: E402
import io  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402

import mcproxy  # noqa: E402
from mcproxy.cli.arguments import Parser  # noqa: E402
from mcproxy.cli.errors import FAILED, WRONG_USAGE, CommandError, complain, give_up_standard_output  # noqa: E402
from mcproxy.compiling import is_compiled  # noqa: E402
from mcproxy.config.problems import ConfigurationError  # noqa: E402

COMMANDS = ("run", "check", "acl", "doctor", "health", "top", "demo", "user")
"""Modules beside this one. Each has `register(subparsers)` and imports what is heavy inside of its functions."""

INTERRUPTED = 130  # 128 + SIGINT, what shells report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own by default) and return its exit status."""
    # Certificates that are a little odd are taken: this is not for whoever runs a command, but for its developers.
    warnings.filterwarnings("ignore", category=UserWarning, module="mcproxy")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of users may have letters that the terminal's encoding has not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _command(arguments)
        return status if _flushed() else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        give_up_standard_output()
        return FAILED


def _command(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    # The one that is asked for is enough, where it comes first: the parsers of all take longer than `mcproxy health`.
    commands = tuple(name for name in COMMANDS if name in given[:1]) or COMMANDS
    try:
        options = make_parser(commands).parse_args(arguments)
        status: int = options.command(options)
        return status
    except SystemExit as stop:  # argparse, after --help, --version or a mistake
        return stop.code if isinstance(stop.code, int) else FAILED
    except ConfigurationError as error:
        for problem in error.problems:
            complain(str(problem))
        return WRONG_USAGE
    except CommandError as error:
        complain(error.message)
        return error.status
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        complain(f"{named}{error.strerror or error}")
        return FAILED


def _flushed() -> bool:
    """Whether what was printed went out. A full disk behind `mcproxy user list > file` is a failure."""
    if sys.stdout is None:  # closed before the start
        return True
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        complain(f"can't write to standard output: {error.strerror or error}")
        give_up_standard_output()
        return False
    return True


def make_parser(commands: Sequence[str] = COMMANDS) -> Parser:
    """All that `mcproxy` understands, or these commands alone. Completion and the manual page are made from it."""
    parser = Parser(prog="mcproxy", description="An authenticating TLS/SASL proxy in front of memcached.")
    version = f"mcproxy {mcproxy.__version__}" + (" (compiled)" if is_compiled() else "")
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for name in commands:
        importlib.import_module(f"mcproxy.cli.{name}").register(subparsers)
    return parser
