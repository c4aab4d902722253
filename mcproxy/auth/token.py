"""The token login of memcached's text protocol (memcached -Y, protocol.txt "Authentication").

    set <anything> <anything> <anything> <bytes>[ noreply]\\r\\n
    <user> <password>\\r\\n

Key, flags and expiration time mean nothing and need not be numbers. The first space of the body ends the user's
name; the password may hold more of them (memcached 1.6.18 ignores what follows a second one, measured).
"""

from typing import Final

from mcproxy.auth.credentials import Credentials, Malformed, credentials

MECHANISM: Final = "token"

LINE_LIMIT: Final = 2048
"""Bytes of a line: memcached closes a connection that sends more without a line end."""

TOKEN_LIMIT: Final = 1024
"""Bytes in the body of a token."""

# memcached's own words (proto_text.c, measured on 1.6.18).
ACCEPTED: Final = b"STORED\r\n"
AUTHENTICATION_FAILURE: Final = b"CLIENT_ERROR authentication failure\r\n"
BAD_TOKEN: Final = b"CLIENT_ERROR bad authentication token format\r\n"
BAD_TERMINATION: Final = b"CLIENT_ERROR bad command line termination\r\n"
UNAUTHENTICATED: Final = b"CLIENT_ERROR unauthenticated\r\n"


def is_login_line(words: list[bytes]) -> bool:
    """Whether a command line, split into words, is that of a token login, whatever its length says."""
    return words[:1] == [b"set"] and (len(words) == 5 or (len(words) == 6 and words[5] == b"noreply"))


def parse(body: bytes) -> Credentials | Malformed:
    """The body without its line end."""
    if len(body) > TOKEN_LIMIT:
        return Malformed(f"the token is longer than {TOKEN_LIMIT} bytes")
    username, space, password = body.partition(b" ")
    if not space:
        return Malformed("no space between user and password")
    return credentials(username, password)


def claimed_name(data: bytes) -> str | None:
    """Whom a connection's first bytes would log in: "" if they are no token login, None if more bytes must tell."""
    line, end, rest = data.partition(b"\r\n")
    words = [word for word in line.split(b" ") if word]
    if not end:
        # Nothing but a login line may take long to come.
        return None if (len(data) <= LINE_LIMIT and words[:1] in ([], [b"set"])) or b"set".startswith(data) else ""
    if not is_login_line(words) or not words[4].isdigit() or int(words[4][:8]) > TOKEN_LIMIT:
        return ""
    length = int(words[4])
    if len(rest) < length:
        return None
    parsed = parse(rest[:length])
    return "" if isinstance(parsed, Malformed) else parsed.username
