"""The password of a login to an upstream, from the file or the environment variable that the configuration names."""

from __future__ import annotations

import os

from mcproxy.config.schema import UpstreamLogin


class PasswordError(ValueError):
    """There is no password that could be used. `str()` is what is wrong with its place, and never holds it."""


def password_of(login: UpstreamLogin) -> str:
    """The password to log in with, empty where there is none to be had (EXTERNAL).

    Blocks, for as long as files do. Raises OSError, and PasswordError.
    """
    if login.password_file is not None:
        return password_in(login.password_file.read_bytes())
    if login.password_environment is not None:
        content = os.environb.get(login.password_environment.encode())
        if content is None:
            raise PasswordError("is not set")
        return password_in(content)
    return ""


def password_in(content: bytes) -> str:
    """What a file or a variable holds: one line of UTF-8, its end not counted. Raises PasswordError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PasswordError("is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise PasswordError("is empty; write the password into it, on one line")
    if "\0" in text:
        raise PasswordError("holds a NUL; write the password into it as text, on one line")
    if len(text.splitlines()) > 1 or text.endswith(("\n", "\r")):
        raise PasswordError("holds more than one line; a password is one line")
    return text
