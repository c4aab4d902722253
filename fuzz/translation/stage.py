"""The real parts: a memcached that speaks text, one that demands SASL in binary, and the gateway before that."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import yaml

from fuzz.differential.stage import find_memcached

PATIENCE = 20.0
"""Seconds for a process to start, and for a reply."""
PASSWORD = "translated"
LARGEST = 4 * 2**20


class Stage:
    """Everything in `directory`, whose name must leave room for a unix socket's. A context manager."""

    def __init__(self, directory: Path, *, program: str = f"{sys.executable} -m mcproxy") -> None:
        self._directory = directory
        self._program = program
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._start_memcached("text")
            self._make_user()
            self._start_memcached("binary", "-S")
            self._start_gateway()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait(PATIENCE)

    def connect(self, name: str) -> socket.socket:
        """To "text", the memcached, or to "gateway"."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(self._directory / name))
        return connection

    def log(self) -> str:
        """The end of what the gateway logged."""
        return (self._directory / "log").read_text(errors="replace")[-3000:]

    def _make_user(self) -> None:
        database = self._directory / "sasldb"
        command = ["saslpasswd2", "-p", "-a", "memcached", "-c", "-f", str(database), "-u", "localhost", "gateway"]
        subprocess.run(command, input=PASSWORD.encode(), check=True, timeout=PATIENCE)
        configuration = self._directory / "memcached.conf"
        configuration.write_text(
            f"mech_list: plain\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\n"
        )

    def _start_memcached(self, name: str, *options: str) -> None:
        # As for the differential fuzzer: whatever may make two memcacheds answer differently is off.
        command = [find_memcached(), "-U", "0", "-t", "1", "-s", str(self._directory / name), "-a", "0700", "-m", "256"]
        command += ["-o", "no_lru_maintainer,no_slab_reassign", "-R", "1000000", *options]
        if os.geteuid() == 0:
            command += ["-u", "root"]
        self._start(command, name, os.environ | {"SASL_CONF_PATH": str(self._directory)})

    def _start_gateway(self) -> None:
        password = self._directory / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        settings = {
            "listeners": {"gateway": {"bind": [f"unix:{self._directory / 'gateway'}"], "authentication": ["none"]}},
            "upstream": {
                "address": f"unix:{self._directory / 'binary'}",
                "protocol": "binary",
                "links": 1,
                "timeout": "20s",
                "login": {
                    "method": "sasl",
                    "mechanism": "PLAIN",
                    "username": "gateway@localhost",
                    "password_file": str(password),
                },
            },
            "roles": {"everything": {"commands": ["*"], "keys": ["*"]}},
            "default_roles": ["everything"],
            "limits": {"value": LARGEST},
            "admin": {"bind": f"unix:{self._directory / 'admin'}"},
            "logging": {"level": "warning", "format": "json"},
        }
        configuration = self._directory / "mcproxy.yaml"
        configuration.write_text(yaml.safe_dump(settings))
        configuration.chmod(0o600)
        self._start([*self._program.split(), "run", "--config", str(configuration)], "gateway", os.environ)
        deadline = time.monotonic() + PATIENCE
        with self.connect("gateway") as connection:
            while time.monotonic() < deadline:
                connection.sendall(b"mn\r\n")
                if connection.recv(100) == b"MN\r\n":
                    return
                time.sleep(0.05)
        raise SystemExit(f"the gateway reaches no memcached: {self.log()}")

    def _start(self, command: list[str], name: str, environment: "os._Environ[str] | dict[str, str]") -> None:
        with (self._directory / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parent.parent.parent,
            )
        self._processes.append(process)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError):
                self.connect(name).close()
                return
            time.sleep(0.01)
        raise SystemExit(f"{name} does not start: {self.log()}")
