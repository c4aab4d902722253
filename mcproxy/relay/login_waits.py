"""When to log in again after upstream has refused it. Tries that come too often would be taken for guesses."""

from typing import Final

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
"""Seconds. Whichever link of a pool was refused, all of them wait."""


class LoginWaits:
    """Times are in seconds of any one clock."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._not_before = 0.0

    def left(self, now: float) -> float:
        """Seconds until somebody may log in, 0 or less if that is now."""
        return self._not_before - now

    def refused(self, now: float) -> float:
        """Returns how long to wait: twice as long as the last time."""
        self._wait = min(max(FIRST_WAIT, self._wait * 2), LONGEST_WAIT)
        self._not_before = now + self._wait
        return self._wait

    def accepted(self) -> None:
        """A login was taken; what was learnt of waiting is kept until it has held for a while (`reset`)."""
        self._not_before = 0.0

    def reset(self) -> None:
        """Begin anew."""
        self._wait = self._not_before = 0.0
