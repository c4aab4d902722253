"""What tells whether files are still those that were read. /status.json shows it, so no secret can be guessed by it."""

from __future__ import annotations

import hashlib

from mcproxy.config.look import Look
from mcproxy.config.material import Material, named_files
from mcproxy.config.problems import dotted

CONFIGURATION = "configuration"
_PUBLIC = frozenset({"certificate", "client_ca", "crl", "ca"})
"""Last words of the keys that name a file whose content may be known."""


def fingerprints(material: Material, look: Look) -> dict[str, str]:
    """By `configuration` and the keys that name files, as far as they are there.

    The configuration's and those of public files are of the content. Of a secret it could be guessed by that, so there
    it is of which file it is, how large and how old; a change of permissions is none of it.
    """
    found = {CONFIGURATION: _digest(material.text.encode())}
    for place, path in named_files(material.settings):
        seen = look.get(path)
        if str(place[-1]) in _PUBLIC and path in material.files:
            found[dotted(place)] = _digest(material.files[path].content)
        elif seen is not None:
            found[dotted(place)] = _digest(f"{seen.inode} {seen.size} {seen.modified}".encode())
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
