"""What is imported: users as another program's file has them, and everything that is wrong with that file at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from mcproxy.auth.user_lines import parse_secret
from mcproxy.auth.verifiers import Verifier

MEMCACHED_USERS: Final = 8
MEMCACHED_LINE: Final = 255
"""Bytes with the line end. Both are MAX_ENTRIES and MAX_ENTRY_LEN of memcached's authfile.c: it reads no more."""

_QUOTED: Final = re.compile(r'"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"')
"""A line of pgbouncer's userlist.txt; what follows is not looked at there either."""
_PLAIN: Final = re.compile(r"([^|:]*)[|:](.*)")
"""`name|secret` as `psql -At` prints it, `name:secret` as a users file has it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One user: a password in the clear, or a verifier. `line` counts from 1; a sasldb2 has none."""

    name: str
    line: int | None
    password: str = field(default="", repr=False)
    verifier: Verifier | None = None


class SourceError(Exception):
    """A file that is not what it should be. `problems`: line and message; no message holds a secret."""

    def __init__(self, problems: list[tuple[int | None, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def memcached_entries(content: bytes) -> list[Entry]:
    """The users of a file for `memcached -Y`: `user:password` lines. Raises SourceError."""
    entries = []
    problems: list[tuple[int | None, str]] = []
    for number, line in _lines(content):
        if number > MEMCACHED_USERS:
            message = f"memcached reads no more than {MEMCACHED_USERS} lines: this user can't log in there; take it out"
            problems.append((number, message))
            continue
        try:
            entries.append(_memcached_entry(number, line))
        except ValueError as refused:
            problems.append((number, str(refused)))
    if problems:
        raise SourceError(problems)
    return entries


def _memcached_entry(number: int, line: bytes) -> Entry:
    if len(line) >= MEMCACHED_LINE:
        raise ValueError(f"the line is longer than {MEMCACHED_LINE} bytes, which memcached doesn't take")
    # It ends the password at the first carriage return, wherever that is.
    name, colon, password = line.removesuffix(b"\r").partition(b":")
    if not colon or b"\0" in line or b"\r" in password:
        raise ValueError("not a line of user, colon, password, so memcached doesn't take it")
    return Entry(_text(name, "the name"), number, _text(password, "the password"))


def postgresql_entries(content: bytes) -> list[Entry]:
    """Names with SCRAM secrets as PostgreSQL keeps them, one a line. Raises SourceError.

    `name|SCRAM-SHA-256$...` as psql prints it, `"name" "SCRAM-SHA-256$..."` as pgbouncer has it, or
    `name:SCRAM-SHA-256$...`. Empty lines and those that start with `#` or `;` are skipped.
    """
    entries = []
    problems: list[tuple[int | None, str]] = []
    for number, line in _lines(content):
        try:
            text = _text(line, "the line").strip()
            if text and not text.startswith(("#", ";")):
                entries.append(_postgresql_entry(number, text))
        except ValueError as refused:
            problems.append((number, str(refused)))
    if problems:
        raise SourceError(problems)
    return entries


def _postgresql_entry(number: int, text: str) -> Entry:
    quoted = _QUOTED.match(text)
    if quoted:
        name, secret = (part.replace('""', '"') for part in quoted.groups())
    else:
        plain = _PLAIN.fullmatch(text)
        if not plain:
            raise ValueError("no name and SCRAM secret; psql -At prints lines such as name|SCRAM-SHA-256$...")
        name, secret = (part.strip() for part in plain.groups())
    if not secret.startswith("SCRAM-"):
        # The "name" may be half of a password: it isn't repeated either.
        raise ValueError("no SCRAM secret follows the name; other kinds, such as md5, can't be used for SCRAM")
    return Entry(name, number, verifier=parse_secret(name, secret))


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return enumerate(lines, start=1)


def _text(part: bytes, what: str) -> str:
    try:
        return part.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8 text") from None
