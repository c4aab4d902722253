"""What systemd, or whoever else has set NOTIFY_SOCKET, is told: sd_notify(3), and the watchdog's heartbeat.

Datagrams of a few words. Nobody waits for one to be sent. What a manager doesn't take for the moment, because its queue
is full, it is told later and in order: one that has missed READY=1 would give up a service that is well.
"""

import contextlib
import errno
import os
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Final, Self

import trio

from mcproxy.observe.log import get_logger

log = get_logger()
_MOST_STATUS: Final = 200
_MOST_DIGITS: Final = 20
"""Of WATCHDOG_USEC: systemd counts in 64 bits."""
_LEAST_INTERVAL: Final = 0.05
"""Seconds. A heartbeat more often than that would be all that is done."""
_MOST_UNSENT: Final = 16
"""Messages. Of more the oldest are forgotten: a service that is ready says so again after each reload."""
_SEND_AGAIN: Final = 0.2
"""Seconds."""
_FULL: Final = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
_STATUS: Final = b"STATUS="


class ServiceManager:
    """`address` is that of its socket, None for no manager. `watchdog` is in seconds, None for none."""

    def __init__(self, address: str | bytes | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self._watchdog = watchdog
        self._is_ready = False
        self._stops = False
        self._withheld = False
        self._unsent: deque[bytes] = deque(maxlen=_MOST_UNSENT)
        # Set while something has to wait.
        self._something = trio.Event()

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self:
        """Takes what is for this process out of the environment, so that no child takes it for its own."""
        path = environment.pop("NOTIFY_SOCKET", "")
        period = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", "")
        address: str | bytes | None = None
        if path.startswith("/"):
            address = path
        elif path.startswith("@"):
            # unix(7): the name of an abstract socket begins with a NUL.
            address = b"\0" + os.fsencode(path[1:])
        elif path:
            log.warning("service_manager_unknown", reason="NOTIFY_SOCKET is neither a path nor an abstract name")
        watched = bool(period) and process in ("", str(os.getpid()))
        # Its length first: Python doesn't read numbers of thousands of digits.
        if watched and not (period.isascii() and period.isdigit() and len(period) <= _MOST_DIGITS):
            log.warning("service_manager_unknown", reason="WATCHDOG_USEC is not a number of microseconds; no heartbeat")
            watched = False
        return cls(address, int(period) / 1e6 if watched and int(period) > 0 else None)

    def ready(self) -> None:
        """Everything listens."""
        self._is_ready = True
        if not self._stops:
            self._tell("READY=1", "STATUS=Started")

    def readiness(self, obstacle: str | None) -> None:
        """Whether requests can be served, for `systemctl status`."""
        if not self._stops:
            self._tell("STATUS=" + ("Ready" if obstacle is None else f"Not ready: {_line(obstacle)}"))

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """While this is entered, the files are read again. Whatever comes of it, the service goes on."""
        told = self._is_ready and not self._stops
        if told:
            # systemd.service(5), Type=notify-reload: it knows by the time that this answers its own signal.
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            if told and not self._stops:
                self._tell("READY=1")

    def stopping(self, within: float) -> None:
        """It is told to stop, which takes up to `within` seconds."""
        self._stops = True
        # Longer than TimeoutStopSec, perhaps. What is less changes nothing.
        self._tell("STOPPING=1", "STATUS=Draining", f"EXTEND_TIMEOUT_USEC={int(within * 1e6)}")

    async def keep_informed(self, healthy: Callable[[], Awaitable[bool]]) -> None:
        """Send what has to wait; if there is a watchdog, also a heartbeat twice a period as long as `healthy` says yes.

        Until cancelled; at once if there is nobody to tell.
        """
        if self._address is None:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_again)
            if self._watchdog is not None:
                await self._beat(self._watchdog, healthy)

    async def _beat(self, watchdog: float, healthy: Callable[[], Awaitable[bool]]) -> None:
        while True:
            if await healthy():
                self._withheld = False
                # Not kept: by the time that it could be sent it may not be true any more.
                if not self._unsent:
                    self._try(b"WATCHDOG=1")
            elif not self._withheld:
                self._withheld = True
                log.error("watchdog_withheld", reason="the proxy is not healthy")
            await trio.sleep(max(watchdog / 2, _LEAST_INTERVAL))

    async def _send_again(self) -> None:
        while True:
            await self._something.wait()
            await trio.sleep(_SEND_AGAIN)
            self._send()

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(lines).encode(errors="replace")
        if self._unsent and self._unsent[-1].startswith(_STATUS) and message.startswith(_STATUS):
            self._unsent.pop()
        self._unsent.append(message)
        self._send()

    def _send(self) -> None:
        """Send what there is, in order, or as much as is taken."""
        while self._unsent and self._try(self._unsent[0]):
            self._unsent.popleft()
        if self._unsent:
            self._something.set()
        elif self._something.is_set():
            self._something = trio.Event()

    def _try(self, message: bytes) -> bool:
        """Whether it is done with: not if the manager takes nothing for the moment."""
        if self._address is None:
            return True
        flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            with socket.socket(socket.AF_UNIX, flags) as sending:
                sending.sendto(message, socket.MSG_NOSIGNAL, self._address)
        except OSError as error:
            is_full = error.errno in _FULL
            if not (is_full and self._something.is_set()):
                log.warning("service_manager_not_told", reason=error.strerror or str(error))
            return not is_full
        return True


def _line(text: str) -> str:
    """A line break would begin another word of the protocol."""
    return " ".join(text.split())[:_MOST_STATUS]
