"""Changes to a users file on disk: locked against each other, whole or not at all, other lines kept as they are."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from mcproxy.auth.users import Users, UsersFileError, parse_line, parse_users
from mcproxy.auth.verifiers import Verifier
from mcproxy.cli.errors import WRONG_USAGE, CommandError
from mcproxy.config.problems import ConfigurationError, Problem
from mcproxy.files.whole import LockedError, OwnerError, locked, replace_file

LOCK_PATIENCE = 20.0
"""Seconds. A change takes milliseconds, and many may want to make one."""

_NO_DIRECTORY = "there is no directory {}; make it first"


def read_users(path: Path) -> tuple[str, Users]:
    """Text and users of a users file; none of either if there is no such file in its directory.

    Raises ConfigurationError if its lines are wrong, CommandError if it can't be read or there is no such directory.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CommandError(f"{path} is not a regular file", WRONG_USAGE)
        text = path.read_bytes().decode("utf-8")
        return text, parse_users(text)
    except (FileNotFoundError, NotADirectoryError):
        directory = Path(os.path.realpath(path)).parent
        if not directory.is_dir():
            raise CommandError(_NO_DIRECTORY.format(directory), WRONG_USAGE) from None
        return "", parse_users("")
    except OSError as error:
        raise CommandError(f"{path} can't be read: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise ConfigurationError([Problem(path, None, "", "is not UTF-8 text")]) from None
    except UsersFileError as error:
        raise ConfigurationError(
            [Problem(path, problem.line, "", problem.message) for problem in error.problems]
        ) from None


def change(path: Path, edit: Callable[[str, Users], str]) -> None:
    """Replace the text of a users file by what `edit` makes of it, in one step that others see whole.

    A new file gets mode 0600; an existing one keeps mode, owner and group. A symbolic link stays one: the file that
    it names is replaced. Raises as read_users, whatever `edit` raises (the file is untouched then), and CommandError
    if the file can't be written.
    """
    path = Path(os.path.realpath(path))
    try:
        with locked(path.parent, LOCK_PATIENCE):
            text, users = read_users(path)
            edited = edit(text, users)
            parse_users(edited)  # what can't be read again is never written
            replace_file(path, edited.encode())
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(_NO_DIRECTORY.format(path.parent), WRONG_USAGE) from None
    except OwnerError as error:
        raise CommandError(f"{path} {error}") from None
    except LockedError as error:
        raise CommandError(f"{path} can't be changed: {error}") from None
    except OSError as error:
        raise CommandError(f"{path} can't be written: {os.strerror(error.errno or 0)}") from None


def with_lines(text: str, lines: Iterable[str]) -> str:
    """The text with these lines more at its end."""
    separator = "" if not text or text.endswith("\n") else "\n"
    return text + separator + "".join(f"{line}\n" for line in lines)


def with_user(text: str, name: str, lines: Iterable[str]) -> str:
    """The text with `lines` where the first of a user's was, without all others of his."""
    to_come = list(lines)

    def becomes(line: str, verifier: Verifier) -> list[str]:
        given = to_come.copy()
        to_come.clear()
        return given

    return _each_of_user(text, name, becomes)


def with_newer(text: str, name: str, newer: Iterable[tuple[Verifier, str]]) -> str:
    """The text with each of these lines before the one that a user has for that mechanism."""
    to_come = {verifier.mechanism: line for verifier, line in newer}

    def becomes(line: str, verifier: Verifier) -> list[str]:
        added = to_come.pop(verifier.mechanism, None)
        return [line] if added is None else [added, line]

    return _each_of_user(text, name, becomes)


def without_older(text: str, name: str) -> str:
    """The text without the second line that a user has for a mechanism."""
    seen: set[str] = set()

    def becomes(line: str, verifier: Verifier) -> list[str]:
        if verifier.mechanism in seen:
            return []
        seen.add(verifier.mechanism)
        return [line]

    return _each_of_user(text, name, becomes)


def _each_of_user(text: str, name: str, becomes: Callable[[str, Verifier], list[str]]) -> str:
    """The text, of lines that were read before, with each line of a user replaced by what it becomes."""
    kept: list[str] = []
    for line in text.split("\n"):
        bare = line.removeprefix("\ufeff").removesuffix("\r").rstrip(" \t")
        if not bare.startswith("#") and bare.partition(":")[0] == name:
            kept += becomes(line.removeprefix("\ufeff"), parse_line(bare)[1])
        else:
            kept.append(line)
    return "\n".join(kept)
