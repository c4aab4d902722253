"""What tells whether files are still those that were read. /status.json shows it, so no secret can be guessed by it."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

from mcproxy.config.look import Seen, look
from mcproxy.config.material import Material, named_files
from mcproxy.config.problems import dotted
from mcproxy.config.regular_file import read_regular_file
from mcproxy.config.secret_files import secret_files
from mcproxy.config.stand_in import offers_scram
from mcproxy.files.stand_in_key import stand_in_key_path

CONFIGURATION = "configuration"
KEY_BESIDE_USERS = "the key beside users_file"


def fingerprints(material: Material) -> dict[str, str]:
    """SHA-256 of what the configuration and the public files held, by `configuration` and the keys that name files."""
    secret = secret_files(material.settings, material.files)
    found = {CONFIGURATION: _digest(material.text.encode())}
    for place, path in named_files(material.settings):
        if path not in secret and path in material.files:
            found[dotted(place)] = _digest(material.files[path].content)
    return found


def compared_files(material: Material) -> dict[str, Path]:
    """The files that can be told to be others by now, by what they are called."""
    settings = material.settings
    found = {dotted(place): path for place, path in named_files(settings)}
    if settings.users_file is not None and offers_scram(settings):
        found[KEY_BESIDE_USERS] = stand_in_key_path(settings.users_file)
    return found


class ServedFiles:
    """The files whose content is served, against those on disk.

    Whatever is made of a secret alone could be searched for, so of secrets it is told whether the file still holds what
    is served, and no more. One is read only if it looks otherwise than when it was compared last.
    """

    def __init__(self, material: Material) -> None:
        self._fingerprints = fingerprints(material)
        self._secrets: dict[str, tuple[Path, bytes]] = {}
        for key, path in compared_files(material).items():
            if key == KEY_BESIDE_USERS:
                self._secrets[key] = path, b64encode(material.stand_in_key or b"")
            elif key not in self._fingerprints and path in material.files:
                self._secrets[key] = path, material.files[path].content.strip()
        self._compared: dict[str, tuple[Seen | None, bool]] = {}

    def rows(self, *, compared: bool = True) -> list[dict[str, object]]:
        """As docs/status.md says. Blocks, for as long as files do; not if nothing is to be `compared` now.

        For one thread at a time.
        """
        rows: list[dict[str, object]] = [{"key": key, "fingerprint": of} for key, of in self._fingerprints.items()]
        return rows + [{"key": key, "unchanged": self._holds(key) if compared else None} for key in self._secrets]

    def _holds(self, key: str) -> bool:
        path, content = self._secrets[key]
        seen = look([path])[path]
        last = self._compared.get(key)
        if last is not None and last[0] == seen:
            return last[1]
        try:
            same = read_regular_file(path).content.strip() == content
        except OSError:
            same = False
        self._compared[key] = seen, same
        return same


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
