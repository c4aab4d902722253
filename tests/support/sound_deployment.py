"""A deployment as it should be, in a network namespace of its own: nothing for `mcproxy doctor` to find.

memcached on a unix socket, TLS on the namespace's one address, users with verifiers as they are made by default, and
the proxy as a user of its own. Faults are planted in what lies on disk; the running proxy doesn't read it again.
"""

import copy
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.auth.verifiers import DEFAULT_ITERATIONS
from tests.support.certificates import SERVER_NAMES, Certificates, Issued
from tests.support.command_server import CommandServer
from tests.support.configuration import PASSWORDS, write_configuration, write_users
from tests.support.namespaces import NEAR_ADDRESS, Namespaces, inside
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

USER = 64_321
"""The proxy's user id, which no account has."""
PORT, LOOPBACK_PORT, ADMIN_PORT, HEALTH_PORT, MEMCACHED_PORT = 11212, 11213, 9156, 9157, 11211
"""The namespace is ours alone: every port in it is free."""
MONTHS = datetime.timedelta(days=90)

# An interpreter or a checkout in somebody's home could not be read otherwise.
_AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
_READING = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


class SoundDeployment:
    """A context manager. `settings` are those of the sound configuration; `directory` holds all of its files."""

    def __init__(self, directory: Path, certificates: Certificates, namespaces: Namespaces) -> None:
        self.directory = directory
        self.certificates = certificates
        self.namespace = namespaces.near
        self.served = self.server_certificate("served", MONTHS)
        self.settings = self._settings()
        self.proxy = Proxy(directory, self.settings, certificates)
        self._ends = ExitStack()

    @property
    def configuration(self) -> Path:
        return self.proxy.configuration_path

    @property
    def users_file(self) -> Path:
        return self.directory / "users"

    def server_certificate(
        self, name: str, ends: datetime.timedelta, names: list[x509.GeneralName] = SERVER_NAMES
    ) -> Issued:
        """A certificate and its key, in the deployment's directory."""
        issued = self.certificates.issue(f"doctor-{name}", names, ExtendedKeyUsageOID.SERVER_AUTH, ends=ends)
        copied = [shutil.copy(one, self.directory) for one in (issued.certificate, issued.key)]
        return Issued(*map(Path, copied))

    def __enter__(self) -> Self:
        with self._ends as ends:
            write_users(self.users_file, PASSWORDS, DEFAULT_ITERATIONS)
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, USER, USER)
            self.directory.chmod(0o700)
            ends.enter_context(self.memcached("-s", str(self.directory / "memcached.sock"), "-a", "0700"))
            self._commands = CommandServer(inside(self.namespace))
            ends.callback(self._commands.close)
            self.proxy.runner = [*inside(self.namespace), *_AS_USER, *_READING]
            ends.callback(self._stop)
            self.proxy.start()
            self._ends = ends.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _stop(self) -> None:
        if self.proxy.process is not None and self.proxy.process.poll() is None:
            self.proxy.assert_good_end()

    @contextmanager
    def memcached(self, *options: str, user: bool = True) -> Iterator[None]:
        """A memcached in the namespace."""
        ready = self.directory / "memcached.sock" if "-s" in options else None
        program = shutil.which("memcached", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
        assert program is not None, "memcached is not installed: apt-get install memcached"
        words = [*_AS_USER, *_READING] if user else []
        command = [*inside(self.namespace), *words, program, "-u", "root" if not user else str(USER), "-t", "1"]
        process = subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL)
        try:
            eventually("memcached listens", lambda: self._listens(process, ready, options))
            yield
        finally:
            process.kill()
            process.wait(10)

    def _listens(self, process: subprocess.Popen[bytes], path: Path | None, options: tuple[str, ...]) -> bool:
        assert process.poll() is None, f"memcached ended with status {process.returncode}"
        if path is not None:
            return path.is_socket()
        command = [*inside(self.namespace), "ss", "--no-header", "--numeric", "--listening", "--tcp"]
        port = options[options.index("-p") + 1]
        return f":{port} " in subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def changed(self, **changes: Any) -> Iterator[None]:
        """Another configuration on disk; the proxy runs on by the sound one. Those for a listener are merged."""
        settings = copy.deepcopy(self.settings)
        for name, listener in changes.pop("listeners", {}).items():
            settings["listeners"][name] = {**settings["listeners"].get(name, {}), **listener}
        with self.replaced(**{"listeners": settings["listeners"], **changes}):
            yield

    @contextmanager
    def replaced(self, **sections: Any) -> Iterator[None]:
        """As changed, with whole sections in the place of the sound ones."""
        write_configuration(self.configuration, {**self.settings, **sections})
        try:
            yield
        finally:
            write_configuration(self.configuration, self.settings)

    def doctor(self, *options: str, password: str = "") -> tuple[int, dict[str, Any]]:
        """Exit status and what `--json` says. Raises AssertionError if that is nothing."""
        done = self._commands.run(["doctor", "--json", "--config", str(self.configuration), *options], password)
        assert done.output, f"exit status {done.status}: {done.errors}"
        return done.status, json.loads(done.output)

    def table(self) -> tuple[int, str]:
        """Exit status and what the command itself prints for people."""
        command = [*inside(self.namespace), sys.executable, "-m", "mcproxy", "doctor"]
        command += ["--config", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        return done.returncode, done.stdout

    def _settings(self) -> dict[str, Any]:
        tls = {"certificate": str(self.served.certificate), "key": str(self.served.key)}
        return {
            "listeners": {
                "private": {
                    "bind": [f"{NEAR_ADDRESS}:{PORT}"],
                    "allow": ["10.64.0.0/30"],
                    "tls": tls,
                    "authentication": ["sasl", "token"],
                },
                "local": {
                    "bind": [f"127.0.0.1:{LOOPBACK_PORT}"],
                    "allow": ["127.0.0.1/32"],
                    "authentication": ["token"],
                },
            },
            "upstream": {"address": f"unix:{self.directory}/memcached.sock"},
            "users_file": str(self.users_file),
            "roles": {"app": {"commands": ["read", "write"], "keys": ["app:*"]}},
            "grants": [{"user": name, "roles": ["app"]} for name in PASSWORDS],
            "admin": {"bind": f"127.0.0.1:{ADMIN_PORT}", "health_bind": f"{NEAR_ADDRESS}:{HEALTH_PORT}"},
            # The doctor knocks without a login so often here that the throttle slows it: for so long.
            "limits": {"connections": 256, "login_timeout": "3s"},
            "watch_files": False,
        }
