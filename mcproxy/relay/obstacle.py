"""Why there is no link: what the log, /readyz, the metrics and clients are told of it, in fixed words."""

from typing import Final

UNAVAILABLE: Final = b"upstream is unavailable"
NOT_TRUSTED: Final = b"upstream's certificate is not trusted"
NOT_LET_IN: Final = b"upstream refused the login"


class Obstacle:
    """`words` are for /readyz, `answer` for clients, behind SERVER_ERROR. `step` is where it happened: `connect`, `tls`
    or `login`. `refused`: to try again soon would be taken for guessing.
    """

    def __init__(self, step: str, words: str, answer: bytes = UNAVAILABLE, refused: bool = False) -> None:
        self.step = step
        self.words = words
        self.answer = answer
        self.refused = refused


INTERNAL: Final = Obstacle("connect", "internal error")
LOST: Final = Obstacle("connect", "the last one was lost")
UNREACHABLE: Final = Obstacle("connect", "no connection")
SILENT: Final = Obstacle("connect", "no answer in time")
FULL: Final = Obstacle("connect", "it has too many connections")
STRANGE: Final = Obstacle("connect", "it does not answer as a memcached")
TOO_OLD: Final = Obstacle("connect", "memcached is too old")
NO_META_COMMANDS: Final = Obstacle("connect", "it does not know memcached's meta commands")
TLS_SILENT: Final = Obstacle("tls", "no answer in time to the TLS handshake")
TLS_FAILED: Final = Obstacle("tls", "the TLS handshake failed")
OUTDATED: Final = Obstacle("tls", "none opened yet with the new settings of tls")
UNTRUSTED: Final = Obstacle("tls", "its certificate is not trusted", NOT_TRUSTED)
LOGIN_SILENT: Final = Obstacle("login", "no answer in time to the login")
LOGIN_LOST: Final = Obstacle("login", "the connection ended during the login")
LOGIN_WANTED: Final = Obstacle("login", "it wants a login")
LOGIN_FORGOTTEN: Final = Obstacle("login", "it asks for a login again", NOT_LET_IN)
LOGIN_CONFUSED: Final = Obstacle("login", "its answers to the login are wrong", refused=True)
LOGIN_REFUSED: Final = Obstacle("login", "login refused", NOT_LET_IN, refused=True)


class NotOpened(Exception):
    """A link could not be opened. `str()` says it in a few words more than the obstacle, fit for a log."""

    def __init__(self, obstacle: Obstacle, reason: str = "") -> None:
        super().__init__(reason or obstacle.words)
        self.obstacle = obstacle
