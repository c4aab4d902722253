"""Changes to a users file on disk: locked against each other, whole or not at all, other lines kept as they are."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mcproxy.auth.users import Users, UsersFileError, parse_users
from mcproxy.cli.errors import WRONG_USAGE, CommandError
from mcproxy.config.problems import ConfigurationError, Problem

NEW_FILE_MODE = 0o600
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
        with _locked(path.parent):
            text, users = read_users(path)
            _replace(path, edit(text, users))
    except OSError as error:
        raise CommandError(f"{path} can't be written: {os.strerror(error.errno or 0)}") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock: unlike the file, it stays the same one across a rename, and it leaves no litter."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(_NO_DIRECTORY.format(directory), WRONG_USAGE) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)  # so that the rename outlives a power cut
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    try:
        before: os.stat_result | None = path.stat()
    except FileNotFoundError:
        before = None
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                _keep_owner(file.fileno(), before, path)
            os.fchmod(file.fileno(), NEW_FILE_MODE if before is None else stat.S_IMODE(before.st_mode))
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _keep_owner(descriptor: int, before: os.stat_result, path: Path) -> None:
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        owner = f"{before.st_uid}:{before.st_gid}"
        raise CommandError(f"{path} belongs to {owner}, which only root can keep so; run this as root") from None


def with_line(text: str, line: str) -> str:
    """The text with one line more at its end."""
    separator = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{separator}{line}\n"


def without_user(text: str, name: str, replacement: str | None = None) -> str:
    """The text without a user's lines, or with `replacement` where the first of them was."""
    kept: list[str] = []
    for line in text.split("\n"):
        if line.removeprefix("\ufeff").partition(":")[0] != name:
            kept.append(line)
        elif replacement is not None:
            kept.append(replacement)
            replacement = None
    return "\n".join(kept)
