"""The container image: built by buildah from the Dockerfile, on a base made by debootstrap, and run by podman.

No registry is asked for anything: packages come from where apt and pip of this machine get theirs. Needs root, and of
Debian buildah, podman, crun and debootstrap. Containers have the network of this machine.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.program_log import ProgramLog
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
USER = 10001
"""Uid and gid in the image."""

CONFINED = [
    *("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--cgroups", "disabled", "--ulimit", "nofile=16384:16384", "--ulimit", "nproc=1000:1000"),
]
"""As deploy/compose has it; without control groups, and with limits that need not be raised, for machines that are
small virtual ones themselves."""

_RELEASE = "bookworm"
_TOOLS = ("buildah", "podman", "crun", "debootstrap")
# crun refuses the mixture of two versions of control groups that some machines have; containers here have none.
_PLAIN_GROUPS = (
    "umount --recursive /sys/fs/cgroup 2>/dev/null; mount --types cgroup2 none /sys/fs/cgroup 2>/dev/null; "
    'exec podman "$@"'
)


def missing_tools() -> list[str]:
    return [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]


class Store:
    """Images and containers in a directory of their own, apart from this machine's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._options = ["--root", str(directory / "images"), "--runroot", str(directory / "run")]

    def make_base(self, name: str) -> None:
        """A Debian with what the image that Debian publishes under this name has, but for what it leaves out of it."""
        tree = self.directory / "base"
        mirror = "http://deb.debian.org/debian"
        _run("debootstrap", "--variant=minbase", _RELEASE, str(tree), mirror)
        sources = [f"deb {mirror} {suite} main\n" for suite in (_RELEASE, f"{_RELEASE}-updates")]
        sources.append(f"deb {mirror}-security {_RELEASE}-security main\n")
        (tree / "etc/apt/sources.list").write_text("".join(sources))
        container = self.buildah("from", "scratch").strip()
        self.buildah("add", "--quiet", container, str(tree), "/")
        self.buildah("commit", "--quiet", "--rm", container, name)
        shutil.rmtree(tree)

    def build(self, name: str, *options: str) -> None:
        """The Dockerfile's steps, with this machine's name servers and the certificates that its pip trusts."""
        volumes = []
        authorities = os.environ.get("PIP_CERT")
        if authorities:
            settings = self.directory / "pip.conf"
            settings.write_text("[global]\ncert = /run/authorities.crt\n")
            volumes = ["--volume", f"{settings}:/etc/pip.conf:ro", "--volume", f"{authorities}:/run/authorities.crt:ro"]
        # Only in Docker's format is there a HEALTHCHECK.
        self.buildah(
            *("bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker"),
            *("--layers", "--timestamp", "0", *volumes, *options, "--tag", name, str(ROOT)),
        )

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(_run(*self.podman("image", "inspect", name)))[0]
        return found

    def run_once(self, image: str, *arguments: str, options: Sequence[str], text: str = "") -> str:
        """What a container prints that ends by itself: as confined as others, and without a network."""
        confined = ["--rm", "--interactive", "--network", "none", "--no-healthcheck", *CONFINED, *options]
        done = run(self.podman("run", *confined, image, *arguments), text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *self._options, *arguments)

    def podman(self, *arguments: str) -> list[str]:
        """The command line of a podman that looks nowhere else than in this store."""
        options = [*self._options, "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        return ["unshare", "--mount", "sh", "-c", _PLAIN_GROUPS, "podman", *options, *arguments]


class Container:
    """`podman run` in the foreground, as confined as deploy/compose has it. A context manager; it ends by SIGKILL.

    `volumes` are "SOURCE:PLACE:ro" or the like. The container has this machine's network.
    """

    def __init__(self, store: Store, image: str, name: str, volumes: Sequence[str], *arguments: str) -> None:
        self.store = store
        self.name = name
        mounts = [word for volume in volumes for word in ("--volume", volume)]
        # podman would have systemd ask; tests ask by themselves.
        options = ["--name", name, "--network", "host", *CONFINED, *mounts, "--health-interval", "disable"]
        self._command = store.podman("run", *options, image, *arguments)
        self._log = ProgramLog()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
        )
        assert self.process.stdout is not None
        self._log.follow(self.process.stdout)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        if self.process.poll() is None:
            subprocess.run(self.store.podman("kill", self.name), capture_output=True, timeout=30, env=_environment())
        self.process.wait(timeout=30)
        self._log.finish(5)
        self.process.stdout.close()

    def ready(self) -> Self:
        """Return when it logs `started`. Raises AssertionError with its log if it ends instead."""
        eventually(f"{self.name} is ready", lambda: self._running() and self.events("started"), within=30)
        return self

    def events(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The log's records of this event whose fields have these values."""
        return [
            record
            for record in self._log.records
            if record.get("event") == event and all(record.get(name) == value for name, value in fields.items())
        ]

    def run_inside(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """A command in the running container, as its user, with `text` as its standard input."""
        return run(self.store.podman("exec", "--interactive", self.name, *command), text)

    def healthcheck(self) -> subprocess.CompletedProcess[str]:
        """What the image's HEALTHCHECK says."""
        return run(self.store.podman("healthcheck", "run", self.name))

    def terminate(self) -> int:
        """SIGTERM to process 1, and its exit status."""
        assert self.process is not None
        done = run(self.store.podman("kill", "--signal", "TERM", self.name))
        assert done.returncode == 0, done.stderr
        return self.process.wait(timeout=30)

    def _running(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}:\n{self}"
        return True

    def __str__(self) -> str:
        return "its log ends with\n  " + "\n  ".join(self._log.lines[-30:])


def run(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, with `text` as its standard input."""
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, env=_environment(), check=False
    )


def pinned(requirements: Path) -> dict[str, str]:
    """Name to version of what a file of requirements/ pins."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", requirements.read_text(), re.MULTILINE))


def debian_packages() -> set[str]:
    lines = (ROOT / "requirements/debian.txt").read_text().splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def _run(*command: str) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), timeout=600
    )
    assert done.returncode == 0, f"{' '.join(command)}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": _path()}
