"""The words of the configuration: fixed vocabularies, and the shape that names and key patterns must have.

Every function here raises ValueError saying what is wrong and what would be right.
"""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from mcproxy.auth.offer import MECHANISMS as MECHANISMS
from mcproxy.auth.preparation import name_problem
from mcproxy.auth.saslauthd import LONGEST_STRING
from mcproxy.config.problems import suggestion
from mcproxy.policy import certificates
from mcproxy.policy.certificates import CertificateName

PROTOCOLS = ("text", "binary")
ENGINES = ("memcached", "mcproxy", "twemproxy")
METHODS = ("sasl", "token", "certificate", "address", "peer", "none")
CLASSES = ("read", "touch", "write", "counter", "delete", "flush", "stats", "inspect", "admin")
KEYLESS_CLASSES = frozenset({"flush", "stats", "inspect", "admin"})
"""Classes with commands that name no key: a role that holds some keys only can't have them (cases.md, 66)."""
GRANT_KINDS = ("user", "certificate", "address", "peer")

LONGEST_KEY = 250  # protocol.txt: "currently the length limit of a key is set at 250 characters"

_SUBJECT = re.compile(r"\A\s*subject\s*=\s*", re.IGNORECASE)
# As RFC 4514 and `openssl x509 -nameopt RFC2253` spell them, in small letters.
_ATTRIBUTES = {
    "cn": NameOID.COMMON_NAME,
    "commonname": NameOID.COMMON_NAME,
    "l": NameOID.LOCALITY_NAME,
    "st": NameOID.STATE_OR_PROVINCE_NAME,
    "s": NameOID.STATE_OR_PROVINCE_NAME,
    "o": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "c": NameOID.COUNTRY_NAME,
    "street": NameOID.STREET_ADDRESS,
    "dc": NameOID.DOMAIN_COMPONENT,
    "uid": NameOID.USER_ID,
    "emailaddress": NameOID.EMAIL_ADDRESS,
    "serialnumber": NameOID.SERIAL_NUMBER,
    "sn": NameOID.SURNAME,
    "gn": NameOID.GIVEN_NAME,
    "title": NameOID.TITLE,
    "initials": NameOID.INITIALS,
    "pseudonym": NameOID.PSEUDONYM,
    "dnqualifier": NameOID.DN_QUALIFIER,
    "generationqualifier": NameOID.GENERATION_QUALIFIER,
    "postalcode": NameOID.POSTAL_CODE,
    "organizationidentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "unstructuredname": NameOID.UNSTRUCTURED_NAME,
    "businesscategory": NameOID.BUSINESS_CATEGORY,
    "description": x509.ObjectIdentifier("2.5.4.13"),
    "name": x509.ObjectIdentifier("2.5.4.41"),
    "jurisdictionl": NameOID.JURISDICTION_LOCALITY_NAME,
    "jurisdictionst": NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME,
    "jurisdictionc": NameOID.JURISDICTION_COUNTRY_NAME,
}

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY_BYTES = re.compile(rb"[\x21-\x7e\x80-\xff]*")  # protocol.txt: "no control characters or space"


def one_of(value: Any, known: tuple[str, ...]) -> str:
    """A word of a fixed vocabulary."""
    if not isinstance(value, str):
        raise ValueError(f"must be one of {', '.join(known)}")
    if value in known:
        return value
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


def parse_certificate_name(value: Any) -> CertificateName:
    """A name that client certificates carry: text, whose type shows in its spelling, or `{uri: ...}` and its like."""
    if isinstance(value, CertificateName):
        return value
    if isinstance(value, str):
        return certificates.granted(certificates.kind_of(value), value)
    if not isinstance(value, dict):
        raise ValueError("must be text; put it in quotes")
    known = ", ".join(certificates.KINDS)
    if len(value) != 1:
        raise ValueError(f"must have exactly one of {known}, such as {{dns: web.example.com}}")
    kind, name = next(iter(value.items()))
    if kind not in certificates.KINDS:
        raise ValueError(f'"{kind}" is not known; {suggestion(str(kind), certificates.KINDS)}')
    if not isinstance(name, str):
        raise ValueError(f"{kind} must be text; put it in quotes")
    return certificates.granted(kind, _subject(name) if kind == "subject" else name)


def _subject(value: str) -> str:
    """A distinguished name as it is compared: in the one spelling that certificates' own are brought to.

    Attributes may be called as OpenSSL calls them, in any case, and its `subject=` may stand before.
    """
    try:
        return x509.Name.from_rfc4514_string(_SUBJECT.sub("", value), _Attributes(_ATTRIBUTES)).rfc4514_string()
    except ValueError:
        raise ValueError(
            f'"{value}" is not a subject as RFC 4514 spells it, such as "CN=web,O=Example"; '
            "to see one: openssl x509 -in FILE -noout -subject -nameopt RFC2253"
        ) from None


class _Attributes(dict[str, x509.ObjectIdentifier]):
    """The types of attributes by their names, whatever the case of these (RFC 4512 section 1.4)."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


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


def parse_saslauthd_word(value: Any) -> str:
    """The service or realm that saslauthd is told; it takes them as C strings of bounded length."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")
    if "\0" in value:
        raise ValueError("can't hold a NUL")
    if len(value.encode(errors="replace")) > LONGEST_STRING:
        raise ValueError(f"must have at most {LONGEST_STRING} bytes")
    return value
