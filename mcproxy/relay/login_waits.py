"""When to try again what many try for: a login that upstream has refused, a link of one's own that couldn't be opened.

Tries that come too often would be taken for guesses.
"""

from typing import Final

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
"""Seconds, after a refused login. Whichever link of a pool was refused, all of them wait."""


class LoginWaits:
    """Waits from `first` to `longest`, in seconds; times are of any one clock."""

    def __init__(self, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT) -> None:
        self._first = first
        self._longest = longest
        self._wait = 0.0
        self._not_before = 0.0

    @property
    def failing(self) -> bool:
        """Whether a try has failed, and nothing has held since."""
        return self._wait > 0

    def left(self, now: float) -> float:
        """Seconds until somebody may try, 0 or less if that is now."""
        return self._not_before - now

    def refused(self, now: float) -> float:
        """Returns how long to wait: twice as long as the last time. Tries that began together count as one."""
        left = self.left(now)
        if left > 0:
            return left
        self._wait = min(max(self._first, self._wait * 2), self._longest)
        self._not_before = now + self._wait
        return self._wait

    def accepted(self) -> None:
        """A try succeeded; what was learnt of waiting is kept until it has held for a while (`reset`)."""
        self._not_before = 0.0

    def reset(self) -> None:
        """Begin anew."""
        self._wait = self._not_before = 0.0
