"""A flood of refusals must not fill the disk: at most so many lines of a kind each second, the rest counted."""

from collections.abc import Callable
from dataclasses import dataclass

# Kinds are an event and its reason, both ours and few; the bound holds even if a reason ever held a client's words.
KINDS = 256
_OTHER = ("other", "other")


@dataclass(slots=True)
class _Window:
    started: float
    passed: int = 0
    suppressed: int = 0


class RefusalLimit:
    """Lets `per_second` lines of each (event, reason) through in each second of `clock` (seconds, monotonic)."""

    def __init__(self, clock: Callable[[], float], per_second: int = 10) -> None:
        self._clock = clock
        self._per_second = per_second
        self._windows: dict[tuple[str, str], _Window] = {}

    def admit(self, event: str, reason: str) -> int | None:
        """None: leave this line out. Otherwise write it, with how many like it were left out before it (mostly 0)."""
        now = self._clock()
        kind = (event, reason)
        if kind not in self._windows and len(self._windows) >= KINDS:
            kind = _OTHER
        window = self._windows.setdefault(kind, _Window(now))
        if now - window.started >= 1.0:
            suppressed = window.suppressed
            self._windows[kind] = _Window(now, passed=1)
            return suppressed
        if window.passed < self._per_second:
            window.passed += 1
            return 0
        window.suppressed += 1
        return None

    def overdue(self) -> list[tuple[str, str, int]]:
        """(event, reason, how many were left out) of floods that ended with no line after them; forgets ended ones."""
        now = self._clock()
        ended = {kind: window for kind, window in self._windows.items() if now - window.started >= 1.0}
        for kind in ended:
            del self._windows[kind]
        return [(*kind, window.suppressed) for kind, window in ended.items() if window.suppressed]
