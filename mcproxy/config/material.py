"""What one reading of the disk gave: the configuration's text and every file that it names.

All that is checked, built or handed to a worker comes from here, so it is of one state of the disk. OpenSSL and the
checks take files by name alone; for them the contents are put into files in memory (memfd_create(2)).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mcproxy.auth.users import Users
from mcproxy.config.problems import Place, Problem
from mcproxy.config.regular_file import File, read_regular_file
from mcproxy.config.schema import Settings
from mcproxy.config.source import PASSING, NotReadNow

_NOT_FILES: tuple[Place, ...] = (("saslauthd", "socket"),)
"""Names of what isn't read."""

Model = TypeVar("Model", bound=BaseModel)


Files = dict[Path, File]
"""By the name that the settings have for it. What could not be read is not there."""


@dataclass(frozen=True)
class Material:
    """A configuration that was checked, and what it was checked with.

    `users` are parsed, nobody without a file; `stand_in_key` is what their stand-ins were made with, None for a random
    one.
    """

    path: Path
    text: str = field(repr=False)
    files: Files = field(repr=False)
    settings: Settings = field(repr=False)
    users: Users = field(repr=False)
    stand_in_key: bytes | None = field(repr=False)

    def with_workers(self, workers: int) -> Material:
        """The same with another number of workers."""
        return replace(self, settings=self.settings.model_copy(update={"workers": workers}))

    def digests(self) -> dict[str, bytes]:
        """What tells one state of the disk from another, without the secrets: a hash for each file, by its name."""
        digests = {str(name): hashlib.sha256(file.content).digest() for name, file in self.files.items()}
        digests["stand_in_key"] = hashlib.sha256(self.stand_in_key or b"").digest()
        return digests | {str(self.path): hashlib.sha256(self.text.encode()).digest()}


def named_files(settings: BaseModel, place: Place = ()) -> Iterator[tuple[Place, Path]]:
    """Every file that the settings name, and where they do."""
    for name, value in settings:
        yield from _named(value, (*place, name))


def _named(value: Any, place: Place) -> Iterator[tuple[Place, Path]]:
    if isinstance(value, Path):
        if place not in _NOT_FILES:
            yield place, value
    elif isinstance(value, BaseModel):
        yield from named_files(value, place)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, (*place, key))


def read_files(settings: Settings) -> Files:
    """Whatever can be read of the files that the settings name; the machine's checks tell about the rest.

    Raises NotReadNow.
    """
    files = {}
    for _, path in named_files(settings):
        try:
            files[path] = read_regular_file(path)
        except OSError as error:
            if error.errno in PASSING:
                message = f"can't be read now: {os.strerror(error.errno)}"
                raise NotReadNow([Problem(path, None, "", message)]) from None
    return files


@contextlib.contextmanager
def in_memory(settings: Settings, files: Files) -> Iterator[tuple[Settings, Callable[[str], str]]]:
    """The settings with files in memory in place of those on disk, for as long as the context lasts.

    The function puts the real names back into a text. Names of files that could not be read stay as they are.
    """
    descriptors: dict[Path, int] = {}
    names: dict[Path, Path] = {}
    try:
        for path, file in files.items():
            descriptors[path] = _memory_file(file)
            names[path] = Path(f"/proc/self/fd/{descriptors[path]}")

        # The longest first: one name may be the beginning of another.
        memory_names = sorted(((str(name), str(path)) for path, name in names.items()), key=lambda pair: -len(pair[0]))

        def with_real_names(text: str) -> str:
            for name, path in memory_names:
                text = text.replace(name, path)
            return text

        yield _renamed(settings, names), with_real_names
    finally:
        for descriptor in descriptors.values():
            os.close(descriptor)


def _renamed(settings: Model, names: dict[Path, Path]) -> Model:
    changed = {name: _renamed_value(value, names) for name, value in settings}
    return settings.model_copy(update={name: value for name, value in changed.items() if value is not None})


def _renamed_value(value: Any, names: dict[Path, Path]) -> Any:
    if isinstance(value, Path):
        return names.get(value, value)
    if isinstance(value, BaseModel):
        return _renamed(value, names)
    if isinstance(value, dict):
        return {key: _renamed_value(inner, names) for key, inner in value.items()}
    return value


def _memory_file(file: File) -> int:
    descriptor = os.memfd_create("mcproxy", os.MFD_CLOEXEC)
    # Its owner is this process, whoever owns the real one.
    os.fchmod(descriptor, file.mode | stat.S_IRUSR)
    written = 0
    while written < len(file.content):
        written += os.write(descriptor, file.content[written:])
    return descriptor
