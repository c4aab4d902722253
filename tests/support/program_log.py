"""What a program writes to its standard output, read as it comes, and caught up with before anybody looks."""

import contextlib
import fcntl
import json
import os
import select
import sys
import termios
import threading
import time
from typing import IO, Any

PATIENCE = 2.0
"""Seconds to catch up: the lines of a program that writes without end need not all be there."""


class ProgramLog:
    """Its lines, and those of them that are records, up to everything that the program had written before one asks."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._records: list[dict[str, Any]] = []
        # Held from reading something to having taken it in.
        self._reading = threading.Lock()
        self._rest = b""
        self._stream: IO[bytes] | None = None
        self._reader: threading.Thread | None = None

    @property
    def lines(self) -> list[str]:
        self._catch_up()
        return list(self._lines)

    @property
    def records(self) -> list[dict[str, Any]]:
        self._catch_up()
        return list(self._records)

    def follow(self, stream: IO[bytes]) -> None:
        """Read the pipe `stream` until its end."""
        self._stream = stream
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def finish(self, within: float) -> None:
        """Wait for the end, after which nothing is read."""
        if self._reader is not None:
            self._reader.join(within)

    def _read(self) -> None:
        assert self._stream is not None
        descriptor = self._stream.fileno()
        data = b"begin"
        while data:
            select.select([descriptor], [], [])
            with self._reading:
                data = os.read(descriptor, 65536)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines if data else [*lines, self._rest]:
                    self._take(line.decode("utf-8", "backslashreplace"))

    def _take(self, line: str) -> None:
        if not line:
            return
        self._lines.append(line)
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict):
                self._records.append(record)

    def _catch_up(self) -> None:
        reader, stream = self._reader, self._stream
        deadline = time.monotonic() + PATIENCE
        while reader is not None and stream is not None and reader.is_alive() and time.monotonic() < deadline:
            with self._reading, contextlib.suppress(ValueError, OSError):
                unread = fcntl.ioctl(stream.fileno(), termios.FIONREAD, bytes(4))
                if not int.from_bytes(unread, sys.byteorder):
                    return
            time.sleep(0.001)
