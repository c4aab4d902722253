"""What systemd, or whoever else has set NOTIFY_SOCKET, is told: sd_notify(3), and the watchdog's heartbeat.

Datagrams of a few words. Sending never waits, and a manager that doesn't take one is not worth an error: what it is
told next says the same.
"""

import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Final, Self

import trio

from mcproxy.observe.log import get_logger

log = get_logger()
_MOST_STATUS: Final = 200
_LEAST_INTERVAL: Final = 0.05
"""Seconds. A heartbeat more often than that would be all that is done."""


class ServiceManager:
    """`address` is that of its socket, None for no manager. `watchdog` is in seconds, None for none."""

    def __init__(self, address: str | bytes | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self._watchdog = watchdog
        self._is_ready = False
        self._stops = False
        self._withheld = False

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
        watched = period.isascii() and period.isdigit() and int(period) > 0 and process in ("", str(os.getpid()))
        return cls(address, int(period) / 1e6 if watched else None)

    def ready(self) -> None:
        """Everything listens."""
        self._is_ready = True
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

    async def keep_watchdog(self, healthy: Callable[[], Awaitable[bool]]) -> None:
        """Send a heartbeat twice a period as long as `healthy` says yes, until cancelled; at once if there is none."""
        if self._watchdog is None or self._address is None:
            return
        while True:
            if await healthy():
                self._withheld = False
                self._tell("WATCHDOG=1")
            elif not self._withheld:
                self._withheld = True
                log.error("watchdog_withheld", reason="the proxy is not healthy")
            await trio.sleep(max(self._watchdog / 2, _LEAST_INTERVAL))

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        try:
            with socket.socket(socket.AF_UNIX, flags) as sending:
                sending.sendto("\n".join(lines).encode(errors="replace"), socket.MSG_NOSIGNAL, self._address)
        except OSError as error:
            log.warning("service_manager_not_told", reason=error.strerror or str(error))


def _line(text: str) -> str:
    """A line break would begin another word of the protocol."""
    return " ".join(text.split())[:_MOST_STATUS]
