"""`sasl mech` and `sasl auth` of the text protocol, as arcus-memcached has them, when a session sends them.

Neither ever goes upstream: credentials follow. memcached itself knows no such command, and would run the data block.
"""

from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import BAD_FORMAT, ERROR
from mcproxy.wire.outcome import LogInAgain, Refusal

_AUTH: Final = [b"auth"]


def answer(tokens: list[bytes], mechanisms: bytes | None) -> Refusal | LogInAgain:
    """The answer to a line whose first word is `sasl`. `mechanisms` are what it lists; None where none is offered."""
    if mechanisms is None:
        return _not_offered(tokens)
    if tokens[1:2] == _AUTH:
        # Whether that line is as it should be, and what follows it, is for the login to say.
        return LogInAgain()
    if tokens[1:] == [b"mech"]:
        return Refusal(b"SASL_MECH " + mechanisms + b"\r\n")
    return Refusal(BAD_FORMAT, "malformed")


def _not_offered(tokens: list[bytes]) -> Refusal:
    """As memcached answers what it doesn't know; but a data block is not run as commands."""
    if tokens[1:2] != _AUTH:
        return Refusal(ERROR, "unknown command")
    if len(tokens) not in (3, 4) or grammar.is_length(tokens[-1]) is None:
        return Refusal(ERROR, "unknown command", close=True)
    return Refusal(ERROR, "unknown command", swallow=int(tokens[-1]))
