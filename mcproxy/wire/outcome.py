"""What a parser makes of a client's bytes, beside a Request that may go upstream."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

Reason = Literal[
    "",
    "bad data chunk",
    "bad key",
    "bad length",
    "bare line feed",
    "denied",
    "empty line",
    "http",
    "line too long",
    "malformed",
    "not a binary packet",
    "not available upstream",
    "not translatable",
    "pipelining",
    "too many keys",
    "too many tokens",
    "unknown command",
    "value too large",
]
"""Why a request is refused, for logs and metrics; "" if nothing is."""


class Pending(Enum):
    """Nothing can be decided yet."""

    # The frame is not whole; the parser's `needed` says what it takes.
    INCOMPLETE = "incomplete"
    # As many requests are in flight as the session may have.
    NO_ROOM = "no room"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The proxy's own answer: nothing of this frame goes upstream.

    `reply` may be empty (the client asked for none). `swallow` is the length of a data block that follows and is not to
    be taken for commands, None if there is none. `close`: where the next frame begins is not known, or the client asked
    to leave. `denied` names the command class that the principal lacks.
    """

    reply: bytes
    reason: Reason = ""
    swallow: int | None = None
    close: bool = False
    denied: str = ""


class LogInAgain:
    """The client starts another login: the connection goes back to where logins are made."""


Outcome = Refusal | Pending | LogInAgain


class Grants(Protocol):
    """What a principal may do, as the policy layer compiled it."""

    def key_pattern(self, *classes: str) -> bytes | None:
        """A pattern of the keys on which all of `classes` are granted; None if there are none."""

    def allows(self, command_class: str) -> bool:
        """Whether a class of commands that name no key is granted."""


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds on a frame: bytes of a value, keys of one retrieval; bytes and words of a command line that is none.

    `overlong_key`: bytes of a key where overlong keys are shortened.
    """

    value: int = 1024 * 1024
    keys: int = 1000
    line: int = 2048
    tokens: int = 24
    overlong_key: int = 1024
