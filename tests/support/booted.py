"""A machine of its own for a test: systemd boots as process 1 in a container, on an overlay of this machine's files.

Nothing that happens in it changes this machine: its files are in memory, its network has a loopback and what the test
adds, and its services are Debian's own few. MCPROXY_MACHINE_ROOT names another root directory, such as one that
debootstrap made, to be overlaid in place of this machine's.
"""

import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import mcproxy
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
CHECKOUT = "/srv/mcproxy"
"""Where scripts run in the machine: this project, read-only."""

_PATH = "/opt/mcproxy/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_BOOT = """
set -e
export PATH=$PATH:/usr/sbin:/sbin
mount --make-rprivate /
mount -t tmpfs tmpfs "$WORK"
mkdir "$WORK/changes" "$WORK/working" "$WORK/root" "$WORK/groups"
cp -a "$FILES" "$WORK/files"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$WORK/changes,workdir=$WORK/working" "$WORK/root"
cd "$WORK/root"
# What scripts/test only unpacked, so that no service of it starts on this machine, is installed there. With /. at its
# end a name may be that of a symbolic link, as /lib is.
for place in ${UNPACKED:+etc lib usr}; do
    [ ! -d "$UNPACKED/$place" ] || cp -a "$UNPACKED/$place/." "$place/."
done
# None of this machine's own services, disks and names.
rm -rf etc/systemd/system etc/systemd/network etc/fstab etc/crypttab etc/rc?.d etc/init.d etc/mcproxy etc/memcached.conf
rm -f etc/hostname etc/machine-id
: > etc/machine-id
mkdir -p etc/systemd/system
cp -a "$WORK/files/." .
# A control group of its own, which is the root of all that the machine sees.
mount -t cgroup2 none "$WORK/groups"
mkdir "$WORK/groups/$NAME"
echo $$ > "$WORK/groups/$NAME/cgroup.procs"
umount "$WORK/groups"
mount -t tmpfs tmpfs /run
exec unshare --cgroup --pid --fork --mount-proc --kill-child sh -ec '
    mount -t cgroup2 none /sys/fs/cgroup
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --console=pipe --settings=no \
        --resolv-conf=off --timezone=off --link-journal=no --hostname=cache --machine="$NAME" "$@" \
        --directory="$WORK/root" systemd.unit=multi-user.target' sh "$@"
