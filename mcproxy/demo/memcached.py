"""memcached as a child of this process, on a unix socket that nobody but it and this process's user can open.

The directory that holds everything is 0700, so is the socket's own, and the socket is 0600. For root, memcached runs as
a user of its own that no other process has: `nobody` is shared with other services, and root would be worse. That user
can't even walk to the socket's directory; memcached starts in it and names the socket relative to it.
"""

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcproxy.cli.errors import WRONG_USAGE, CommandError

_START_SECONDS = 10.0
_STOP_SECONDS = 5.0

_SOCKET = "socket"
# sockaddr_un's sun_path is 108 bytes with its closing NUL (unix(7)).
_LONGEST_SOCKET_PATH = 107

# Where systemd takes the users from that it makes up for a service (DynamicUser=): no package's user is there.
_MADE_UP_USERS = range(61184, 65520)

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@contextmanager
def running_memcached(directory: Path, on_death: Callable[[int], None] | None = None) -> Iterator[Path]:
    """Starts memcached in a new directory within `directory`; gives its socket's path once it accepts connections.

    Ends it afterwards; the kernel ends it if this process is killed. If it ends before, `on_death` is called in a
    thread with its status, as subprocess has it. Raises CommandError.
    """
    home = directory / "memcached"
    path = home / _SOCKET
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        message = f"{path} is too long for a unix socket; name a shorter directory with --directory"
        raise CommandError(message, WRONG_USAGE)
    program = shutil.which("memcached")
    if program is None:
        raise CommandError("memcached is not on the PATH; install it, or start with scripts/run, which gets it")
    messages = directory / "memcached.log"
    try:
        home.mkdir(mode=0o700)
        process = _start(program, home, messages)
    except (OSError, subprocess.SubprocessError) as failure:
        raise CommandError(f"memcached ({program}) could not be started: {failure}") from None
    stopping = threading.Event()

    def watch() -> None:
        status = process.wait()
        if on_death is not None and not stopping.is_set():
            on_death(status)

    try:
        _wait_until_it_accepts(process, path, messages)
        threading.Thread(target=watch, daemon=True).start()
        yield path
    finally:
        stopping.set()
        _stop(process)


def _start(program: str, home: Path, messages: Path) -> subprocess.Popen[bytes]:
    user = None
    if os.geteuid() == 0:
        user = _unused_user()
        os.chown(home, user, user)
    # By descriptor, because the user made up for root may not be able to walk to a program below /root.
    descriptor = os.open(program, os.O_PATH)
    try:
        with messages.open("wb") as output:
            return subprocess.Popen(  # noqa: S603
                ["memcached", "-s", _SOCKET, "-a", "0600", "-U", "0"],  # noqa: S607
                executable=f"/proc/self/fd/{descriptor}",
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[descriptor],
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                # Ctrl-C is for the proxy: it still has requests to finish when memcached must be there.
                start_new_session=True,
                # Called after the change of user, which would undo it. No thread runs in this process yet.
                preexec_fn=_dies_with_this_process(),
            )
    finally:
        os.close(descriptor)


def _dies_with_this_process() -> Callable[[], None]:
    """For a child to call: the kernel kills it when its parent ends in whatever way, SIGKILL included (prctl(2))."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        if prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0 or os.getppid() != parent:
            os._exit(1)

    return arrange


def _unused_user() -> int:
    """A user id that neither the user database nor a process has."""
    in_use = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            in_use.add(process.stat().st_uid)
    while True:
        user = secrets.choice(_MADE_UP_USERS)
        with suppress(KeyError):
            pwd.getpwuid(user)
            continue
        if user not in in_use:
            return user


def _wait_until_it_accepts(process: subprocess.Popen[bytes], path: Path, messages: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = messages.read_text(errors="replace").strip().replace("\n", "; ")
            raise CommandError(f"memcached ended at once with status {process.returncode}: {said or 'it said nothing'}")
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(path))
            return
        time.sleep(0.01)
    raise CommandError(f"memcached doesn't accept connections on {path} after {_START_SECONDS:.0f} seconds")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
