"""`mcproxy user list|verify`: what the users file holds, without changing it."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from typing import Any

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier, matching
from mcproxy.cli.errors import DONE, FAILED, CommandError, complain
from mcproxy.cli.user.file import read_users
from mcproxy.cli.user.passwords import tried_password
from mcproxy.cli.user.target import refuse_unknown, users_file_of
from mcproxy.files.last_used import NEWER, OLDER, LastUsedError, Times, read_last_used, secret_times

_HEAD = ("NAME", "MECHANISMS", "ITERATIONS", "PASSWORD", "LAST USED")


def list_user(options: argparse.Namespace) -> int:
    """Print a line per user and password. Raises CommandError if there is no file."""
    path = users_file_of(options)
    users = read_users(path)[1]
    if not path.exists():
        raise CommandError(f'there is no file {path}; "mcproxy user add" makes it')
    times: Times | None = None
    try:
        times = read_last_used(path)
    except LastUsedError as error:
        complain(f"warning: {error}")
    if options.json:
        print(json.dumps([_as_data(users, name, times or {}) for name in users.names()], ensure_ascii=False, indent=2))
        return DONE
    rows = [row for name in users.names() for row in _rows(users, name, times)]
    if rows:
        widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(len(_HEAD))]
        for row in (_HEAD, *rows):
            print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    return DONE


def verify_user(options: argparse.Namespace) -> int:
    """Say whether a password is the user's: status 0 if it is. Raises CommandError if there is no such user."""
    path = users_file_of(options)
    users = read_users(path)[1]
    refuse_unknown(users, options.name, path)
    password = tried_password(options)
    found = {mechanism: _which(verifiers, password) for mechanism, verifiers in users.mechanisms(options.name).items()}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{mechanism}: {which or 'wrong'}" for mechanism, which in found.items())
        complain(f'the mechanisms of {options.name} have different passwords ({told}); run "mcproxy user passwd"')
        return FAILED
    which = next(iter(found.values()))
    if which is None:
        complain(f"that is not the password of {options.name}")
        return FAILED
    print(f"the password is right{which}")
    return DONE


def _which(verifiers: tuple[Verifier, ...], password: str) -> str | None:
    """What to add to "right"; None if it is wrong."""
    matched = matching(verifiers, password)
    if matched is None:
        return None
    if len(verifiers) == 1:
        return ""
    return f" ({NEWER if matched == verifiers[0] else OLDER} of two)"


def _rows(users: Users, name: str, times: Times | None) -> list[tuple[str, ...]]:
    mechanisms = users.mechanisms(name)
    counts = {str(verifiers[0].iterations) for verifiers in mechanisms.values()}
    iterations = "/".join(sorted(counts, key=int))
    seen = secret_times(users, name, (times or {}).get(name, {}))
    rows: list[tuple[str, ...]] = []
    for which, used in zip(_labels(seen), seen, strict=True):
        last = "unknown" if times is None else "never" if used is None else f"{_time(used):%Y-%m-%d %H:%M} UTC"
        having = [
            mechanism for mechanism, verifiers in mechanisms.items() if which != OLDER or len(verifiers) == len(seen)
        ]
        rows.append((name, ",".join(having), iterations, which, last))
    return rows


def _as_data(users: Users, name: str, times: Times) -> dict[str, Any]:
    seen = secret_times(users, name, times.get(name, {}))
    return {
        "name": name,
        "mechanisms": [
            {"mechanism": mechanism, "iterations": verifiers[0].iterations, "passwords": len(verifiers)}
            for mechanism, verifiers in users.mechanisms(name).items()
        ],
        "passwords": [
            {"password": which, "last_used": None if used is None else _time(used).isoformat()}
            for which, used in zip(_labels(seen), seen, strict=True)
        ],
    }


def _labels(seen: list[int | None]) -> tuple[str, ...]:
    return (NEWER, OLDER) if len(seen) > 1 else ("only",)


def _time(used: int) -> datetime:
    return datetime.fromtimestamp(used, UTC)
