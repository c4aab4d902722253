"""Fragments of the canonical grammar: the only spellings that may go upstream.

Named after the tokens of memcached's protocol.txt. The ranges are narrower than that text allows: each was measured to
mean the same thing to memcached 1.6.18 and 1.6.45, while wider ones are truncated, wrapped or refused by one of the two
(a length of 4294967297 is stored as one byte by 1.6.18, flags of 4294967296 as 0).
"""

import binascii
import re
from typing import Final

# A key in protocol.txt is "up to 250 characters", without "control characters or whitespace".
KEY_BYTE: Final = rb"[\x21-\x7e\x80-\xff]"
KEY_LENGTH: Final = 250
# Possessive quantifiers stand on single character classes only: Python 3.11.2 over-matches possessive groups.
KEY: Final = KEY_BYTE + rb"{1,250}+"
is_key: Final = re.compile(KEY).fullmatch

# memcached closes a connection once more than 2048 bytes lie in its buffer without a newline, except after "get ".
LINE_LENGTH: Final = 2048
# A retrieval costs memcached about 1.3 KB of its own memory for every key of one line, and keeps it.
KEYS_PER_LINE: Final = 100
# Eight keys of 250 bytes, with their verb, stay under LINE_LENGTH whatever they are.
KEYS_OF_ANY_LENGTH: Final = 8
# The largest item length that memcached swallows rather than takes for a mistake.
LARGEST_LENGTH: Final = 1 << 30


def decimal_at_most(largest: int) -> bytes:
    """A pattern of the decimal numbers from 0 to `largest`, without sign or leading zeros."""
    digits = str(largest)
    width = len(digits)
    if width == 1:
        return b"[0-%d]" % largest
    alternatives = [rb"0|[1-9][0-9]{0,%d}" % (width - 2)]
    for index, digit in enumerate(digits):
        lowest = 1 if index == 0 else 0
        highest = int(digit) - 1
        if highest >= lowest:
            rest = width - index - 1
            tail = rb"[0-9]{%d}" % rest if rest else b""
            alternatives.append(digits[:index].encode() + b"[%d-%d]" % (lowest, highest) + tail)
    alternatives.append(digits.encode())
    return b"(?:" + b"|".join(alternatives) + b")"


UINT32: Final = decimal_at_most(2**32 - 1)
UINT64: Final = decimal_at_most(2**64 - 1)
FLAGS: Final = UINT32
CAS_UNIQUE: Final = UINT64
# Seconds from now up to 30 days, above that a Unix time; -1 is "already expired", as is every negative number.
EXPTIME: Final = rb"(?:-1|" + decimal_at_most(2**31 - 1) + rb")"
is_exptime: Final = re.compile(EXPTIME).fullmatch
is_uint32: Final = re.compile(UINT32).fullmatch
is_uint64: Final = re.compile(UINT64).fullmatch
# Any length that says where its data block ends, whatever the cap: a refused block can be swallowed.
is_length: Final = re.compile(decimal_at_most(LARGEST_LENGTH)).fullmatch

# RFC 4648 section 4, and nothing else that memcached decodes: not "Zm9=" or "Zm!9v", which reach the key "foo" too.
_BASE64_KEY: Final = re.compile(
    rb"(?:[A-Za-z0-9+/]{4})*"
    rb"(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)"
).fullmatch
# memcached bounds the encoded form as it bounds a plain key; 248 characters are 186 bytes.
BASE64_KEY_LENGTH: Final = 248
_number: Final = re.compile(rb"0*([0-9]+)").fullmatch


def decode_key(token: bytes) -> bytes | None:
    """The key that a base64 token stands for; None unless it is canonical base64 of what is a key in text as well."""
    if len(token) > BASE64_KEY_LENGTH or _BASE64_KEY(token) is None:
        return None
    key = binascii.a2b_base64(token)
    return key if is_key(key) else None


def plain_number(token: bytes) -> bytes:
    """A decimal number without leading zeros, which memcached takes; what is no such number as it is."""
    match = _number(token)
    return token if match is None else match[1]


def plain_exptime(token: bytes) -> bytes:
    """A time as it may go upstream: -1 for all that is negative; what is no time as it is.

    Below -2147483648 memcached wraps around, and takes -4294967295 for a second from now.
    """
    if not token.startswith(b"-"):
        return plain_number(token)
    digits = plain_number(token[1:])
    if not digits.isdigit():
        return token
    return b"0" if digits == b"0" else b"-1"


# What memcached prints, bounded so that a missing line end is found out. One text is no reply to anything: memcached
# throws away the replies of earlier pipelined commands with it (and newer versions append stray bytes).
SERVER_ERROR: Final = rb"SERVER_ERROR (?!out of memory writing get response)[\x20-\x7e]{0,256}\r\n"
# Says that the link is not logged in, whatever was asked: it is no request's reply, also where text is free. Before the
# login memcached -Y takes every `set` for one.
LOGIN_WANTED: Final[bytes] = (
    rb"CLIENT_ERROR (?:unauthenticated|authentication failure|bad authentication token format)\r\n"
)
CLIENT_ERROR: Final = b"(?!" + LOGIN_WANTED + b")CLIENT_ERROR"
# What every command can have as its reply. memcached denies nothing; an upstream that is an mcproxy has grants of its
# own, and answers the whole command by this one line.
FAILURE: Final = SERVER_ERROR + rb"|CLIENT_ERROR access denied\r\n"
