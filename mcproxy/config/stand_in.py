"""The key of the stand-ins for unknown users, as a configuration needs it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

from mcproxy.auth.users import STAND_IN_KEY_LENGTH, Users
from mcproxy.config.problems import Finding
from mcproxy.config.schema import Settings
from mcproxy.files.stand_in_key import (
    StandInKeyError,
    how_to_make,
    read_or_make_stand_in_key,
    read_stand_in_key,
    stand_in_key_path,
)


def offers_scram(settings: Settings) -> bool:
    """Whether a listener shows users' salts: only then must stand-ins outlive the process."""
    return any(
        "sasl" in listener.authentication and any(mechanism.startswith("SCRAM-") for mechanism in listener.mechanisms)
        for listener in settings.listeners.values()
    )


def stand_in_key(settings: Settings) -> bytes:
    """The key beside the users file, made if it is missing; a random one without SCRAM, if there is none to be had.

    Blocks, for as long as files do. Raises StandInKeyError.
    """
    if settings.users_file is None:
        return secrets.token_bytes(STAND_IN_KEY_LENGTH)
    try:
        return read_or_make_stand_in_key(settings.users_file)
    except StandInKeyError:
        if offers_scram(settings):
            raise
        return secrets.token_bytes(STAND_IN_KEY_LENGTH)


def check_stand_in_key(settings: Settings) -> bytes | None:
    """The key that is there, None for none, and nothing made. Raises StandInKeyError where stand_in_key would."""
    users_file = settings.users_file
    if users_file is None:
        return None
    try:
        key = read_stand_in_key(users_file)
        if key is None and not os.access(users_file.parent, os.W_OK | os.X_OK):
            path = stand_in_key_path(users_file)
            raise StandInKeyError(f"there is no file {path} and it can't be made here; {how_to_make(path)}")
        return key
    except StandInKeyError:
        if offers_scram(settings):
            raise
        return None


def unlike_users(users: Users) -> Iterator[Finding]:
    """Who can be told from an unknown user, who looks like most."""
    unlike = users.unlike_most()
    if unlike:
        others = "" if len(unlike) == 1 else f" and {len(unlike) - 1} more"
        message = (
            f"{unlike[0]}{others} can be told from unknown users, who look like most: the mechanism, the iterations or "
            'the length of the salt differ; "mcproxy user passwd" makes them alike'
        )
        yield Finding(("users_file",), message)
