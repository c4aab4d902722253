"""`mcproxy user add|passwd|remove|list`: the users file's keeper. Passwords never come from the command line, where
every process of the machine could read them."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcproxy.cli.arguments import add_config_option, file_name
from mcproxy.cli.errors import DONE, WRONG_USAGE, CommandError, complain

if TYPE_CHECKING:
    from mcproxy.auth.users import Users

LONGEST_INPUT = 4096
"""Bytes read for a password line; what passwords may have is the verifier's matter and far less."""

GENERATED_BYTES = 24
"""Of randomness in a generated password: 192 bits, 32 characters that no shell or URL minds."""

CYRUS_ITERATIONS = 65_536
"""Above this, SCRAM clients built on Cyrus SASL refuse to log in (measured)."""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "user", help="add, change, remove or list users", description="Keep the users file: who may log in by password."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    for name, command, text in (
        ("add", add, "add a user"),
        ("passwd", passwd, "give a user another password"),
        ("remove", remove, "remove a user"),
        ("list", list_users, "list users, their mechanisms and iteration counts"),
    ):
        action = actions.add_parser(
            name, help=text, description=f"{text.capitalize()}.", takes_password=command in (add, passwd)
        )
        action.set_defaults(command=command)
        if command is not list_users:
            action.add_argument("name", metavar="NAME")
        where = action.add_mutually_exclusive_group()
        where.add_argument("--users-file", metavar="FILE", type=file_name, help="the users file itself")
        add_config_option(where)
        if command in (add, passwd):
            _add_password_options(action)


def _add_password_options(parser: Any) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--password-stdin", action="store_true", help="read the password, one line, from standard input"
    )
    source.add_argument("--generate", action="store_true", help="make a random password and print it")
    parser.add_argument(
        "--iterations", metavar="N", type=int, help="rounds of hashing that one guess costs (default: 32768)"
    )


def add(options: argparse.Namespace) -> int:
    """Add a user. Raises CommandError, among others if the name is taken."""
    from mcproxy.cli.users_file import change, read_users, with_line

    path = _users_file(options)
    _check_name(options.name)

    def refuse_taken(users: Users) -> None:
        if options.name in users:
            raise CommandError(f'{path} already has a user {options.name}; "mcproxy user passwd" changes a password')

    refuse_taken(read_users(path)[1])  # before anybody types a password; again under the lock
    password = _password(options)
    line = _line(options, password)

    def edit(text: str, users: Users) -> str:
        refuse_taken(users)
        return with_line(text, line)

    change(path, edit)
    _done(options, f"added {options.name} to {path}", password)
    _warn_if_readable(path)
    return DONE


def passwd(options: argparse.Namespace) -> int:
    """Replace a user's lines by one with a new password. Raises CommandError, among others if there is no such user."""
    from mcproxy.cli.users_file import change, read_users, without_user

    path = _users_file(options)
    _refuse_unknown(read_users(path)[1], options.name, path)
    password = _password(options)
    line = _line(options, password)

    def edit(text: str, users: Users) -> str:
        _refuse_unknown(users, options.name, path)
        return without_user(text, options.name, replacement=line)

    change(path, edit)
    _done(options, f"changed the password of {options.name} in {path}", password)
    _warn_if_readable(path)
    return DONE


def remove(options: argparse.Namespace) -> int:
    """Remove a user's lines. Raises CommandError if there is no such user."""
    from mcproxy.cli.users_file import change, without_user

    path = _users_file(options)

    def edit(text: str, users: Users) -> str:
        _refuse_unknown(users, options.name, path)
        return without_user(text, options.name)

    change(path, edit)
    print(f"removed {options.name} from {path}")
    return DONE


def list_users(options: argparse.Namespace) -> int:
    """Print a line per user and mechanism: name, mechanism, iterations. Raises CommandError if there is no file."""
    from mcproxy.cli.users_file import read_users

    path = _users_file(options)
    lines = list(read_users(path)[1].lines())
    if not path.exists():
        raise CommandError(f'there is no file {path}; "mcproxy user add" makes it')
    width = max((len(name) for name, _ in lines), default=0)
    for name, verifier in lines:
        print(f"{name:{width}}  {verifier.mechanism}  {verifier.iterations}")
    return DONE


def _users_file(options: argparse.Namespace) -> Path:
    if options.users_file is not None:
        return Path(options.users_file)
    from mcproxy.config.load import users_file_of

    return users_file_of(options.config)


def _check_name(name: str) -> None:
    from mcproxy.auth.preparation import name_problem

    problem = name_problem(name)
    if problem:
        raise CommandError(f'"{name}": {problem}', WRONG_USAGE)


def _refuse_unknown(users: Users, name: str, path: Path) -> None:
    if name not in users:
        from mcproxy.config.problems import suggestion

        known = users.names()
        hint = suggestion(name, known) if 0 < len(known) <= 10 else '"mcproxy user list" lists them'
        raise CommandError(f"{path} has no user {name}; {hint}")


def _password(options: argparse.Namespace) -> str:
    """The new password. Raises CommandError if none can be had, or one that can't be typed into a client."""
    if options.generate:
        return secrets.token_urlsafe(GENERATED_BYTES)
    password = _password_from_stdin() if options.password_stdin else _password_from_terminal(options.name)
    if not password:
        raise CommandError("the password is empty; nothing was changed")
    if any(char in password for char in "\0\r\n"):
        raise CommandError("a password can't hold line ends or NUL; nothing was changed")
    return password


def _password_from_stdin() -> str:
    if sys.stdin is None:
        raise CommandError("standard input is closed; pipe the password into this command", WRONG_USAGE)
    content = sys.stdin.buffer.read(LONGEST_INPUT + 1)
    if len(content) > LONGEST_INPUT:
        raise CommandError(f"the password is longer than {LONGEST_INPUT} bytes; nothing was changed")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise CommandError("the password is not UTF-8 text; nothing was changed") from None
    return text.removesuffix("\n").removesuffix("\r")


def _password_from_terminal(name: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError("no terminal to ask for a password; use --password-stdin or --generate", WRONG_USAGE)
    try:
        password = getpass.getpass(f"Password for {name}: ")
        if password and getpass.getpass("Once more: ") != password:
            raise CommandError("the two passwords differ; nothing was changed")
    except EOFError:
        raise CommandError("no password was typed; nothing was changed") from None
    return password


def _line(options: argparse.Namespace, password: str) -> str:
    from mcproxy.auth.users import format_line
    from mcproxy.auth.verifiers import DEFAULT_ITERATIONS, PasswordError, make_verifier

    iterations = DEFAULT_ITERATIONS if options.iterations is None else options.iterations
    try:
        line = format_line(options.name, make_verifier(password, iterations))
    except PasswordError as error:
        raise CommandError(f"{error}; nothing was changed") from None
    except ValueError as error:
        raise CommandError(f"--iterations {iterations}: {error}", WRONG_USAGE) from None
    if iterations > CYRUS_ITERATIONS:
        complain(f"warning: SCRAM clients built on Cyrus SASL refuse more than {CYRUS_ITERATIONS} iterations")
    return line


def _done(options: argparse.Namespace, message: str, password: str) -> None:
    """What was done; a generated password instead, alone, so that a script can take it."""
    print(password if options.generate else message)


def _warn_if_readable(path: Path) -> None:
    if path.stat().st_mode & 0o006:
        complain(f"warning: {path} can be read or changed by everybody, so mcproxy won't use it; run: chmod o= {path}")
