"""The key of the stand-ins for unknown users, kept beside the users file: 32 random bytes, in base64, on one line.

Unknown users must show the same salt on every connection, after a restart and in every worker, or two attempts would
tell that nobody is called that; so the key outlives the process. Who reads it can tell who exists, no more; it is
guarded as the users file is.
"""

from __future__ import annotations

import os
import secrets
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from mcproxy.auth.users import STAND_IN_KEY_LENGTH
from mcproxy.files.whole import make_file

LONGEST_FILE: Final = 64
"""Bytes that are read: one line of base64 has 44, and perhaps a line end."""


class StandInKeyError(Exception):
    """There is no key, and why, and what to do: one line. Its cause is the system's error, if there was one."""


def stand_in_key_path(users_file: Path) -> Path:
    """`/etc/mcproxy/users` -> `/etc/mcproxy/users.key`."""
    return users_file.with_name(f"{users_file.name}.key")


def read_stand_in_key(users_file: Path) -> bytes | None:
    """The key beside this users file; None if there is no such file.

    Raises StandInKeyError for a file that can't be read, that everybody can read or change, or that holds no key.
    """
    path = stand_in_key_path(users_file)
    try:
        # A pipe must not keep us waiting.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StandInKeyError(f"{path} can't be read by user id {os.geteuid()}: {_reason(error)}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StandInKeyError(f"{path} is not a regular file")
        if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            can = "read" if status.st_mode & stat.S_IROTH else "changed"
            mode = stat.S_IMODE(status.st_mode)
            raise StandInKeyError(f"{path} can be {can} by everybody (mode {mode:04o}); run: chmod o= {path}")
        return _decoded(os.read(descriptor, LONGEST_FILE + 1), path)
    except OSError as error:
        raise StandInKeyError(f"{path} can't be read: {_reason(error)}") from error
    finally:
        os.close(descriptor)


def read_or_make_stand_in_key(users_file: Path) -> bytes:
    """The key beside this users file, made if there is none: by one process, if several come at once.

    Raises StandInKeyError as read_stand_in_key, and where no key can be made.
    """
    key = read_stand_in_key(users_file)
    if key is not None:
        return key
    path = stand_in_key_path(users_file)
    try:
        make_file(path, b64encode(secrets.token_bytes(STAND_IN_KEY_LENGTH)) + b"\n", like=users_file)
    except FileExistsError:
        pass  # another process was faster: its key is the one
    except OSError as error:
        raise StandInKeyError(
            f"there is no file {path} and it can't be made: {_reason(error)}; {how_to_make(path)}"
        ) from error
    key = read_stand_in_key(users_file)
    if key is None:
        raise StandInKeyError(f"{path} was taken away while it was made")
    return key


def how_to_make(path: Path) -> str:
    """What to do where it can't be made: in a container whose files are read-only, make it elsewhere and mount it."""
    return (
        f'every change by "mcproxy user" makes it beside the users file, and so does: openssl rand -base64 32 > {path}'
    )


def _decoded(content: bytes, path: Path) -> bytes:
    line = content.removesuffix(b"\n").removesuffix(b"\r")
    try:
        key = b64decode(line, validate=True)
    except ValueError:
        key = b""
    if len(key) != STAND_IN_KEY_LENGTH or b64encode(key) != line:
        raise StandInKeyError(
            f"{path} does not hold a key, {STAND_IN_KEY_LENGTH} bytes in base64 on one line; restore it, or remove it "
            "so that a new one is made"
        )
    return key


def _reason(error: OSError) -> str:
    return os.strerror(error.errno or 0)
