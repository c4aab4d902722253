"""Getting /status.json, once or again and again beside what is on the screen."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from mcproxy.cli.admin_client import Admin, AdminUnreachable, fetch
from mcproxy.cli.top.view import View
from mcproxy.observe.verdict import verdict

MOST_SHOWN = 200
"""Characters of what was answered in place of a status."""
NOT_UNDERSTOOD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, OSError)
"""What reading and showing a status raises if it is none; OSError is a time of no calendar."""


class NoStatus(Exception):
    """There is none. The message is one line that says why."""


class Source:
    """The admin port of one proxy. `certificate` and `key` are what it is shown, if it asks for a client's."""

    def __init__(self, admin: Admin, certificate: Path | None = None, key: Path | None = None) -> None:
        self._admin = admin
        self._certificate = certificate
        self._key = key

    def ask(self) -> dict[str, Any]:
        """The status, with its verdict. Waits for up to five seconds. Raises NoStatus."""
        try:
            code, body = fetch(self._admin, "/status.json", certificate=self._certificate, key=self._key)
        except AdminUnreachable as error:
            raise NoStatus(str(error)) from None
        if code != 200:
            said = " ".join(body.decode("utf-8", "replace").split())[:MOST_SHOWN]
            raise NoStatus(f"{self._admin.bind}: /status.json answered {code}: {said}")
        try:
            status: dict[str, Any] = json.loads(body)
            status["verdict"] = verdict(status)
            # Whoever gets it can show it.
            View(status).lines()
            str(status["version"])
        except NOT_UNDERSTOOD:
            raise NoStatus(f"{self._admin.bind}: /status.json is not understood; is that another version?") from None
        return status


class Asker(threading.Thread):
    """Asks every `interval` seconds until the program ends, so that the screen never waits for an answer.

    `latest` is the last answer or why there was none. After each change of it a byte is written to `wakeup`.
    """

    def __init__(self, source: Source, interval: float, wakeup: int) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._interval = interval
        self._wakeup = wakeup
        self._stop = threading.Event()
        self.latest: dict[str, Any] | NoStatus | None = None

    def run(self) -> None:
        while not self._stop.is_set():
            try:
                self.latest = self._source.ask()
            except NoStatus as reason:
                self.latest = reason
            try:
                os.write(self._wakeup, b"\0")
            except BlockingIOError:
                pass  # whoever reads it has enough to wake up for
            except OSError:
                return
            self._stop.wait(self._interval)

    def stop(self) -> None:
        """After what it is just waiting for."""
        self._stop.set()
