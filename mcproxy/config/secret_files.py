"""Which of the files that a configuration names nobody else may read."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from mcproxy.config.material import Files, named_files
from mcproxy.config.problems import Place

_PUBLIC = frozenset({"certificate", "client_ca", "crl", "ca"})
"""Last words of the keys that name a file whose content may be known: whatever else is named is secret."""
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----")


def is_public(place: Place) -> bool:
    """Whether what a key names may be known, as long as there is no private key in it."""
    return str(place[-1]) in _PUBLIC


def holds_private_key(content: bytes) -> bool:
    """Whether a key stands in it: beside a certificate that is permitted, and a habit of other programs."""
    return _PRIVATE_KEY.search(content) is not None


def secret_files(settings: BaseModel, files: Files) -> frozenset[Path]:
    """The files that one key at least names as secret, and those that hold a private key whatever names them.

    Of what is not in `files`, since it could not be read, the keys alone tell.
    """
    named = {path for place, path in named_files(settings) if not is_public(place)}
    return frozenset(named | {path for path, file in files.items() if holds_private_key(file.content)})
