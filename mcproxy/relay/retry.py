"""When a link that was lost, or could not be opened, is tried again."""

from typing import Final

from mcproxy.relay.login_waits import LoginWaits
from mcproxy.wire.requests import LoginWanted

FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 2.0
ASKED_TO_LOG_IN: Final = str(LoginWanted())


class Retry:
    """One link's. `wait`: seconds until the next try, twice as many from failure to failure."""

    def __init__(self, logins: LoginWaits) -> None:
        self.wait = 0.0
        self._logins = logins
        # The link before was lost because upstream had forgotten the login.
        self._asked = False

    def failed(self) -> float:
        """It could not be opened. Returns `wait`."""
        self.wait = min(max(FIRST_WAIT, self.wait * 2), LONGEST_WAIT)
        return self.wait

    def lost(self, reason: str, lasted: float, now: float) -> None:
        """It was in service, for so many seconds."""
        asked_before, self._asked = self._asked, reason == ASKED_TO_LOG_IN
        if lasted > LONGEST_WAIT:
            # One that was in service for a while is opened again at once.
            self.wait = 0.0
            self._logins.reset()
        elif not self._asked:
            self.wait = max(FIRST_WAIT, self.wait)
        else:
            self.wait = 0.0
            if asked_before:
                self._logins.refused(now)
