"""When a link that was lost, or could not be opened, is tried again."""

from typing import Final

from mcproxy.relay.link_ends import ASKED_TO_LOG_IN
from mcproxy.relay.login_waits import LoginWaits

FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0


class Retry:
    """One link's. `wait`: seconds until the next try, twice as many from failure to failure.

    That a link was opened ends no failure: only one that is in service for longer than LONGEST_WAIT does. An upstream
    that takes every login and closes, or forgets it, would otherwise be logged in to again and again.
    """

    def __init__(self, logins: LoginWaits) -> None:
        self.wait = 0.0
        self._logins = logins
        self._longest_so_far = 0.0
        # A link since the last good one was lost because upstream had forgotten the login.
        self._asked = False

    def failed(self) -> float:
        """It could not be opened. Returns `wait`."""
        self.wait = self._longest_so_far = min(max(FIRST_WAIT, self._longest_so_far * 2), LONGEST_WAIT)
        return self.wait

    def lost(self, reason: str, lasted: float, now: float) -> None:
        """It was in service, for so many seconds."""
        good = lasted > LONGEST_WAIT
        if good:
            self.begin_anew()
            self._logins.reset()
        if reason == ASKED_TO_LOG_IN:
            # Once at once; then as after a refused login, which is waited for where the next one begins.
            self.wait = 0.0
            if self._asked:
                self._logins.refused(now)
            self._asked = True
        elif not good:
            self.failed()

    def begin_anew(self) -> None:
        """Wait no longer, and forget what went wrong."""
        self.wait = self._longest_so_far = 0.0
        self._asked = False
