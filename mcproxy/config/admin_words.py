"""What the section `admin` says in words: the names of its Host header, and the token of its file."""

from __future__ import annotations

import re
from typing import Any

from mcproxy.config.addresses import is_host_name, parse_ip

SHORTEST_TOKEN = 16
LONGEST_TOKEN = 1024
"""Characters. A request has 8 KiB for all of its headers, and a browser sends the token in base64."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 section 2.1: b64token


class TokenError(ValueError):
    """What a file holds is no token. `str()` is what is wrong with it, and never holds it."""


def parse_admin_host(value: Any) -> str:
    """A host name or an IP address without a port, in small letters. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError('must be a host name, such as "cache-1.example.com"')
    if (address := parse_ip(value.removeprefix("[").removesuffix("]"))) is not None:
        return str(address)
    if not is_host_name(value):
        hint = "; leave out the port" if is_host_name(value.partition(":")[0]) and ":" in value else ""
        raise ValueError(f'"{value}" is neither a host name nor an IP address{hint}')
    return value.lower().removesuffix(".")


def token_in(content: bytes) -> str:
    """The bearer token of a file: one line, its end not counted. Raises TokenError."""
    make = "make one with: openssl rand -hex 32"
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise TokenError(f"is not ASCII text; {make}") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise TokenError(f"is empty; {make}")
    if _TOKEN.fullmatch(text) is None:
        raise TokenError(f"holds something else than letters, digits and -._~+/ on one line; {make}")
    if not SHORTEST_TOKEN <= len(text) <= LONGEST_TOKEN:
        raise TokenError(f"has {len(text)} characters, and must have {SHORTEST_TOKEN} to {LONGEST_TOKEN}; {make}")
    return text
