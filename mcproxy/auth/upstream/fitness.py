"""What can be logged in with at all: judged by the configuration, and once more before a login."""

import hashlib
import unicodedata
from typing import Final

from mcproxy.auth.preparation import NAME_LIMIT, PASSWORD_LIMIT, PreparationError, prepare
from mcproxy.auth.upstream.credentials import Credentials

MECHANISMS: Final = (
    *("PLAIN", "EXTERNAL", "CRAM-MD5", "DIGEST-MD5"),
    *("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    *("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512-PLUS"),
)

_UNSEEN: Final = ("Cf", "Zl", "Zp")  # general categories of Unicode: formatting (such as right to left), line ends


def credentials_problem(protocol: str, credentials: Credentials) -> str | None:
    """Why no login can be made of these, or None: a fixed sentence, which holds neither name nor password.

    Texts go up as they are written, since memcached's own users file and Cyrus's sasldb compare them so; SCRAM alone
    sends and hashes what SASLprep (RFC 4013) makes of them, as RFC 5802 asks. Control characters have no place in
    either, least of all the NUL that divides PLAIN's message and the line end that divides commands; nor has in a name
    what would make it look like another, which SASLprep takes out by itself.
    """
    mechanism = credentials.mechanism
    if mechanism is None and protocol != "text":
        return "the token login is one of the text protocol"
    if mechanism is not None and mechanism not in MECHANISMS:
        return "no such SASL mechanism is known"
    if mechanism is not None and mechanism.endswith("-MD5") and not _has_md5():
        return "MD5, which the mechanism to log in with needs, is switched off on this machine"
    if mechanism == "EXTERNAL":
        return None
    prepared = mechanism is not None and mechanism.startswith("SCRAM-")
    for what, text, limit in (
        ("user name", credentials.username, NAME_LIMIT),
        ("password", credentials.password, PASSWORD_LIMIT),
    ):
        problem = _text_problem(text, limit)
        if problem is None and prepared:
            problem = _preparation_problem(text)
        if problem:
            return f"the {what} to log in with {problem}"
    if not prepared and any(unicodedata.category(character) in _UNSEEN for character in credentials.username):
        return "the user name to log in with holds a character that isn't seen (of formatting, or a line's end)"
    if mechanism is None and " " in credentials.username:
        return "the user name to log in with holds a space, which ends it in a token"
    return None


def _has_md5() -> bool:
    """OpenSSL in FIPS mode has none, and pure-sasl would fail in the middle of a login."""
    try:
        hashlib.md5()  # noqa: S324 - nothing is hashed
    except ValueError:
        return False
    return True


def _text_problem(text: str, limit: int) -> str | None:
    if not text:
        return "is empty"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return "is not valid UTF-8"
    if len(text.encode()) > limit:
        return f"is longer than {limit} bytes"
    if any(unicodedata.category(character) == "Cc" for character in text):
        return "holds a control character"
    return None


def _preparation_problem(text: str) -> str | None:
    try:
        prepare(text)
    except PreparationError:
        return "is refused by SASLprep (RFC 4013)"
    return None
