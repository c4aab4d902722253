"""The words of an upstream's sections `tls` and `login`.

Every function raises ValueError saying what would be right.
"""

from __future__ import annotations

import re
from typing import Any

from mcproxy.config.addresses import is_host_name, parse_ip

_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]{0,254}")  # POSIX.1-2017, 8.1: what shells can set


def parse_server_name(value: Any) -> str:
    """A host name or an IP address, as a server's certificate has it."""
    if not isinstance(value, str):
        raise ValueError('must be the name that the certificate is for, such as "cache.example.com"')
    if parse_ip(value) is not None:
        return str(parse_ip(value))
    if not is_host_name(value):
        raise ValueError(f'"{value}" is neither a host name nor an IP address, which a certificate would be for')
    return value


def parse_login_name(value: Any) -> str:
    """Whom to log in as. Not held to the users file's rule: upstream may have another, and names like `app@realm`.

    What its mechanism makes of it is judged with that (auth/upstream/fitness.py).
    """
    if not isinstance(value, str):
        raise ValueError("must be a name; put it in quotes")
    if not value:
        raise ValueError("must not be empty")
    return value


def parse_variable(value: Any) -> str:
    """The name of an environment variable. What is none isn't repeated: it may be the password itself."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError(
            "must be the name of an environment variable, such as CACHE_PASSWORD: letters, digits and _; "
            "what stands here is none"
        )
    return value
