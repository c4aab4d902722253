"""The text of a configuration file, or why there is none."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

from mcproxy.config.problems import ConfigurationError, Problem

LARGEST_FILE = 8 * 2**20
"""Bytes. Thousands of grants take less than one; whoever names /dev/zero should get an answer too."""

PIPE_PATIENCE = 10.0
"""Seconds without a byte from a pipe or terminal before it is given up."""


def can_be_read_again(path: Path) -> bool:
    """Whether the configuration is a regular file: what a pipe held is gone."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises ConfigurationError."""
    try:
        content = _content(path)
    except TimeoutError:
        message = f"nothing comes out of it for {PIPE_PATIENCE:g} seconds; whoever writes to this pipe must be running"
        raise ConfigurationError([Problem(path, None, "", message)]) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"can't be read: {reason}; name another with --config or MCPROXY_CONFIG"
        raise ConfigurationError([Problem(path, None, "", message)]) from None
    except ValueError:  # a NUL in the name
        raise ConfigurationError([Problem(path, None, "", "is not a file name")]) from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationError([Problem(path, None, "", "is too large for a configuration file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(path, line, "", "is not UTF-8 text")]) from None


def _content(path: Path) -> bytes:
    """At most a byte more than LARGEST_FILE. Raises OSError, TimeoutError among them.

    Pipes are welcome, for `<(...)` of a shell and /dev/stdin; but one that nobody writes to must not hang this.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = bytearray()
        while len(content) <= LARGEST_FILE:
            if not select.select([descriptor], [], [], PIPE_PATIENCE)[0]:
                raise TimeoutError
            chunk = os.read(descriptor, LARGEST_FILE + 1 - len(content))
            if not chunk:
                break
            content += chunk
        return bytes(content)
    finally:
        os.close(descriptor)
