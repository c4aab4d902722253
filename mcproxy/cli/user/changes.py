"""`mcproxy user add|passwd|remove`."""

from __future__ import annotations

import argparse
from pathlib import Path

from mcproxy.auth.users import Users, format_line
from mcproxy.cli.errors import DONE, WRONG_USAGE, CommandError, give_up_standard_output
from mcproxy.cli.user.file import change, read_users, with_lines, with_newer, with_user, without_older
from mcproxy.cli.user.passwords import iterations_of, mechanisms_of, new_password, new_verifiers, second_verifiers
from mcproxy.cli.user.target import check_name, look_after, refuse_taken, refuse_unknown, users_file_of


def add_user(options: argparse.Namespace) -> int:
    """Add a user. Raises CommandError, among others if the name is taken."""
    path = users_file_of(options)
    name: str = options.name
    check_name(name)
    refuse_taken(read_users(path)[1], name, path)  # before anybody types a password; again under the lock
    password = new_password(options)
    verifiers = new_verifiers(password, mechanisms_of(options), iterations_of(options))

    def edit(text: str, users: Users) -> str:
        refuse_taken(users, name, path)
        return with_lines(text, [format_line(name, verifier) for verifier in verifiers])

    change(path, edit)
    look_after(path)
    _done(options, f"added {name} to {path}", password)
    return DONE


def passwd_user(options: argparse.Namespace) -> int:
    """Replace a user's lines by those of a new password, or put these before them (--keep-old).

    Raises CommandError, among others if there is no such user.
    """
    path = users_file_of(options)
    name: str = options.name
    users = read_users(path)[1]
    refuse_unknown(users, name, path)
    if options.keep_old:
        return _rotate(options, path, users)
    password = new_password(options)
    mechanisms = mechanisms_of(options, users.mechanisms(name))
    verifiers = new_verifiers(password, mechanisms, iterations_of(options))

    def edit(text: str, users: Users) -> str:
        refuse_unknown(users, name, path)
        return with_user(text, name, [format_line(name, verifier) for verifier in verifiers])

    change(path, edit)
    look_after(path)
    _done(options, f"changed the password of {name} in {path}", password)
    return DONE


def remove_user(options: argparse.Namespace) -> int:
    """Remove a user's lines, or the older of two. Raises CommandError if there is no such user, or no older one."""
    path = users_file_of(options)
    name: str = options.name

    def edit(text: str, users: Users) -> str:
        refuse_unknown(users, name, path)
        if not options.old:
            return with_user(text, name, [])
        if name not in users.rotating():
            raise CommandError(f"{name} has only one password; without --old this removes the user")
        return without_older(text, name)

    change(path, edit)
    what = f"the older password of {name}" if options.old else name
    print(f"removed {what} from {path}")
    look_after(path)
    return DONE


def _rotate(options: argparse.Namespace, path: Path, users: Users) -> int:
    """A second password beside the present one, with its salt and iterations: see mcproxy.auth.users."""
    name: str = options.name
    for option, given in (("--mechanism", options.mechanisms), ("--iterations", options.iterations)):
        if given is not None:
            raise CommandError(f"{option} can't be changed while the old password is kept", WRONG_USAGE)
    _refuse_third(users, name)
    password = new_password(options)
    present = users.secrets(name)
    verifiers = second_verifiers(password, [verifiers[0] for verifiers in users.mechanisms(name).values()])

    def edit(text: str, users: Users) -> str:
        refuse_unknown(users, name, path)
        _refuse_third(users, name)
        if users.secrets(name) != present:
            raise CommandError(f"somebody else has just changed the password of {name}; nothing was changed")
        return with_newer(text, name, [(verifier, format_line(name, verifier)) for verifier in verifiers])

    change(path, edit)
    look_after(path)
    _done(options, f"{name} has a new password in {path}; the old one works until: {_drop(name)}", password)
    return DONE


def _refuse_third(users: Users, name: str) -> None:
    if name in users.rotating():
        raise CommandError(f"{name} has two passwords already; drop the old one first: {_drop(name)}")


def _drop(name: str) -> str:
    return f"mcproxy user remove {name} --old"


def _done(options: argparse.Namespace, message: str, password: str) -> None:
    """What was done; a generated password instead, alone, so that a script can take it. Raises CommandError."""
    try:
        print(password if options.generate else message, flush=True)
    except OSError as error:
        if not options.generate:
            raise
        give_up_standard_output()
        why = error.strerror or error
        raise CommandError(f"{message}, but the password can't be shown ({why}); give another one") from None
