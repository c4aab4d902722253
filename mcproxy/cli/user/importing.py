"""`mcproxy user import`: all users of another program's file, or none."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mcproxy.auth.preparation import name_problem
from mcproxy.auth.users import Users, format_line, second_secret_problem
from mcproxy.auth.verifiers import PasswordError, Verifier, make_verifier
from mcproxy.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError, complain
from mcproxy.cli.user.file import change, read_users, with_lines, with_user
from mcproxy.cli.user.passwords import iterations_of, mechanisms_of, warn_of_iterations
from mcproxy.cli.user.sasldb import dump, sasldb_entries
from mcproxy.cli.user.sources import Entry, SourceError, memcached_entries, postgresql_entries
from mcproxy.cli.user.target import look_after, users_file_of
from mcproxy.config.problems import Problem

LARGEST_FILE = 64 * 2**20
"""Bytes."""

Imported = dict[str, list[Verifier]]
"""The verifiers of each user, in the order of the file."""


def import_user(options: argparse.Namespace) -> int:
    """Add all users of a file. Raises CommandError; every user that can't be added has a line of its own before it."""
    path = users_file_of(options)
    source: Path = options.file
    _check_options(options)
    try:
        entries = _entries(options, source)
        _refuse_names(entries)
        _refuse_existing(entries, read_users(path)[1], options.replace)
        imported = _verifiers(options, entries)
    except SourceError as error:
        for line, message in error.problems:
            complain(str(Problem(source, line, "", message)))
        raise CommandError("nothing was imported") from None
    replaced = 0

    def edit(text: str, users: Users) -> str:
        nonlocal replaced
        for name, verifiers in imported.items():
            lines = [format_line(name, verifier) for verifier in verifiers]
            if name not in users:
                text = with_lines(text, lines)
            elif options.replace:
                text = with_user(text, name, lines)
                replaced += 1
            else:
                raise CommandError(f"somebody else has just added {name}; nothing was imported")
        return text

    change(path, edit)
    users = "user" if len(imported) == 1 else "users"
    print(f"imported {len(imported)} {users} into {path}" + (f", {replaced} of them replaced" if replaced else ""))
    warn_of_iterations(iterations_of(options))
    look_after(path)
    return DONE


def _check_options(options: argparse.Namespace) -> None:
    if options.realm is not None and options.source != "sasldb2":
        raise CommandError("--realm is for a sasldb2; other files have no realms", WRONG_USAGE)
    if options.source == "postgresql":
        for option, given in (("--mechanism", options.mechanisms), ("--iterations", options.iterations)):
            if given is not None:
                message = f"{option} needs the passwords, and PostgreSQL's secrets are taken as they are"
                raise CommandError(message, WRONG_USAGE)
    if options.source == "sasldb2" and str(options.file) == "-":
        raise CommandError("a sasldb2 can't come from standard input; name its file", WRONG_USAGE)


def _entries(options: argparse.Namespace, source: Path) -> list[Entry]:
    """Raises SourceError, CommandError."""
    if options.source == "sasldb2":
        entries = sasldb_entries(dump(source), options.realm)
    elif options.source == "memcached":
        entries = memcached_entries(_content(source))
    else:
        entries = postgresql_entries(_content(source))
    if not entries:
        raise SourceError([(None, "holds no user")])
    return entries


def _content(source: Path) -> bytes:
    try:
        if str(source) == "-":
            if sys.stdin is None:
                raise CommandError("standard input is closed", WRONG_USAGE)
            content = sys.stdin.buffer.read(LARGEST_FILE + 1)
        else:
            with source.open("rb") as file:
                content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise CommandError(f"{source} can't be read: {error.strerror}", WRONG_USAGE) from None
    if len(content) > LARGEST_FILE:
        raise CommandError(f"{source} has more than {LARGEST_FILE} bytes", FAILED)
    return content


def _refuse_names(entries: list[Entry]) -> None:
    problems = [
        (entry.line, f"{entry.name!r}: {problem}") for entry in entries if (problem := name_problem(entry.name))
    ]
    if problems:
        raise SourceError(problems)


def _refuse_existing(entries: list[Entry], users: Users, replace: bool) -> None:
    problems = [
        (entry.line, f"{entry.name} is there already; --replace changes such users")
        for entry in entries
        if entry.name in users and not replace
    ]
    if problems:
        raise SourceError(problems)


def _verifiers(options: argparse.Namespace, entries: list[Entry]) -> Imported:
    """Raises SourceError, CommandError for --iterations that can't be."""
    mechanisms, iterations = mechanisms_of(options), iterations_of(options)
    imported: Imported = {}
    problems: list[tuple[int | None, str]] = []
    for entry in entries:
        verifiers = imported.setdefault(entry.name, [])
        try:
            if entry.verifier is not None:
                _add(entry.name, entry.verifier, verifiers)
            elif verifiers:
                raise PasswordError("is there twice; keep one of them")
            else:
                verifiers += [make_verifier(entry.password, iterations, mechanism=name) for name in mechanisms]
        except PasswordError as refused:
            problems.append((entry.line, f"{entry.name}: {refused}"))
        except ValueError as refused:
            raise CommandError(f"--iterations {iterations}: {refused}", WRONG_USAGE) from None
    if problems:
        raise SourceError(problems)
    return imported


def _add(name: str, verifier: Verifier, verifiers: list[Verifier]) -> None:
    of_mechanism = tuple(known for known in verifiers if known.mechanism == verifier.mechanism)
    problem = second_secret_problem(name, verifier, of_mechanism)
    if problem:
        raise PasswordError(problem)
    verifiers.append(verifier)
