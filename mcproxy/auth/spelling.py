"""What a name looks like to those who don't look closely.

Directories behind saslauthd compare names as they like: without case (RFC 4519 has `uid` as caseIgnoreMatch), without
accents, with a realm or a domain that may be left out. Who could have each spelling counted for itself, would have as
many guesses at one account as there are spellings.
"""

import unicodedata


def spelling(name: str) -> str:
    """The same for all names that a directory may take for one: in small letters without accents, no `@realm`, no
    `DOMAIN\\`."""
    bare = name.rpartition("\\")[2].partition("@")[0]
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", bare).casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))
