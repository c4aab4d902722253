"""A name and a password as a client sent them, or why they are not.

Malformed is a value rather than an exception: an exception made while decoding would carry the password along
(`UnicodeDecodeError.object`, or as the context of another), and end up in somebody's log.
"""

from dataclasses import dataclass, field

from mcproxy.auth.preparation import login_name


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Malformed:
    reason: str


def credentials(username: bytes, password: bytes) -> Credentials | Malformed:
    """Both decoded from UTF-8 and neither empty; the name is the users file's spelling of it, if it has one.

    A name that no user can have is kept as it came: it is checked like that of any unknown user, at the same cost.
    """
    if not username:
        return Malformed("the user name is empty")
    if not password:
        return Malformed("the password is empty")
    name, secret = decode(username), decode(password)
    if name is None or secret is None:
        return Malformed("not valid UTF-8")
    return Credentials(login_name(name) or name, secret)


def decode(data: bytes) -> str | None:
    """None for what is not UTF-8 (RFC 3629: no surrogates, no overlong forms)."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
