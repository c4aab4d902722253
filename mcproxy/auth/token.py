"""The token login of memcached's text protocol (memcached -Y, protocol.txt "Authentication").

    set <anything> <anything> <anything> <bytes>[ noreply]\\r\\n
    <user> <password>\\r\\n

and the same by a meta command, which memcached itself does not have:

    ms <anything> <bytes>[ <anything>...]\\r\\n
    <user> <password>\\r\\n

Keys, flags and expiration time mean nothing and need not be numbers. Neither `noreply` nor a quiet flag is heeded: a
login is always answered. The first space of the body ends the user's name; the password may hold more of them
(memcached 1.6.18 ignores what follows a second one, measured).
"""

import re
from collections.abc import Callable
from typing import Final

from mcproxy.auth.credentials import Credentials, Malformed, credentials

MECHANISM: Final = "token"

LINE_LIMIT: Final = 2048
"""Bytes of a line: memcached closes a connection that sends more without a line end."""

TOKEN_LIMIT: Final = 1024
"""Bytes in the body of a token."""

_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,3}")

# memcached's own words (proto_text.c, measured on 1.6.18).
ACCEPTED: Final = b"STORED\r\n"
ACCEPTED_META: Final = b"HD\r\n"
AUTHENTICATION_FAILURE: Final = b"CLIENT_ERROR authentication failure\r\n"
BAD_TOKEN: Final = b"CLIENT_ERROR bad authentication token format\r\n"
BAD_TERMINATION: Final = b"CLIENT_ERROR bad command line termination\r\n"
UNAUTHENTICATED: Final = b"CLIENT_ERROR unauthenticated\r\n"


def length_word(words: list[bytes]) -> bytes | None:
    """The length that the line of a token login announces, whatever it says; None if it is no such line."""
    if words[:1] == [b"set"] and (len(words) == 5 or (len(words) == 6 and words[5] == b"noreply")):
        return words[4]
    if words[:1] == [b"ms"] and len(words) > 2:
        return words[2]
    return None


def parse(body: bytes) -> Credentials | Malformed:
    """The body without its line end."""
    if len(body) > TOKEN_LIMIT:
        return Malformed(f"the token is longer than {TOKEN_LIMIT} bytes")
    username, space, password = body.partition(b" ")
    if not space:
        return Malformed("no space between user and password")
    return credentials(username, password)


def begins_with_login(data: bytes, may_write: Callable[[bytes], bool]) -> bool | None:
    """Whether the first bytes of somebody who is known already are a token login; None if more bytes must tell.

    They are if they have the form of one and name a key that he may not write, so that nothing is lost: stored it would
    not have been. Who is called what plays no part in it, or the answer told who exists.
    """
    line, end, rest = data.partition(b"\r\n")
    words = [word for word in line.split(b" ") if word]
    if not end:
        # Nothing but a login line may take long to come.
        begun = words[:1] in ([], [b"set"], [b"ms"]) or any(verb.startswith(data) for verb in (b"set", b"ms"))
        return None if begun and len(data) <= LINE_LIMIT else False
    announced = length_word(words)
    if announced is None or not _LENGTH.fullmatch(announced) or int(announced) > TOKEN_LIMIT:
        return False
    # A key of `ms` in base64 is somebody's who means it.
    if may_write(words[1]) or (words[0] == b"ms" and b"b" in words[3:]):
        return False
    length = int(announced)
    if len(rest) < length:
        return None
    return isinstance(parse(rest[:length]), Credentials)
