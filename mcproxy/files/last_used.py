"""When each secret was last used, kept beside the users file: so that one can see when nobody has the old one any more.

A JSON object: {"<name>": {"<secret>": <Unix time in seconds>}}. A secret is named by the first 16 hexadecimal digits of
its verifier's identity, a SHA-256. Who reads the file and sees a login can try passwords against it, at the users
file's own cost, so it is as private. It is information and no more: nothing is decided by it, and it may be removed.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier
from mcproxy.files.whole import locked, replace_file

LONGEST_FILE: Final = 64 * 2**20
"""Bytes: 128 of a name and 30 for each secret make that enough for hundreds of thousands of users."""

LOCK_PATIENCE: Final = 1.0
"""Seconds. Whoever doesn't get the lock by then writes a minute later."""

NEWER, OLDER = "newer", "older"

Times = dict[str, dict[str, int]]
"""User, secret, Unix time in seconds."""

_SECRET: Final = re.compile(r"[0-9a-f]{16}")


class LastUsedError(Exception):
    """The file is there and can't be read, or isn't what was written: one line."""


class LastUsed:
    """What this process has seen and what it has read. Writing takes a thread, so it is done in two steps."""

    def __init__(self) -> None:
        self._written: Times = {}
        self._noted: Times = {}
        self._taken: Times = {}

    def note(self, name: str, identity: bytes, now: float) -> None:
        """A login by the verifier of this identity. `now` in seconds of Unix time."""
        self._noted.setdefault(name, {})[secret_name(identity)] = int(now)

    def take(self) -> Times:
        """What was noted since the last time, to be written; nothing if that is being done already."""
        if not self._taken:
            self._taken, self._noted = self._noted, {}
            return self._taken
        return {}

    def written(self, times: Times) -> None:
        """What was taken is on the disk, and this is all that is there now."""
        self._written, self._taken = times, {}

    def not_written(self, users: Users) -> None:
        """What was taken is still to be written, as far as it is about these users."""
        noted, self._noted, self._taken = [self._taken, self._noted], {}, {}
        self._noted = _merged(users, noted)

    def of(self, name: str) -> dict[str, int]:
        """All that is known of a user, whether it is written yet or not."""
        seen: dict[str, int] = {}
        for times in (self._written, self._taken, self._noted):
            _take_later(seen, times.get(name, {}))
        return seen


def secret_name(identity: bytes) -> str:
    """How a verifier's identity is written here."""
    return identity[:8].hex()


def last_used_path(users_file: Path) -> Path:
    """`/etc/mcproxy/users` -> `/etc/mcproxy/users.used`."""
    return users_file.with_name(f"{users_file.name}.used")


def read_last_used(users_file: Path) -> Times | None:
    """What is kept beside this users file; None if there is no such file. Raises LastUsedError."""
    path = last_used_path(users_file)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LastUsedError(f"{path} can't be read: {os.strerror(error.errno or 0)}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LastUsedError(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LONGEST_FILE + 1)
    try:
        return _checked(json.loads(content)) if len(content) <= LONGEST_FILE else _checked(None)
    except (ValueError, RecursionError):
        raise LastUsedError(f"{path} is not what mcproxy has written; remove it to begin anew") from None


def write_last_used(users_file: Path, times: Mapping[str, Mapping[str, int]], users: Users) -> Times:
    """Add these times to the file and return all: of several processes that write, none takes away another's.

    Only secrets that these users have are kept. A broken file is begun anew. Raises OSError.
    """
    path = last_used_path(users_file)
    with locked(path.parent, LOCK_PATIENCE):
        try:
            before = read_last_used(users_file) or {}
        except LastUsedError:
            before = {}
        merged = _merged(users, [before, times])
        replace_file(path, _text(merged).encode())
    return merged


def secret_times(users: Users, name: str, seen: Mapping[str, int]) -> list[int | None]:
    """When a user's one or two secrets were last used, the newer first; None for never.

    `seen` is what is known of this user. A secret is a password: of several mechanisms the one used last counts.
    """

    def latest(verifiers: list[Verifier]) -> int | None:
        names = (secret_name(verifier.identity) for verifier in verifiers)
        return max((seen[name] for name in names if name in seen), default=None)

    mechanisms = users.mechanisms(name).values()
    newer = [verifiers[0] for verifiers in mechanisms]
    older = [verifiers[1] for verifiers in mechanisms if len(verifiers) > 1]
    return [latest(newer), latest(older)] if older else [latest(newer)]


def rotating_secrets(users: Users, last_used: LastUsed) -> list[tuple[str, str, int]]:
    """User, `newer` or `older`, and when it was last used (0 for never), of the users who have two secrets."""
    return [
        (name, which, used or 0)
        for name in users.rotating()
        for which, used in zip((NEWER, OLDER), secret_times(users, name, last_used.of(name)), strict=True)
    ]


def _merged(users: Users, all_times: Sequence[Mapping[str, Mapping[str, int]]]) -> Times:
    """The latest times of secrets that these users have; others are dropped, which bounds it."""
    merged: Times = {}
    for name in dict.fromkeys(name for times in all_times for name in times if name in users):
        kept: dict[str, int] = {}
        for times in all_times:
            _take_later(kept, times.get(name, {}))
        known = {secret_name(identity) for identity in users.secrets(name)}
        if kept := {secret: used for secret, used in kept.items() if secret in known}:
            merged[name] = kept
    return merged


def _take_later(into: dict[str, int], seen: Mapping[str, int]) -> None:
    for secret, used in seen.items():
        into[secret] = max(used, into.get(secret, 0))


def _text(times: Times) -> str:
    """A line for each user, for those who look into it."""
    return json.dumps(times, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _checked(loaded: object) -> Times:
    if not isinstance(loaded, dict):
        raise ValueError
    for name, secrets in loaded.items():
        if not isinstance(name, str) or not isinstance(secrets, dict):
            raise ValueError
        for secret, used in secrets.items():
            if not _SECRET.fullmatch(secret) or type(used) is not int or not 0 <= used < 2**40:
                raise ValueError
    return loaded
