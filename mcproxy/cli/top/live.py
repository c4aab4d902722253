"""The screen of `mcproxy top`: drawn anew at every answer, change of size and second without an answer."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

from mcproxy.cli.top import text
from mcproxy.cli.top.asking import NOT_UNDERSTOOD, Asker, NoStatus, Source
from mcproxy.cli.top.screen import Screen
from mcproxy.cli.top.view import Line, View

_QUIT = b"qQ\x04"
"""Ctrl-D too: it is how one leaves other programs."""


class Live:
    """Asks `source` every `interval` seconds."""

    def __init__(self, source: Source, interval: float) -> None:
        self._source = source
        self._interval = interval
        self._status: dict[str, Any] | None = None
        self._before: dict[str, Any] | None = None
        self._seen: object = None
        self._seen_at = 0.0
        self._failure: NoStatus | None = None

    def run(self) -> None:
        """Until q is typed. Raises KeyboardInterrupt, the terminal being as it was."""
        with _wakeups() as (woken, wakeup), Screen() as screen:
            asker = Asker(self._source, self._interval, wakeup)
            asker.start()
            try:
                while not self._quit(screen, woken):
                    self._take(asker.latest)
                    screen.redraw = False
                    columns, lines = screen.size()
                    screen.draw(self._lines(columns, lines, screen.bars))
            finally:
                asker.stop()

    def _quit(self, screen: Screen, woken: int) -> bool:
        """Wait for something to happen, a second at most; whether it was the key to leave."""
        watched = [woken] if screen.input is None else [woken, screen.input]
        readable, _, _ = select.select(watched, [], [], 0 if screen.redraw else 1)
        if woken in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        if screen.input is None or screen.input not in readable:
            return False
        typed = os.read(screen.input, 4096)
        return not typed or any(key in _QUIT for key in typed)

    def _take(self, latest: dict[str, Any] | NoStatus | None) -> None:
        if latest is None or latest is self._seen:
            return
        self._seen = latest
        if isinstance(latest, NoStatus):
            self._failure = latest
            return
        if self._status is not None and latest["started"] == self._status["started"]:
            # The proxy's own clock: an answer may be as old as the one before.
            if latest["now"] > self._status["now"]:
                self._before = self._status
        else:
            self._before = None
        self._status, self._failure, self._seen_at = latest, None, time.time()

    def _lines(self, columns: int, lines: int, bars: str) -> list[Line]:
        now = time.time()
        head = [
            Line(line, style)
            for words, style in self._head(now)
            for line in text.folded(words, columns, 1 if style == "title" else 3)
        ]
        if self._status is None:
            return head[:lines]
        try:
            body = View(self._status, self._before, bars).lines(columns, max(0, lines - len(head)))
        except NOT_UNDERSTOOD:
            body = [Line(text.cut("/status.json is not understood; is that another version?", columns), "critical")]
        if self._failure is not None:
            body = [Line(line.words, "quiet") for line in body]
        return [*head, *body][:lines]

    def _head(self, now: float) -> Iterator[tuple[str, str]]:
        version = f" {text.clean(self._status['version'], 20)}" if self._status is not None else ""
        hint = f"every {self._interval:g} s, q to leave"
        yield f"mcproxy{version}  {text.clock(now, now)}  {hint}", "title"
        if self._failure is not None:
            since = ""
            if self._status is not None:
                since = f" since {text.clock(self._seen_at, now)} ({text.duration(now - self._seen_at)})"
            yield f"NO ANSWER{since}: {text.clean(self._failure)}", "critical"
            yield (
                "It is asked again and again." + (" What follows is old." if self._status is not None else ""),
                "quiet",
            )
        elif self._status is None:
            yield "asking the proxy", "quiet"


@contextlib.contextmanager
def _wakeups() -> Iterator[tuple[int, int]]:
    """A pipe, reader first, into which signals write a byte, those that only wake up among them."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGWINCH, signal.SIGCONT)}
    old = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader, writer
    finally:
        signal.set_wakeup_fd(old)
        for number, handler in before.items():
            signal.signal(number, handler)
        # The asker may be about to write to it: the program's end closes it.
