"""Names that certificates carry, and which of them a grant means.

A name has a type (RFC 5280 section 4.2.1.6): a DNS name that is spelled like a URI is no URI. It is compared in the
one form that all its spellings share: domains in small letters, and of URIs the scheme and the host (RFC 3986
section 6.2.2.1). What is not spelled as names of its type are (control and non-ASCII characters, NUL, a DNS wildcard,
a SPIFFE ID in capitals) is nobody's name and matches nothing.

In a grant `*` stands for one or more characters within one part of a name: never for `.` in a domain or in the host of
a URI, never for `@`, never for a delimiter or a percent-encoded character of a URI. Nothing else has a meaning of its
own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

KINDS: Final = ("uri", "dns", "email", "subject")
LONGEST: Final = 2048
"""Characters of a name; a longer one of a certificate matches nothing. SPIFFE IDs may have as many."""

T = TypeVar("T")

_DOMAIN: Final = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
# A dot-atom of RFC 5322 section 3.2.3. Quoted local parts, which may hold an @, are not taken.
_LOCAL: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"
_LABEL: Final = "[a-z0-9_-]"
# RFC 3986 section 2: unreserved and sub-delims are what `*` stands for behind the host; the others have a meaning.
_URI_PART: Final = r"[A-Za-z0-9._~!$&'()*+,;=-]"
_URI_REST: Final = r"(?:[A-Za-z0-9._~!$&'()*+,;=:/?#\[\]@-]|%[0-9A-Fa-f]{2})"
_SPELLED: Final = {
    "uri": re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_URI_REST}+"),
    "dns": re.compile(_DOMAIN),
    "email": re.compile(f"{_LOCAL}+@{_DOMAIN}"),
    "subject": re.compile(r"[\x20-\x7e]+"),
}
_AUTHORITY: Final = re.compile(r"([^:]*)://([^/?#]*)(.*)")
_AUTHORITY_DELIMITER: Final = re.compile(r"[.@:\[\]]")
# SPIFFE-ID standard, section 2: no capitals before the path, no empty segment and none of dots.
_SPIFFE: Final = re.compile(r"spiffe://[a-z0-9._-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*")
_EXPLAINED: Final = {
    "uri": 'is not a URI, such as "spiffe://prod/web" or "urn:uuid:..."; SPIFFE IDs have no capitals before the path',
    "dns": 'is not a DNS name, such as "web.example.com"; write URIs as {uri: ...} and subjects as {subject: ...}',
    "email": 'is not an email address, such as "web@example.com"',
    "subject": 'is not a subject, such as "CN=web,O=Example"',
}


@dataclass(frozen=True, slots=True)
class CertificateName:
    """A name and its type, `uri`, `dns`, `email` or `subject`, in the form in which names are compared.

    Of a grant it may hold `*`, except for subjects. Make it with `presented` or `granted`.
    """

    kind: str
    value: str

    @property
    def is_pattern(self) -> bool:
        """Whether a grant of this name is for several."""
        return "*" in self.value and self.kind != "subject"

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def presented(kind: str, value: str) -> CertificateName | None:
    """A name of a certificate; None if it isn't spelled as its type is, so that no grant can mean it."""
    if len(value) > LONGEST or not _is_spelled(kind, value):
        return None
    return CertificateName(kind, _canonical(kind, value))


def granted(kind: str, value: str) -> CertificateName:
    """The name in a grant. Raises ValueError saying what is wrong and what would be right."""
    if not value:
        raise ValueError("must not be empty")
    if len(value) > LONGEST:
        raise ValueError(f"must have at most {LONGEST} characters")
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!a}: names hold printable ASCII characters only; one with others would match nothing")
    # With a character that every part of a name may have in place of each star, but nothing percent-encoded.
    if not _is_spelled(kind, value if kind == "subject" else value.replace("*", "g")):
        raise ValueError(f'"{value}" {_EXPLAINED[kind]}')
    name = CertificateName(kind, _canonical(kind, value))
    if name.is_pattern:
        if kind == "uri" and "*" in value.partition(":")[0]:
            raise ValueError(f'"{value}": "*" may not stand for a scheme; write that out, as in "spiffe://prod/*"')
        # So a name is matched without trying one star against another.
        if any(part.count("*") > 1 for part in _parts(name)):
            raise ValueError(f'"{value}": "*" may stand once between two delimiters, as in "web-*"')
    return name


