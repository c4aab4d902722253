"""What saslauthd is asked and what it answers: one question a connection, over its unix socket.

Source: Cyrus SASL, saslauthd/ipc_unix.c. A question is four counted strings (16 bits, big-endian, then so many bytes):
login, password, service, realm. The answer is one, `OK` or `NO` with or without a space and more behind it.
"""

import re
from enum import Enum
from typing import Final

LONGEST_STRING: Final = 256
"""Bytes: MAX_REQ_LEN of saslauthd/globals.h. A longer one is answered NO before the rest is read."""
LONGEST_ANSWER: Final = 1024
"""Bytes: the buffer of send_no. Mechanisms' own answers are shorter."""


_CONTROL: Final = re.compile(rb"[\0-\x1f\x7f]")


class Answer(Enum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BROKEN = "broken"
    """saslauthd couldn't ask whoever it asks. auth_rimap.c and auth_httpform.c mark that with IMAP's alert code."""


class UnknownAnswer(ValueError):
    """No answer that saslauthd gives."""


def question(login: str, password: str, service: str, realm: str) -> bytes | None:
    """The bytes to send; None for what can't be asked, so nobody has it as name or password.

    saslauthd takes the strings as C strings: whatever followed a NUL would be cut off, and be accepted unread. It may
    put them into a line of another protocol (auth_rimap.c), so nothing that could end a line is passed on either.
    """
    message = b""
    for text in (login, password, service, realm):
        string = text.encode(errors="surrogatepass")
        if len(string) > LONGEST_STRING or _CONTROL.search(string):
            return None
        message += len(string).to_bytes(2) + string
    return message if login and password else None


def answer(data: bytes) -> Answer | None:
    """What `data`, all that has come so far, says; None while more has to come. Raises UnknownAnswer."""
    if len(data) < 2:
        return None
    length = int.from_bytes(data[:2])
    if length > LONGEST_ANSWER or len(data) > 2 + length:
        raise UnknownAnswer
    if len(data) < 2 + length:
        return None
    word, _, more = data[2:].partition(b" ")
    if word == b"OK":
        return Answer.ACCEPTED
    if word == b"NO":
        return Answer.BROKEN if more.startswith(b"[ALERT]") else Answer.REFUSED
    raise UnknownAnswer
