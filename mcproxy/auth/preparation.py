"""SASLprep (RFC 4013) and the one rule for user names, shared by the users file and every login.

What the users file accepts as a name and what a login may name are judged by the same function, so a name that
could never have been written down is refused before anything is looked up or hashed.
"""

from scramp.utils import ScramException, saslprep  # type: ignore[import-untyped]

NAME_LIMIT = 128
"""Bytes of UTF-8 in a user name."""

PASSWORD_LIMIT = 512
"""Bytes of UTF-8 in a password. RFC 4616 asks for at least 255; with the name it must fit into a login frame."""


class PreparationError(ValueError):
    """A text that SASLprep refuses, or that is empty once prepared. The message never holds the text."""


def prepare(text: str) -> str:
    """The text as SASLprep (RFC 4013) would have it compared. Raises PreparationError.

    Unassigned code points (Unicode 3.2, so most emoji) are refused, as RFC 5802 asks of stored strings. An empty
    result is an error too: RFC 4616 section 2 lets no such text verify.
    """
    if text and text.isascii() and text.isprintable():
        # RFC 4013 section 2 neither maps, normalises nor prohibits any of these, and most names and passwords are such.
        return text
    problem = ""
    try:
        prepared: str = saslprep(text)
    except ScramException as refused:
        problem = str(refused.args[0])
    if problem:
        raise PreparationError(problem)
    if not prepared:
        raise PreparationError("nothing is left of it after SASLprep")
    return prepared


def name_problem(name: str) -> str | None:
    """What is wrong with a user's name, or None when it may stand in the users file.

    1 to 128 bytes of UTF-8, no colon (it ends the name in the file), no white space or control characters (the
    token login splits at the first space; logs hold names), not starting with `#` (a comment), and already in the
    form that SASLprep gives it, so that one user has one spelling.
    """
    if not name:
        return "the name is empty"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return "the name is not valid UTF-8"
    if len(name.encode()) > NAME_LIMIT:
        return f"the name is longer than {NAME_LIMIT} bytes"
    if name.startswith("#"):
        return "a name cannot start with '#', which starts a comment"
    if ":" in name:
        return "a name cannot contain ':'"
    if any(character.isspace() for character in name):
        return "a name cannot contain white space"
    try:
        prepared = prepare(name)
    except PreparationError as refused:
        return f"SASLprep (RFC 4013) refuses the name: {refused}"
    if prepared != name:
        return f"the name must be written as SASLprep (RFC 4013) prepares it: {prepared!r}"
    return None


def login_name(name: str) -> str | None:
    """The name that a login means, as the users file would spell it; None when no user can be called that."""
    try:
        prepared = prepare(name)
    except PreparationError:
        return None
    return prepared if name_problem(prepared) is None else None