def kind_of(value: str) -> str:
    """The type of a name that a grant gives as plain text."""
    if "://" in value:
        return "uri"
    return "email" if "@" in value else "dns"


def _is_spelled(kind: str, value: str) -> bool:
    if kind == "uri" and value[:7].lower() == "spiffe:":
        return _SPIFFE.fullmatch(value) is not None
    return _SPELLED[kind].fullmatch(value) is not None


def _canonical(kind: str, value: str) -> str:
    if kind == "dns":
        return value.lower()
    if kind == "email":
        local, _, domain = value.rpartition("@")
        return f"{local}@{domain.lower()}"
    if kind == "uri":
        parts = _AUTHORITY.fullmatch(value)
        if parts is None:
            scheme, _, rest = value.partition(":")
            return f"{scheme.lower()}:{rest}"
        user, at, host = parts[2].rpartition("@")
        return f"{parts[1].lower()}://{user}{at}{host.lower()}{parts[3]}"
    return value


def _parts(name: CertificateName) -> list[str]:
    """What stands between delimiters."""
    if name.kind == "uri":
        authority, rest = _authority_and_rest(name.value)
        return [*_AUTHORITY_DELIMITER.split(authority), *re.findall(f"{_URI_PART}+", rest)]
    local, at, domain = name.value.rpartition("@")
    return [*([local] if at else []), *domain.split(".")]


def _expression(name: CertificateName) -> str:
    """A regular expression of the names that a pattern means."""
    if name.kind == "uri":
        authority, rest = _authority_and_rest(name.value)
        return _starred(authority, _LABEL) + _starred(rest, _URI_PART)
    local, at, domain = name.value.rpartition("@")
    return _starred(local, _LOCAL) + at + _starred(domain, _LABEL)


def _starred(text: str, part: str) -> str:
    return re.escape(text).replace(r"\*", f"{part}+")


def _authority_and_rest(uri: str) -> tuple[str, str]:
    """A URI up to its path, and the rest; the first is empty without an authority."""
    found = _AUTHORITY.fullmatch(uri)
    return (uri[: found.start(3)], found[3]) if found is not None else ("", uri)


class CertificateTable(Generic[T]):
    """Values by the names that certificates carry.

    An exact name goes before a pattern, and then the earlier entry before the later, whichever of a certificate's names
    they match. One search for each of a certificate's names, however many entries there are.
    """

    def __init__(self, entries: Iterable[tuple[CertificateName, T]]) -> None:
        self._values: list[T] = []
        self._exact: dict[CertificateName, int] = {}
        expressions: dict[str, list[str]] = {}
        self._numbers: dict[str, list[int]] = {}
        for number, (name, value) in enumerate(entries):
            self._values.append(value)
            if name.is_pattern:
                expressions.setdefault(name.kind, []).append(f"({_expression(name)})")
                self._numbers.setdefault(name.kind, []).append(number)
            else:
                self._exact.setdefault(name, number)
        # Of several alternatives that match all of a text, the first is taken.
        self._patterns = {kind: re.compile("|".join(texts)) for kind, texts in expressions.items()}

    def lookup(self, names: Iterable[CertificateName]) -> T | None:
        """The value for a certificate with these names; None if no entry means any of them."""
        names = list(names)
        found = [self._exact[name] for name in names if name in self._exact]
        if not found:
            for name in names:
                pattern = self._patterns.get(name.kind)
                matched = pattern.fullmatch(name.value) if pattern is not None else None
                if matched is not None and matched.lastindex is not None:
                    found.append(self._numbers[name.kind][matched.lastindex - 1])
        return self._values[min(found)] if found else None
