"""What `mcproxy user ...` understands. Passwords never come from the command line, where every process of the machine
could read them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

from mcproxy.cli.arguments import add_config_option, file_name

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1")
"""Those of mcproxy.auth.verifiers, which takes longer to import than `mcproxy --help` should take."""

SOURCES = ("sasldb2", "memcached", "postgresql")


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "user",
        help="add, change, remove, list, try or import users",
        description="Keep the users file: who may log in by password.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, title="actions")
    _password_action(actions, "add", "add a user")
    passwd = _password_action(actions, "passwd", "give a user another password")
    passwd.add_argument(
        "--keep-old", action="store_true", help="let the present password work too, until 'remove NAME --old'"
    )
    remove = _action(actions, "remove", "remove a user, or the older of two passwords", "changes")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--old", action="store_true", help="only the older password of two")
    listing = _action(actions, "list", "list users, their mechanisms and when each password was last used", "showing")
    listing.add_argument("--json", action="store_true", help="as JSON, for scripts")
    verify = _action(actions, "verify", "tell whether a password is a user's", "showing", takes_password=True)
    verify.add_argument("name", metavar="NAME")
    verify.add_argument("--password-stdin", action="store_true", help=_STDIN)
    _import_action(actions)


_STDIN = "read the password, one line, from standard input"


def _action(actions: Any, name: str, text: str, module: str, takes_password: bool = False) -> Any:
    action = actions.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", takes_password=takes_password
    )
    action.set_defaults(command=_later(module, name))
    where = action.add_mutually_exclusive_group()
    where.add_argument("--users-file", metavar="FILE", type=file_name, help="the users file itself")
    add_config_option(where)
    return action


def _later(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """Runs `<name>_user` of a module beside this one, which is imported only if it is called."""

    def run(options: argparse.Namespace) -> int:
        function = getattr(importlib.import_module(f"mcproxy.cli.user.{module}"), f"{name}_user")
        status: int = function(options)
        return status

    return run


def _password_action(actions: Any, name: str, text: str) -> Any:
    action = _action(actions, name, text, "changes", takes_password=True)
    action.add_argument("name", metavar="NAME")
    source = action.add_mutually_exclusive_group()
    source.add_argument("--password-stdin", action="store_true", help=_STDIN)
    source.add_argument("--generate", action="store_true", help="make a random password and print it")
    of_user = " (default: those that the user has)" if name == "passwd" else ""
    _add_hashing_options(action, of_user)
    return action


def _import_action(actions: Any) -> None:
    action = _action(actions, "import", "import users from Cyrus SASL, memcached or PostgreSQL", "importing")
    action.add_argument(
        "--from",
        dest="source",
        choices=SOURCES,
        required=True,
        help="what FILE is: a sasldb2 of saslpasswd2, a file for memcached -Y, or SCRAM secrets of PostgreSQL",
    )
    action.add_argument(
        "file", metavar="FILE", type=file_name, help="what to import; - is standard input, but for a sasldb2"
    )
    action.add_argument("--realm", metavar="REALM", help="whose users of a sasldb2 (default: its only realm)")
    action.add_argument("--replace", action="store_true", help="change users that are there already")
    _add_hashing_options(action)


def _add_hashing_options(action: Any, of_user: str = " (default: SCRAM-SHA-256)") -> None:
    action.add_argument(
        "--mechanism",
        dest="mechanisms",
        metavar="NAME",
        action="append",
        choices=MECHANISMS,
        help=f"SASL mechanism to make a line for: {', '.join(MECHANISMS)}; may be given several times{of_user}",
    )
    action.add_argument(
        "--iterations", metavar="N", type=int, help="rounds of hashing that one guess costs (default: 32768)"
    )
