"""Pods without a cluster: containers of deploy/kubernetes as processes of this machine.

Each has what the manifest gives it: its user and group, no capability, a root that can't be written, and its volumes at
their places, laid out as the kubelet does it. Users and groups are those of the image; what else is in the root is this
machine's own.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.kubernetes import ROOT, Manifest, containers, mounted
from tests.support.namespaces import inside
from tests.support.program_log import ProgramLog
from tests.support.waiting import eventually

# An overlay of this machine's root, so that without changing anything mount points can be made, and directories opened
# that only root may enter: this Python may be in one. What is on another file system is mounted there again.
_ENTER = """
set -e
export PATH=$PATH:/usr/sbin:/sbin
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$WORK"
mkdir "$WORK/changes" "$WORK/working" "$WORK/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$WORK/changes,workdir=$WORK/working" "$WORK/root"
cd "$WORK/root"
for place in $NEEDED; do
    if [ ! -e ".$place" ]; then
        mkdir -p ".$place"
        mount --rbind "$place" ".$place"
    fi
    above=$(dirname "$place")
    while [ "$above" != / ]; do
        chmod o+x ".$above"
        above=$(dirname "$above")
    done
done
rm -rf etc/mcproxy run
mkdir run
for name in hosts passwd group; do
    rm "etc/$name"
    cp "$POD/$name" etc
    chmod 644 "etc/$name"
done
mount --rbind /dev dev
mount --rbind /proc proc
for volume in $VOLUMES; do
    place=${volume%%=*}
    mkdir -p ".$place"
    mount --bind "${volume#*=}" ".$place"
done
for place in $READ_ONLY; do
    mount -o remount,bind,ro ".$place"
done
mount -o remount,ro .
exec chroot . setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --groups "$GROUPS_TOO" --no-new-privs \
    --bounding-set=-all --inh-caps=-all "$@"
"""


Files = Mapping[str, Mapping[str, bytes]]
"""What Secrets and ConfigMaps hold: {"cache-tls": {"tls.crt": b"..."}}."""


class Volume:
    """A projected volume as the kubelet lays it out: a directory of links through `..data` into another one.

    `volume` is the manifest's, `files` what its sources hold.
    """

    def __init__(self, directory: Path, volume: Manifest, group: int, files: Files) -> None:
        self.directory = directory
        self._projected = volume["projected"]
        self._group = group
        self._number = 0
        directory.mkdir(mode=0o777)
        directory.chmod(0o3777)
        os.chown(directory, 0, group)
        self.put(files)

    def put(self, files: Files) -> None:
        """What is there from now on, in one step."""
        self._number += 1
        new = self.directory / f"..2026_01_01_00_00_00.{self._number:09}"
        for path, content in self._content(files).items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        for place in (new, *new.rglob("*")):
            # What fsGroup adds to the mode: the group may read.
            place.chmod(0o2755 if place.is_dir() else self._projected["defaultMode"] | 0o440)
            os.chown(place, 0, self._group)
        for entry in new.iterdir():
            if not (self.directory / entry.name).is_symlink():
                (self.directory / entry.name).symlink_to(f"..data/{entry.name}")
        data, coming = self.directory / "..data", self.directory / "..data_tmp"
        before = data.readlink() if data.is_symlink() else None
        coming.symlink_to(new.name)
        coming.rename(data)
        if before is not None:
            shutil.rmtree(self.directory / before)

    def _content(self, files: Files) -> dict[str, bytes]:
        content = {}
        for source in self._projected["sources"]:
            [(_, described)] = source.items()
            for item in described["items"]:
                content[item["path"]] = files[described["name"]][item["key"]]
        return content


class Pod:
    """A pod's spec, in a network namespace, with its volumes in a new `directory`; `files` as of Volume."""

    def __init__(self, spec: Manifest, network: str, directory: Path, files: Files, hosts: str = "") -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can change its root directory")
        self.spec = spec
        self.network = network
        self._directory = directory
        self._group = spec["securityContext"]["fsGroup"]
        (directory / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        assemble = (ROOT / "deploy/image/assemble").read_text()
        for name, content in re.findall(
            r"etc/(passwd|group)\" <<'END'\n(.*?)^END$", assemble, re.DOTALL | re.MULTILINE
        ):
            (directory / name).write_text(content)
        self.volumes: dict[str, Volume] = {}  # the projected ones
        for volume in spec["volumes"]:
            place = directory / volume["name"]
            if "projected" in volume:
                self.volumes[volume["name"]] = Volume(place, volume, self._group, files)
            else:
                place.mkdir()
                place.chmod(0o2777)
                os.chown(place, 0, self._group)

    def directory(self, volume: str) -> Path:
        """Where this volume is on this machine."""
        return self._directory / volume

    def container(self, name: str, command: Sequence[str]) -> "Container":
        """Start it."""
        return Container(self._command(name, command), self._environment(name))

    def run(self, name: str, *command: str) -> str:
        """What a command prints in a container; an AssertionError with its complaint if it fails."""
        done = subprocess.run(
            self._command(name, command), env=self._environment(name), capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def succeeds(self, name: str, *command: str) -> bool:
        """Whether a command ends with status 0 in a container."""
        try:
            self.run(name, *command)
        except AssertionError:
            return False
        return True

    def _command(self, name: str, command: Sequence[str]) -> list[str]:
        return [*inside(self.network), "unshare", "--mount", "sh", "-c", _ENTER, "sh", *command]

    def _environment(self, name: str) -> dict[str, str]:
        context = self.spec["securityContext"] | containers(self.spec)[name]["securityContext"]
        work = self._directory / f"root-of-{name}"
        work.mkdir(exist_ok=True)
        mounts = [mount for mount, _ in mounted(self.spec, name)]
        return os.environ | {
            "WORK": str(work),
            "POD": str(self._directory),
            "NEEDED": " ".join(str(place) for place in _needed()),
            "VOLUMES": " ".join(f"{mount['mountPath']}={self._directory / mount['name']}" for mount in mounts),
            "READ_ONLY": " ".join(mount["mountPath"] for mount in mounts if mount.get("readOnly")),
            "USER_ID": str(context["runAsUser"]),
            "GROUP_ID": str(context["runAsGroup"]),
            "GROUPS_TOO": str(self._group),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _needed() -> list[Path]:
    """Where the project and this Python are."""
    return [ROOT, *(Path(place).resolve() for place in (sys.prefix, sys.base_prefix))]


class Container:
    """A process of a pod, and what it logs."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._log = ProgramLog()
        assert self.process.stdout is not None
        self._log.follow(self.process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.ended(10)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log's records of this event."""
        return [record for record in self._log.records if record.get("event") == event]

    def logs(self, event: str, count: int = 1) -> dict[str, Any]:
        """Waits for the event to be logged so often; the last record."""
        eventually(f"{event} in\n{self}", lambda: self._alive() and len(self.events(event)) >= count, within=20)
        return self.events(event)[count - 1]

    def terminate(self) -> None:
        """SIGTERM, as the kubelet sends it."""
        self.process.terminate()

    def ended(self, within: float) -> int:
        """Waits for its end; the exit status."""
        status = self.process.wait(within)
        self._log.finish(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def _alive(self) -> bool:
        assert self.process.poll() is None, f"it has ended with {self.process.returncode}\n{self}"
        return True

    def __str__(self) -> str:
        return "\n  ".join(["its log ends with", *self._log.lines[-20:]])
