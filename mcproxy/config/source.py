"""The text of a configuration file, or why there is none."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path

from mcproxy.config.problems import ConfigurationError, Problem

LARGEST_FILE = 2 * 2**20
"""Bytes. Thousands of grants take less than one; whoever names /dev/zero should get an answer too."""

PIPE_PATIENCE = 10.0
"""Seconds without a byte from a pipe or terminal before it is given up."""
LONGEST_READ = 60.0
"""Seconds for all of it, however steadily it comes."""

PASSING = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EIO, errno.EAGAIN, errno.EINTR, errno.ESTALE)
)
"""What the machine, and not a file, is short of or ill with: open(2), read(2), memfd_create(2)."""


class NotReadNow(ConfigurationError):
    """Nothing is known to be wrong with the files: they could not be read for the moment, and may be before long."""


def can_be_read_again(path: Path) -> bool:
    """Whether the configuration is a regular file: what a pipe held is gone."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def read_text(path: Path, *, only_regular: bool = False) -> str:
    """The text of a configuration file. Raises ConfigurationError (NotReadNow is one).

    `only_regular` is for who reads it once more: in its place there may be a pipe now, which one would wait for.
    """
    try:
        # Not left to open(2): Python has the same exception for this and for much else.
        named = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        named = False
    if not named:
        raise ConfigurationError([Problem(path, None, "", "is not a file name")])
    try:
        content = _content(path, only_regular)
    except TimeoutError as error:
        raise ConfigurationError([Problem(path, None, "", str(error))]) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in PASSING:
            raise NotReadNow([Problem(path, None, "", f"can't be read now: {reason}")]) from None
        message = f"can't be read: {reason}; name another with --config or MCPROXY_CONFIG"
        raise ConfigurationError([Problem(path, None, "", message)]) from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationError([Problem(path, None, "", "is too large for a configuration file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(path, line, "", "is not UTF-8 text")]) from None


def _content(path: Path, only_regular: bool) -> bytes:
    """At most a byte more than LARGEST_FILE. Raises OSError, and TimeoutError with what to say of it.

    Pipes are welcome, for `<(...)` of a shell and /dev/stdin; but one that nobody writes to must not hang this.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if only_regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file any more")
        content = bytearray()
        # Not select(2), which knows no descriptors beyond 1023.
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + LONGEST_READ
        while len(content) <= LARGEST_FILE:
            if not waiting.poll(PIPE_PATIENCE * 1000):
                message = f"nothing comes out of it for {PIPE_PATIENCE:g} seconds"
                raise TimeoutError(f"{message}; whoever writes to this pipe must be running")
            if time.monotonic() > deadline:
                raise TimeoutError(f"it does not end within {LONGEST_READ:g} seconds")
            chunk = os.read(descriptor, LARGEST_FILE + 1 - len(content))
            if not chunk:
                break
            content += chunk
        return bytes(content)
    finally:
        os.close(descriptor)
