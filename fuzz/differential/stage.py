"""The real parts of one run: two memcacheds, the program in front of one of them, and the tap between these two."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from fuzz.differential.comparison import CRASH, OUT_OF_STEP, Fault
from fuzz.differential.pump import Pump
from fuzz.differential.rules import DIGEST, EVERYTHING, FEW, KEYS_LIMIT, LIMITED, LISTENERS, ROLES, VALUE_LIMIT, Rules

PATIENCE = 20.0
"""Seconds for a process to start or end."""

BAD_SIGNS = ("Traceback", "internal_error", "never retrieved", "ResourceWarning", "never awaited")
LOST = ("upstream_link_lost", "upstream_unavailable")


@dataclass(frozen=True)
class Commands:
    """How the program and memcached are started: words, split at spaces."""

    memcached: str
    program: str = f"{sys.executable} -W always::ResourceWarning -m mcproxy"


def find_memcached() -> str:
    """The one that is installed. Raises SystemExit without one."""
    found = shutil.which("memcached", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    if found is None:
        raise SystemExit("memcached is not installed: apt-get install memcached")
    return found


class Stage:
    """Everything in `directory`, whose name must leave room for a unix socket's. A context manager."""

    def __init__(self, directory: Path, commands: Commands, choose: random.Random) -> None:
        self.directory = directory
        self.commands = commands
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._choose = choose
        self._log = directory / "log"
        self._read = 0
        self._pump: Pump | None = None

    def __enter__(self) -> Self:
        try:
            for name in ("a", "b"):
                self._start_memcached(name)
            self._pump = Pump(self.directory / "tap", str(self.directory / "a"), self._choose)
            self._start_program()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
        if self._pump is not None:
            self._pump.close()

    @property
    def pump(self) -> Pump:
        """The tap and the clients' loop."""
        assert self._pump is not None, "not started"
        return self._pump

    def address(self, rules: Rules) -> str:
        """The socket of the listener that has these rules."""
        return str(self.directory / rules.name)

    def reference(self) -> socket.socket:
        """A connection to memcached B."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self.directory / "b"))
        return connection

    def check(self, within: float = 0.0) -> None:
        """Raise Fault if a process has ended, the program logged an error, or lost a link to memcached.

        The program gets `within` seconds to end.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            if within:
                self.processes["mcproxy"].wait(within)
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise Fault(CRASH, f"{name} ended with status {process.returncode}: {self._log_end()}")
        size = self._log.stat().st_size
        if size == self._read:
            return
        with self._log.open(errors="replace") as log:
            log.seek(self._read)
            text = log.read()
        self._read = size
        for line in text.splitlines():
            if any(sign in line for sign in BAD_SIGNS):
                raise Fault(CRASH, f"the program logged {text[:4000]}")
            if any(event in line for event in LOST):
                raise Fault(OUT_OF_STEP, f"the program dropped a link: {line}")

    def stop_program(self) -> None:
        """SIGTERM. Raises Fault unless it ends well."""
        self.check()
        process = self.processes.pop("mcproxy")
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            self.pump.turn(0.01)
        if process.poll() is None:
            process.kill()
            process.wait()
            raise Fault(CRASH, f"the program does not stop: {self._log_end()}")
        if process.returncode:
            raise Fault(CRASH, f"the program ended with status {process.returncode}: {self._log_end()}")
        self.check()

    def _start_memcached(self, name: str) -> None:
        path = self.directory / name
        command = [*self.commands.memcached.split(), "-U", "0", "-t", "1", "-s", str(path), "-a", "0700", "-m", "256"]
        # Whether arithmetic makes a new item depends on who holds on to the old one just then: background threads that
        # move items, or replies not yet sent, which they are after so many requests of one event.
        command += ["-o", "no_lru_maintainer,no_slab_reassign", "-R", "1000000"]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        self.processes[f"memcached {name}"] = process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait(process, path)

    def _start_program(self) -> None:
        settings = self._settings()
        configuration = self.directory / "mcproxy.yaml"
        configuration.write_text(yaml.safe_dump(settings, sort_keys=False))
        configuration.chmod(0o600)
        command = [*self.commands.program.split(), "run", "--config", str(configuration)]
        with self._log.open("wb") as log:
            self.processes["mcproxy"] = process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=Path(__file__).parent.parent.parent
            )
        for rules in LISTENERS:
            self._wait(process, Path(self.address(rules)))

    def _settings(self) -> dict[str, Any]:
        return {
            "listeners": {
                EVERYTHING.name: {"bind": [f"unix:{self.address(EVERYTHING)}"], "authentication": ["none"]},
                FEW.name: {"bind": [f"unix:{self.address(FEW)}"], "authentication": ["peer"]},
                DIGEST.name: {
                    "bind": [f"unix:{self.address(DIGEST)}"],
                    "authentication": ["none"],
                    "overlong_keys": "digest",
                },
            },
            # One link for each protocol: its order is the order of everything.
            "upstream": {"address": f"unix:{self.directory / 'tap'}", "links": 1, "timeout": "20s"},
            "roles": ROLES,
            "default_roles": ["everything"],
            "grants": [{"peer": {"uid": os.geteuid()}, "as": "fuzzer", "roles": list(LIMITED)}],
            "limits": {"value": VALUE_LIMIT, "keys": KEYS_LIMIT},
            "admin": {"bind": f"unix:{self.directory / 'admin'}"},
            "logging": {"level": "warning", "format": "json"},
        }

    def _wait(self, process: subprocess.Popen[bytes], path: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Fault(CRASH, f"does not start: {process.args!r} {self._log_end()}")
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                return
            if self._pump is not None:
                self._pump.turn(0.01)
            else:
                time.sleep(0.005)

    def _log_end(self) -> str:
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""
