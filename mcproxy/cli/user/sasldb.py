"""A sasldb2 of Cyrus SASL, as saslpasswd2 makes it and memcached -S reads it: Berkeley DB, with passwords in the clear.

Berkeley DB's own tool prints it; Python has no reader for its format. Keys are `user NUL realm NUL property`, and the
property userPassword is the password.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from mcproxy.cli.errors import WRONG_USAGE, CommandError
from mcproxy.cli.user.sources import Entry, SourceError

TOOLS: Final = ("db5.3_dump", "db_dump")
"""As Debian calls it, and as others do."""

LONGEST_DUMP: Final = 64 * 2**20
"""Bytes: hundreds of thousands of users."""

DUMP_SECONDS: Final = 60.0

_ESCAPE: Final = re.compile(rb"\\(\\|[0-9a-f]{2})")


def dump(path: Path) -> bytes:
    """What `db5.3_dump -p` prints of a file. Raises CommandError."""
    tool = next((found for name in TOOLS if (found := shutil.which(name))), None)
    if tool is None:
        message = "to read a sasldb2 the program db5.3_dump is needed; on Debian and Ubuntu: apt install db5.3-util"
        raise CommandError(message)
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CommandError(f"{path} can't be read: {os.strerror(error.errno or 0)}", WRONG_USAGE) from None
    if not path.is_file():
        raise CommandError(f"{path} is not a regular file", WRONG_USAGE)
    with tempfile.TemporaryFile() as complaints:
        # Berkeley DB takes settings from the working directory and the environment: it is given neither.
        process = subprocess.Popen(  # noqa: S603 - no shell, and a path that starts with a slash
            [tool, "-p", str(path.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd="/",
            env={"LC_ALL": "C"},
        )
        try:
            content = _read(cast(IO[bytes], process.stdout), path)
            status = process.wait(DUMP_SECONDS)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if status != 0:
            complaints.seek(0)
            said = complaints.read(300).decode("utf-8", "replace").strip().partition("\n")[0]
            raise CommandError(f"{path} is not a sasldb2 in Berkeley DB's format; {Path(tool).name} says: {said}")
    return content


def _read(stream: IO[bytes], path: Path) -> bytes:
    """All of it, bounded in time and size."""
    content = bytearray()
    deadline = time.monotonic() + DUMP_SECONDS
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    while waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(stream.fileno(), 2**16)
        if not chunk:
            return bytes(content)
        content += chunk
        if len(content) > LONGEST_DUMP:
            raise CommandError(f"{path} is too large: its dump has more than {LONGEST_DUMP} bytes")
    raise CommandError(f"{path} can't be read: db5.3_dump takes more than {DUMP_SECONDS:g} seconds")


def sasldb_entries(printed: bytes, realm: str | None) -> list[Entry]:
    """The users of a dump who are in a realm: in its only one by default. Raises SourceError."""
    found = []
    for key, value in _records(printed):
        parts = key.split(b"\0")
        if len(parts) == 3 and parts[2] == b"userPassword":
            found.append((parts[0], parts[1].decode("utf-8", "replace"), value))
    realms = sorted({of_realm for _, of_realm, _ in found})
    if not realms:
        raise _error("holds no passwords")
    if realm is None and len(realms) > 1:
        raise _error(f"holds several realms; choose one of them with --realm: {', '.join(realms)}")
    if realm is not None and realm not in realms:
        raise _error(f"holds no realm {realm}; it holds: {', '.join(realms)}")
    entries = []
    problems: list[tuple[int | None, str]] = []
    for name, of_realm, password in found:
        if of_realm != (realm or realms[0]):
            continue
        try:
            entries.append(Entry(name.decode(), None, password.decode()))
        except UnicodeDecodeError:
            problems.append((None, f"{name.decode('utf-8', 'replace')!r}: the name or the password is not UTF-8 text"))
    if problems:
        raise SourceError(problems)
    return entries


def _records(printed: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record. Raises SourceError."""
    head, begin, rest = printed.partition(b"HEADER=END\n")
    body, end, _ = rest.partition(b"DATA=END")
    lines = body.split(b"\n")
    if not begin or not end or b"format=print\n" not in head or lines.pop() or len(lines) % 2:
        raise _error("its dump is not whole")
    if not all(line.startswith(b" ") for line in lines):
        raise _error("its dump is not whole")
    unescaped = [_ESCAPE.sub(_byte, line[1:]) for line in lines]
    return zip(unescaped[::2], unescaped[1::2], strict=True)


def _byte(escape: re.Match[bytes]) -> bytes:
    return b"\\" if escape[1] == b"\\" else bytes.fromhex(escape[1].decode())


def _error(message: str) -> SourceError:
    return SourceError([(None, message)])
