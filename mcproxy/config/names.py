"""The words of the configuration: fixed vocabularies, and the shape that names and key patterns must have.

Every function here raises ValueError saying what is wrong and what would be right.
"""

from __future__ import annotations

import re
from typing import Any

from mcproxy.auth.preparation import name_problem
from mcproxy.config.problems import suggestion

PROTOCOLS = ("text", "binary")
METHODS = ("sasl", "token", "certificate", "address", "peer", "none")
MECHANISMS = ("PLAIN",)
LATER_MECHANISMS = (
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "EXTERNAL",
)
CLASSES = ("read", "touch", "write", "counter", "delete", "flush", "stats", "inspect", "admin")
KEYLESS_CLASSES = frozenset({"flush", "stats", "inspect", "admin"})
"""Classes with commands that name no key: a role that holds some keys only can't have them (cases.md, 66)."""
GRANT_KINDS = ("user", "certificate", "address", "peer")

LONGEST_KEY = 250  # protocol.txt: "currently the length limit of a key is set at 250 characters"
LONGEST_CERTIFICATE_NAME = 1024

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY_BYTES = re.compile(rb"[\x21-\x7e\x80-\xff]*")  # protocol.txt: "no control characters or space"


def one_of(value: Any, known: tuple[str, ...], later: tuple[str, ...] = ()) -> str:
    """A word of a fixed vocabulary; words of `later` are for a version to come."""
    if not isinstance(value, str):
        raise ValueError(f"must be one of {', '.join(known)}")
    if value in known:
        return value
    if value.upper() in later or value in later:
        raise ValueError(f'"{value}" is not available in this version; available: {", ".join(known)}')
    raise ValueError(f'"{value}" is not known; {suggestion(value, known)}')


def parse_classes(value: Any) -> frozenset[str]:
    """A list of command classes; `*` is all of them."""
    if isinstance(value, set | frozenset):
        value = sorted(value)
    if not isinstance(value, list) or not value:
        raise ValueError(
            f'must be a list of command classes, such as [read, write]; known are {", ".join(CLASSES)}, "*"'
        )
    for word in value:
        one_of(word, (*CLASSES, "*"))
    return frozenset(CLASSES) if "*" in value else frozenset(value)


def is_label(text: str) -> bool:
    """Whether a listener or role may be called so."""
    return _LABEL.fullmatch(text) is not None


def parse_label(value: Any) -> str:
    """The name of a listener or role: it shows up in logs, metrics and command lines."""
    if not isinstance(value, str) or not is_label(value):
        shown = f'"{value}" ' if isinstance(value, str) else ""
        raise ValueError(
            f'{shown}is not a usable name: up to 64 letters, digits, "_", "-" and ".", with a letter or digit first'
        )
    return value


def parse_user_name(value: Any) -> str:
    """The name of a principal, held to the users file's rule for names, so that both spell it the same way."""
    if not isinstance(value, str):
        raise ValueError("must be a name; put it in quotes")
    problem = name_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def parse_certificate_name(value: Any) -> str:
    """A name that a client certificate carries. It is compared exactly, so a pattern would never match."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")
    if not value:
        raise ValueError("must not be empty")
    if len(value) > LONGEST_CERTIFICATE_NAME:
        raise ValueError(f"must have at most {LONGEST_CERTIFICATE_NAME} characters")
    if "*" in value:
        raise ValueError(f'"{value}": names are compared exactly, so "*" stands for nothing; give each name a grant')
    return value


def parse_key_pattern(value: Any) -> str:
    """A key, or with a trailing `*` a prefix of keys; 1 to 250 bytes of UTF-8 as memcached takes them."""
    if not isinstance(value, str) or not value:
        raise ValueError('must be a key or a prefix such as "app:*", in quotes')
    bare = value.removesuffix("*")
    if "*" in bare:
        raise ValueError(f'"{value}": "*" may only be the last character, where it means every key that starts so')
    try:
        key = bare.encode()
    except UnicodeEncodeError:
        raise ValueError("a key must be valid UTF-8") from None
    if len(key) > LONGEST_KEY:
        raise ValueError(f'"{value[:20]}..." has {len(key)} bytes; memcached\'s keys have at most {LONGEST_KEY}')
    if not _KEY_BYTES.fullmatch(key):
        raise ValueError(f'"{value}": memcached\'s keys hold no spaces and no control characters')
    return value


def parse_mode(value: Any) -> int:
    """A file mode, `"0660"`. YAML reads 0660 without quotes as octal and 660 as decimal, so quotes are asked for."""
    if not isinstance(value, str):
        raise ValueError('must be a file mode in quotes, such as "0660"')
    if not re.fullmatch("0?[0-7]{3}", value):
        raise ValueError(f'"{value}" is not a file mode; write it like "0660"')
    return int(value, 8)


def parse_group(value: Any) -> str | int | None:
    """A group's name or number."""
    if isinstance(value, str) and re.fullmatch(r"[^\s:,]{1,64}", value):
        return int(value) if value.isascii() and value.isdigit() else value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    raise ValueError("must be a group's name or number")


def parse_tls_version(value: Any) -> str:
    """`"1.2"` or `"1.3"`; without quotes YAML reads a number."""
    text = str(value) if isinstance(value, float) else value
    if text not in ("1.2", "1.3"):
        raise ValueError('must be "1.2" or "1.3"; older versions of TLS are broken')
    return str(text)
