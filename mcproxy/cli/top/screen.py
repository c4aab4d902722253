"""A terminal as a screen to draw on, and as it was before afterwards.

Plain escape sequences that every terminal of the last decades knows, the alternate screen among them: no terminal type
has to be looked up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from mcproxy.cli.top.text import BARS, PLAIN_BARS
from mcproxy.cli.top.view import Line

# The alternate screen, no cursor, and lines are cut rather than wrapped: some characters are wider to some terminals.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
_STYLES = {"title": "1", "quiet": "2", "good": "32", "warning": "33", "critical": "1;31"}


class Screen:
    """Standard output, which must be a terminal, and the keys of standard input, if that is one.

    Within the context, Ctrl-Z and coming back work, and SIGTERM restores the terminal before it ends the program.
    """

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._coloured = "NO_COLOR" not in os.environ
        self.redraw = False
        """Somebody has drawn over it since."""

    def __enter__(self) -> Self:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGTSTP, self._pause)
        try:
            self._take()
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGTSTP):
            signal.signal(number, signal.SIG_DFL)
        self._give_back()

    @property
    def input(self) -> int | None:
        """Where keys come from, one byte each."""
        return self._input

    @property
    def bars(self) -> str:
        """What plots are made of."""
        return BARS if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else PLAIN_BARS

    @staticmethod
    def size() -> tuple[int, int]:
        """Columns and lines now. 80 and 24 if the terminal doesn't know."""
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def draw(self, lines: Iterable[Line]) -> None:
        """These lines and nothing else, at once, so that nothing flickers."""
        # A line that is full leaves no room for erasing behind it, so that comes first.
        drawn = "\r\n".join("\x1b[K" + self._styled(line) for line in lines)
        sys.stdout.write(f"\x1b[H{drawn}\x1b[J" if drawn else "\x1b[H\x1b[J")
        sys.stdout.flush()

    def _styled(self, line: Line) -> str:
        style = _STYLES.get(line.style)
        return f"\x1b[{style}m{line.words}\x1b[0m" if style and self._coloured and line.words else line.words

    def _take(self) -> None:
        if self._input is not None:
            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()
        self.redraw = True

    def _give_back(self) -> None:
        # Whatever of it still works, should the terminal be gone.
        with contextlib.suppress(OSError):
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        if self._input is not None and self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
            self._before = None

    def _pause(self, number: int, frame: object) -> None:
        """Ctrl-Z: stop with the terminal as it was, and go on from here when told to."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._pause)
        self._take()


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
