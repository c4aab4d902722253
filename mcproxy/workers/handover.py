"""What the parent read and checked, handed to every worker as it is: files may have changed when one is restarted.

It goes by a file in memory (memfd_create(2)) whose descriptor the workers inherit: it holds verifiers and private keys,
which have no business in an argument, in the environment or on a disk. OpenSSL takes certificates and keys by file name
alone, so a worker puts them into files of the same kind and names those.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mcproxy import __version__
from mcproxy.auth.users import Users, parse_users
from mcproxy.config.load import loads
from mcproxy.config.schema import ListenerTls, Settings

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
_TLS_FILES = ("certificate", "key", "client_ca")


class OtherVersion(Exception):
    """The program was replaced since the parent was started."""


@dataclass(frozen=True)
class Handover:
    """The text of the configuration and of the users file, and the TLS files (PEM) by path, as latin-1."""

    path: str
    configuration: str
    users: str
    workers: int
    files: dict[str, str] = field(default_factory=dict)
    version: str = __version__

    @classmethod
    def of(cls, settings: Settings, configuration: str, path: Path) -> Handover:
        """Reads what the settings name. Raises OSError."""
        users = "" if settings.users_file is None else settings.users_file.read_text("utf-8")
        files = {
            str(name): name.read_bytes().decode("latin-1")
            for listener in settings.listeners.values()
            if listener.tls is not None
            for name in _tls_files(listener.tls).values()
        }
        return cls(str(path), configuration, users, settings.workers, files)

    def write(self) -> int:
        """The descriptor of a file in memory, which nobody can change any more."""
        descriptor = _memory_file(json.dumps(asdict(self)).encode())
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return descriptor

    @classmethod
    def read(cls, descriptor: int) -> Handover:
        """Reads it from its beginning: all workers share one position in the file, so that isn't used.

        Raises OtherVersion.
        """
        given = json.loads(os.pread(descriptor, os.fstat(descriptor).st_size, 0))
        if given["version"] != __version__:
            raise OtherVersion(f"mcproxy {given['version']} runs and {__version__} is installed: restart mcproxy")
        return cls(**given)

    def parsed_users(self) -> Users:
        """The users, of whom there may be none."""
        return parse_users(self.users)

    def settings(self) -> Settings:
        """A worker's settings: TLS files in memory, and its part of the memory that all may use."""
        settings = loads(self.configuration, Path(self.path), check_machine=False)
        listeners = {
            name: listener
            if listener.tls is None
            else listener.model_copy(update={"tls": self._in_memory(listener.tls)})
            for name, listener in settings.listeners.items()
        }
        part = settings.limits.total_buffer // self.workers
        limits = settings.limits.model_copy(update={"total_buffer": part})
        return settings.model_copy(update={"listeners": listeners, "limits": limits})

    def _in_memory(self, tls: ListenerTls) -> ListenerTls:
        names = {
            key: Path(f"/proc/self/fd/{_memory_file(self.files[str(name)].encode('latin-1'))}")
            for key, name in _tls_files(tls).items()
        }
        return tls.model_copy(update=names)


def _tls_files(tls: ListenerTls) -> dict[str, Path]:
    return {key: name for key in _TLS_FILES if (name := getattr(tls, key)) is not None}


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("mcproxy", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    written = 0
    while written < len(content):
        written += os.write(descriptor, content[written:])
    return descriptor
