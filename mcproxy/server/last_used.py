"""Writes down when secrets were last used, once a minute at most. What can't be written costs a log line, no more."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import trio

from mcproxy.auth.users import Users
from mcproxy.files.last_used import LastUsed, LastUsedError, last_used_path, read_last_used, write_last_used
from mcproxy.observe.log import get_logger

log = get_logger()

EVERY: Final = 60.0
"""Seconds."""

AT_THE_END: Final = 2.0
"""Seconds that a process which stops gives the last write."""


Now = Callable[[], tuple[Path | None, Users]]
"""The users file and its users, as they are now; both may change at a reload."""


async def keep_last_used(last_used: LastUsed, now: Now, *, every: float = EVERY) -> None:
    """Read the file, then write what is noted every so many seconds, until cancelled; then once more.

    File and lock are waited for in a thread.
    """
    writer = _Writer(last_used, now)
    await writer.read()
    try:
        while True:
            await trio.sleep(every)
            await writer.write()
    finally:
        with trio.move_on_after(AT_THE_END) as scope:
            scope.shield = True
            await writer.write()


class _Writer:
    def __init__(self, last_used: LastUsed, now: Now) -> None:
        self._last_used = last_used
        self._now = now
        self._complained = False

    async def read(self) -> None:
        """What is known from before, for the metrics."""
        users_file, _ = self._now()
        if users_file is None:
            return
        try:
            times = await trio.to_thread.run_sync(read_last_used, users_file, abandon_on_cancel=True)
        except LastUsedError as error:
            log.warning("last_used_not_read", reason=str(error))
        else:
            self._last_used.written(times or {})

    async def write(self) -> None:
        users_file, users = self._now()
        if users_file is None or not (noted := self._last_used.take()):
            return
        work = partial(write_last_used, users_file, noted, users)
        try:
            written = await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        except OSError as error:
            self._last_used.not_written(users)
            self._complain(users_file, error)
        except trio.Cancelled:
            self._last_used.not_written(users)
            raise
        else:
            self._last_used.written(written)
            self._complained = False

    def _complain(self, users_file: Path, error: OSError) -> None:
        """Once, until it has worked again: on a read-only disk this would be a line a minute for ever."""
        if not self._complained:
            self._complained = True
            reason = error.strerror or str(error)
            log.warning("last_used_not_written", file=str(last_used_path(users_file)), reason=reason)