"""

_CLEAN_UP = """
mount --make-rprivate /
mount -t cgroup2 none "$WORK"
[ ! -d "$WORK/$NAME" ] || find "$WORK/$NAME" -depth -type d -exec rmdir {} +
"""


class Booted:
    """A context manager: started is booted. `files` are laid over the machine's root before it boots.

    mcproxy is in /opt/mcproxy as README says: out of this Python's environment and without a network, unless the root
    has one there already.
    """

    def __init__(self, directory: Path, files: Path) -> None:
        self._directory = directory
        self._files = files
        assert shutil.which("systemd-nspawn") is not None, "install Debian's package systemd-container"
        self._name = f"mcproxy-{os.getpid()}"
        self._log = directory / "console"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        lower = Path(os.environ.get("MCPROXY_MACHINE_ROOT", "/"))
        binds = []
        if not (lower / "opt" / "mcproxy" / "bin" / "mcproxy").exists():
            _install_mcproxy(self._files)
            binds = _binds()
        _write_sudo(self._files)
        unpacked = str(ROOT / ".debian") if lower == Path("/") else ""
        _write_users(self._files)
        work = self._directory / "work"
        work.mkdir()
        places = {"WORK": str(work), "FILES": str(self._files), "LOWER": str(lower), "UNPACKED": unpacked}
        self._environment = {**os.environ, **places, "NAME": self._name}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", _BOOT, "sh", f"--bind-ro={ROOT}:{CHECKOUT}", *binds],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._leader = eventually("systemd runs", self._find_leader, within=20, every=0.05)
            eventually("the machine has booted", self._is_up, within=60, every=0.1)
            self.run("ip link set lo up && systemd-sysusers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            if self._leader:
                # What systemd takes for "power off at once".
                with suppress(ProcessLookupError):
                    os.kill(self._leader, signal.SIGRTMIN + 14)
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=10)
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None
            command = ["unshare", "--mount", "sh", "-c", _CLEAN_UP]
            eventually(
                "its control groups are gone",
                lambda: subprocess.run(command, env=self._environment, capture_output=True).returncode == 0,
                every=0.1,
            )

    @property
    def leader(self) -> int:
        """Its process 1, as this machine counts."""
        return self._leader

    def run(self, script: str, *, check: bool = True, within: float = 60, user: str = "root") -> str:
        """What a bash script prints there, standard error included. `check`: AssertionError if its status isn't 0."""
        enter = ["nsenter", f"--target={self._leader}", "--all", "--", "env", "-i"]
        enter += [f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER=", "COLUMNS=200"]
        if user != "root":
            enter += ["runuser", "-u", user, "--"]
        done = subprocess.run(
            [*enter, "bash", "-c", f"cd {CHECKOUT}\n{script}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=within,
            check=False,
        )
        told = done.stdout.decode("utf-8", "backslashreplace")
        assert not check or done.returncode == 0, f"status {done.returncode} of:\n{script}\n{told}"
        return told

    def _find_leader(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, f"the machine doesn't boot:\n{self._log.read_text()}"
        waiting = [self._process.pid]
        while waiting:
            process = waiting.pop()
            try:
                children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
                words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
                status = Path(f"/proc/{process}/status").read_text()
            except OSError:
                continue
            in_namespaces = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            if len(in_namespaces) > 2 and in_namespaces[-1] == "1" and words[0].endswith(b"systemd"):
                return process
            waiting += [int(child) for child in children]
        return 0

    def _is_up(self) -> bool:
        state = self.run("systemctl is-system-running", check=False).strip()
        assert state not in ("maintenance", "stopping"), f"it is {state}:\n{self._log.read_text()}"
        return state in ("running", "degraded")


def _binds() -> list[str]:
    """This Python, its packages and the program under test, read-only, where ProtectHome doesn't hide them."""
    package = Path(mcproxy.__file__).parent
    site_packages = [entry for entry in sys.path if entry.endswith("-packages") and entry.startswith(sys.prefix)]
    binds = [f"--bind-ro={package}:/opt/mcproxy/program/mcproxy"]
    binds += [f"--bind-ro={site_packages[0]}:/opt/mcproxy/packages"]
    if sys.base_prefix != "/usr":
        binds.append(f"--bind-ro={sys.base_prefix}:/opt/python")
    return binds


def _install_mcproxy(files: Path) -> None:
    python = Path(os.path.realpath(sys.executable))
    home = Path("/usr") if sys.base_prefix == "/usr" else Path("/opt/python")
    environment = {"PYTHONPATH": "/opt/mcproxy/program:/opt/mcproxy/packages"}
    if home != Path("/usr"):
        environment |= {"PYTHONHOME": str(home), "LD_LIBRARY_PATH": str(home / "lib")}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    programs = files / "opt" / "mcproxy" / "bin"
    programs.mkdir(parents=True)
    for name, module in (("python", ""), ("mcproxy", "-P -m mcproxy ")):
        _write_program(programs / name, f'{exports}exec {home}/bin/{python.name} {module}"$@"\n')
    for place in ("opt/mcproxy/program/mcproxy", "opt/mcproxy/packages"):
        (files / place).mkdir(parents=True)
    (files / "opt" / "python").mkdir(exist_ok=True)


def _write_sudo(files: Path) -> None:
    """Everything is done by root there: this is for the words that pages put before a command."""
    words = 'if [ "$1" = -u ]; then user=$2; shift 2; exec runuser -u "$user" -- "$@"; fi\nexec "$@"\n'
    _write_program(files / "usr" / "local" / "bin" / "sudo", words)


def _write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


def _write_users(files: Path) -> None:
    """Those that packages which are only unpacked would have made."""
    path = files / "usr" / "lib" / "sysusers.d" / "packages.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('u memcache - "Memcached" /nonexistent\n')


_PROBE = """
set -e
export PATH=$PATH:/usr/sbin:/sbin
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir lower upper working root groups
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=working root
mount -t cgroup2 none groups
mkdir "groups/$0"
rmdir "groups/$0"
unshare --cgroup true
"""


@functools.cache
def available() -> str | None:
    """Why no machine may be booted here, or None. Programs that scripts/test installs are no such reason."""
    if os.geteuid() != 0:
        return "only root can boot a machine"
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", _PROBE]
    done = subprocess.run([*command, f"mcproxy-{os.getpid()}-probe"], capture_output=True, text=True, check=False)
    return f"no machine can be booted here: {done.stderr.strip()}" if done.returncode != 0 else None
