"""Where passwords come from, and what becomes of them."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from collections.abc import Iterable

from mcproxy.auth.verifiers import DEFAULT_ITERATIONS, DEFAULT_MECHANISM, PasswordError, Verifier, make_verifier
from mcproxy.cli.errors import WRONG_USAGE, CommandError, complain

LONGEST_INPUT = 4096
"""Bytes read for a password line; what passwords may have is the verifier's matter and far less."""

GENERATED_BYTES = 24
"""Of randomness in a generated password: 192 bits, 32 characters that no shell or URL minds."""

CYRUS_ITERATIONS = 65_536
"""Above this, SCRAM clients built on Cyrus SASL refuse to log in (measured)."""


def new_password(options: argparse.Namespace) -> str:
    """The new password. Raises CommandError if none can be had, or one that can't be typed into a client."""
    if options.generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    password = _from_stdin("; nothing was changed") if options.password_stdin else _from_terminal(options.name)
    if not password:
        raise CommandError("the password is empty; nothing was changed")
    if any(char in password for char in "\0\r\n"):
        raise CommandError("a password can't hold line ends or NUL; nothing was changed")
    return password


def tried_password(options: argparse.Namespace) -> str:
    """A password that may be right or wrong. Raises CommandError if none can be had."""
    if options.password_stdin:
        return _from_stdin("")
    _need_terminal("use --password-stdin")
    try:
        return getpass.getpass(f"Password for {options.name}: ")
    except EOFError:
        raise CommandError("no password was typed") from None


def _from_stdin(consequence: str) -> str:
    if sys.stdin is None:
        raise CommandError("standard input is closed; pipe the password into this command", WRONG_USAGE)
    content = sys.stdin.buffer.read(LONGEST_INPUT + 1)
    if len(content) > LONGEST_INPUT:
        raise CommandError(f"the password is longer than {LONGEST_INPUT} bytes{consequence}")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise CommandError(f"the password is not UTF-8 text{consequence}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _from_terminal(name: str) -> str:
    _need_terminal("use --password-stdin or --generate")
    try:
        password = getpass.getpass(f"Password for {name}: ")
        if password and getpass.getpass("Once more: ") != password:
            raise CommandError("the two passwords differ; nothing was changed")
    except EOFError:
        raise CommandError("no password was typed; nothing was changed") from None
    return password


def _need_terminal(instead: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError(f"no terminal to ask for a password; {instead}", WRONG_USAGE)


def iterations_of(options: argparse.Namespace) -> int:
    """As many as --iterations says."""
    return DEFAULT_ITERATIONS if options.iterations is None else int(options.iterations)


def warn_of_iterations(iterations: int) -> None:
    """If there are clients that don't take as many."""
    if iterations > CYRUS_ITERATIONS:
        complain(f"warning: SCRAM clients built on Cyrus SASL refuse more than {CYRUS_ITERATIONS} iterations")


def mechanisms_of(options: argparse.Namespace, default: Iterable[str] = (DEFAULT_MECHANISM,)) -> list[str]:
    """Those of --mechanism, each once."""
    return list(dict.fromkeys(options.mechanisms or default))


def new_verifiers(password: str, mechanisms: Iterable[str], iterations: int) -> list[Verifier]:
    """One for each mechanism, each with a salt of its own. Raises CommandError."""
    try:
        verifiers = [make_verifier(password, iterations, mechanism=mechanism) for mechanism in mechanisms]
    except PasswordError as error:
        raise CommandError(f"{error}; nothing was changed") from None
    except ValueError as error:
        raise CommandError(f"--iterations {iterations}: {error}", WRONG_USAGE) from None
    warn_of_iterations(iterations)
    return verifiers


def second_verifiers(password: str, olds: Iterable[Verifier]) -> list[Verifier]:
    """One for each of these, with its salt and iterations. Raises CommandError, also for the same password again."""
    try:
        made = [(old, make_verifier(password, old.iterations, old.salt, old.mechanism)) for old in olds]
    except PasswordError as error:
        raise CommandError(f"{error}; nothing was changed") from None
    if any(new == old for old, new in made):
        raise CommandError("that is the user's password already; nothing was changed")
    return [new for _, new in made]
