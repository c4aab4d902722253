"""The client's two messages of SCRAM (RFC 5802 section 7), read strictly.

A message is judged as a whole before any of it is used, and without asking whether its user exists: what is refused
here is refused alike for everybody. Attributes have a fixed order and come once; `m` (a mandatory extension) is refused
as section 5.1 asks; extensions that aren't known are ignored, as it asks too, but they are part of what is signed.
"""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Final

from mcproxy.auth.credentials import Malformed, decode
from mcproxy.auth.preparation import login_name

MESSAGE_LIMIT: Final = 2048
"""Bytes. A name has 128 at most, which escapes make 384, and the final message repeats it in base64."""

NONCE_LIMIT: Final = 256
"""Bytes of a client's nonce; libraries send 24 to 64. It is repeated in a reply, which is bounded."""

# The rules of RFC 5802 section 7 by their names there. UTF-8 is judged when a name is decoded.
_SASLNAME: Final = rb"(?:[^\x00,=]|=2C|=3D)+"
_CB_NAME: Final = rb"[A-Za-z0-9.-]+"
_PRINTABLE: Final = rb"[\x21-\x2b\x2d-\x7e]"
_BASE64: Final = rb"[A-Za-z0-9+/]+={0,2}"
_EXTENSIONS: Final = rb"((?:,[A-Za-z]=[^\x00,]+)*)"
_CLIENT_FIRST: Final = re.compile(
    rb"((?:([ny])|p=(%s)),(?:a=(%s))?,)" % (_CB_NAME, _SASLNAME)
    + rb"(n=(%s),r=(%s{1,%d})%s)" % (_SASLNAME, _PRINTABLE, NONCE_LIMIT, _EXTENSIONS)
)
_CLIENT_FINAL: Final = re.compile(rb"(c=(%s),r=(%s+)%s),p=(%s)" % (_BASE64, _PRINTABLE, _EXTENSIONS, _BASE64))
_MANDATORY: Final = re.compile(rb"(?:[ny]|p=[^,]*),[^,]*,m=")
# Attributes that have their own place or are the server's; none is an extension (RFC 5802 section 5.1).
_RESERVED: Final = frozenset(b"anmrcsivpe")


@dataclass(frozen=True, slots=True)
class ClientFirst:
    """`header` is the gs2-header as it came, `bare` what is signed. `flag` is n, y or p; `binding` is p's type.

    `username` is as the users file would spell it, if it can; it may be a mistyped password.
    """

    header: bytes
    flag: str
    binding: str
    bare: bytes = field(repr=False)
    username: str = field(repr=False)
    nonce: str


@dataclass(frozen=True, slots=True)
class ClientFinal:
    """`unproved` is what is signed: all but the proof. `binding` is in base64 as it came."""

    unproved: bytes = field(repr=False)
    binding: bytes
    nonce: str
    proof: bytes = field(repr=False)


def client_first(message: bytes) -> ClientFirst | Malformed:
    """The first message: `gs2-cbind-flag , [a=authzid] , n=username , r=nonce`."""
    if len(message) > MESSAGE_LIMIT:
        return Malformed(f"the SCRAM message is longer than {MESSAGE_LIMIT} bytes")
    if _MANDATORY.match(message):
        return Malformed("a mandatory extension, and none is known")
    match = _CLIENT_FIRST.fullmatch(message)
    if match is None or not _are_extensions(match[8]):
        return Malformed("not the first message of SCRAM")
    header, flag, binding, authorization, bare, name, nonce = match.groups()[:7]
    username = _name(name)
    if username is None:
        return Malformed("not valid UTF-8")
    if authorization is not None and _name(authorization) != username:
        return Malformed("the authorization identity is not the user's own")
    return ClientFirst(
        header, "p" if flag is None else flag.decode(), (binding or b"").decode(), bare, username, nonce.decode()
    )


def client_final(message: bytes) -> ClientFinal | Malformed:
    """The second message: `c=channel-binding , r=nonce , p=proof`."""
    if len(message) > MESSAGE_LIMIT:
        return Malformed(f"the SCRAM message is longer than {MESSAGE_LIMIT} bytes")
    match = _CLIENT_FINAL.fullmatch(message)
    if match is None or not _are_extensions(match[4]):
        return Malformed("not the final message of SCRAM")
    unproved, binding, nonce, _, encoded = match.groups()
    proof = _decode_base64(encoded)
    if proof is None:
        return Malformed("the proof is not canonical base64")
    return ClientFinal(unproved, binding, nonce.decode(), proof)


def _are_extensions(text: bytes) -> bool:
    """Whether `,x=...,y=...` are optional extensions, each of which comes once."""
    names = [part[0] for part in text.split(b",")[1:]]
    return len(set(names)) == len(names) and not _RESERVED.intersection(names)


def _name(escaped: bytes) -> str | None:
    """A saslname without its escapes, prepared as far as it can be; None for what is not UTF-8."""
    name = decode(escaped)
    if name is None:
        return None
    name = name.replace("=2C", ",").replace("=3D", "=")
    return login_name(name) or name


def _decode_base64(encoded: bytes) -> bytes | None:
    """Canonical base64 only (RFC 4648 section 4)."""
    try:
        decoded = b64decode(encoded, validate=True)
    except ValueError:
        return None
    return decoded if b64encode(decoded) == encoded else None
