"""What the parent read and checked, handed to every worker as it is: files may have changed when one is restarted.

A new worker gets it by a file in memory (memfd_create(2)) whose descriptor it inherits: it holds verifiers and private
keys, which have no business in an argument, in the environment or on a disk. One that serves already gets the same by
the control socket, in pieces.
"""

from __future__ import annotations

import fcntl
import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from mcproxy import __version__
from mcproxy.config.load import Reading
from mcproxy.config.material import Material
from mcproxy.config.regular_file import File

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


class OtherVersion(Exception):
    """The program was replaced since the parent was started."""


def pack(number: int, material: Material) -> bytes:
    """A generation's number and material, in ASCII."""
    files = {str(path): [file.mode, _text(file.content)] for path, file in material.files.items()}
    return json.dumps(
        {
            "version": __version__,
            "number": number,
            "path": str(material.path),
            "configuration": material.text,
            "files": files,
            "stand_in_key": None if material.stand_in_key is None else _text(material.stand_in_key),
            "workers": material.settings.workers,
        }
    ).encode()


def unpack(packed: bytes) -> tuple[int, Material]:
    """What was packed. It was checked by the parent, so nothing but its own shape is looked at. Raises OtherVersion."""
    given: dict[str, Any] = json.loads(packed)
    if given["version"] != __version__:
        raise OtherVersion(f"mcproxy {given['version']} runs and {__version__} is installed: restart mcproxy")
    files = {Path(path): File(b64decode(content), mode) for path, (mode, content) in given["files"].items()}
    key = None if given["stand_in_key"] is None else b64decode(given["stand_in_key"])
    path = Path(given["path"])
    material = Reading(given["configuration"], path, files=files, stand_in_key=lambda _: key).material()
    # `auto` is the parent's to decide.
    return given["number"], material.with_workers(given["workers"])


def _text(content: bytes) -> str:
    return b64encode(content).decode()


def write(packed: bytes) -> int:
    """The descriptor of a file in memory that holds this, which nobody can change any more."""
    descriptor = os.memfd_create("mcproxy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    written = 0
    while written < len(packed):
        written += os.write(descriptor, packed[written:])
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def read(descriptor: int) -> bytes:
    """What `write` was given. From its beginning: all workers share one position in the file, so that isn't used."""
    size = os.fstat(descriptor).st_size
    content = b""
    while len(content) < size:
        content += os.pread(descriptor, size - len(content), len(content))
    return content


class Current:
    """What workers are to serve, as the parent loaded it last."""

    def __init__(self, number: int, material: Material) -> None:
        self.number = number
        self.packed = pack(number, material)
        self.descriptor = write(self.packed)

    def close(self) -> None:
        """Nobody is handed this any more."""
        os.close(self.descriptor)
