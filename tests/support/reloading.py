"""Changing a running program's files, having it reload them, and seeing what came of it."""

import copy
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import Verifier, make_verifier
from tests.support.configuration import ITERATIONS
from tests.support.proxy import Proxy
from tests.support.waiting import eventually


class Reloads:
    """Of one program. Its configuration, as it is on the disk, is `settings`."""

    def __init__(self, program: Proxy) -> None:
        self.program = program
        self.settings: dict[str, Any] = copy.deepcopy(dict(program.settings))
        self.users = program.directory / "users"

    def results(self) -> int:
        """How many reloads the log tells of, with their first line each."""
        failed = [record for record in self.program.events("reload_failed") if record["number"] == 1]
        return len(self.program.events("reloaded")) + len(failed)

    def write(self, settings: Mapping[str, Any] | None = None) -> None:
        """Put the configuration on the disk, by a rename."""
        replace(self.program.configuration_path, yaml.safe_dump(dict(settings or self.settings), sort_keys=False))

    def sighup(self) -> dict[str, Any]:
        """Reload, and the record that says how it went."""
        before = self.results()
        os.kill(self.program.pid, signal.SIGHUP)
        return self.result_after(before)

    def by_watching(self, change: Callable[[], object]) -> dict[str, Any]:
        """Change files and wait for what is logged without being asked."""
        before = self.results()
        change()
        return self.result_after(before)

    def result_after(self, before: int) -> dict[str, Any]:
        eventually("the reload is over", lambda: self.results() > before, within=20)
        wanted = ("reloaded", "reload_failed")
        return next(record for record in reversed(self.program.records()) if record.get("event") in wanted)

    def succeeds(self) -> dict[str, Any]:
        """Write the configuration and reload, which has to go well."""
        self.write()
        record = self.sighup()
        assert record["event"] == "reloaded", record
        return record

    def fails(self) -> str:
        """Reload, which has to go wrong; the first problem."""
        record = self.sighup()
        assert record["event"] == "reload_failed", record
        return [problem for problem in self.program.events("reload_failed") if problem["number"] == 1][-1]["problem"]


def replace(path: Path, text: str | bytes) -> None:
    """New content by a rename, as careful programs write files; mode 0600."""
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    new.rename(path)


def users_text(secrets: Mapping[str, str | Verifier]) -> str:
    """A users file of names with passwords, or with verifiers that stay the same."""
    lines = []
    for name, secret in secrets.items():
        verifier = secret if isinstance(secret, Verifier) else make_verifier(secret, ITERATIONS)
        lines.append(format_line(name, verifier))
    return "\n".join(lines) + "\n"
