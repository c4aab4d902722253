"""Which users file a command is about, and which user of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mcproxy.auth.preparation import name_problem
from mcproxy.auth.users import Users
from mcproxy.cli.errors import WRONG_USAGE, CommandError, complain


def users_file_of(options: argparse.Namespace) -> Path:
    """The file that --users-file names, else the configuration. Raises ConfigurationError."""
    if options.users_file is not None:
        return Path(options.users_file)
    from mcproxy.config import load

    return load.users_file_of(options.config)


def check_name(name: str) -> None:
    """Raises CommandError for a name that nobody can have."""
    problem = name_problem(name)
    if problem:
        raise CommandError(f'"{name}": {problem}', WRONG_USAGE)


def refuse_taken(users: Users, name: str, path: Path) -> None:
    """Raises CommandError if there is such a user."""
    if name in users:
        raise CommandError(f'{path} already has a user {name}; "mcproxy user passwd" changes a password')


def refuse_unknown(users: Users, name: str, path: Path) -> None:
    """Raises CommandError if there is no such user."""
    if name not in users:
        from mcproxy.config.problems import suggestion

        known = users.names()
        hint = suggestion(name, known) if 0 < len(known) <= 10 else '"mcproxy user list" lists them'
        raise CommandError(f"{path} has no user {name}; {hint}")


def look_after(path: Path) -> None:
    """After a change: make the key that belongs beside the file, and warn of what the server would refuse."""
    from mcproxy.files.stand_in_key import StandInKeyError, read_or_make_stand_in_key

    try:
        read_or_make_stand_in_key(path)
    except StandInKeyError as error:
        complain(f"warning: {error}")
    if path.stat().st_mode & 0o006:
        complain(f"warning: {path} can be read or changed by everybody, so mcproxy won't use it; run: chmod o= {path}")
