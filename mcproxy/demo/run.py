"""The demonstration from its start to its last trace.

The password is on the terminal that started it and nowhere else: the users file holds a verifier, and neither a command
line nor the log ever has it.
"""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mcproxy.cli.errors import FAILED, WRONG_USAGE, CommandError
from mcproxy.demo.certificates import AUTHORITY, write_certificates
from mcproxy.demo.files import Ports, write_configuration, write_users
from mcproxy.demo.instructions import instructions
from mcproxy.demo.memcached import running_memcached
from mcproxy.observe import log
from mcproxy.server.reload import load_first
from mcproxy.server.serve import run_server
from mcproxy.server.signals import LateSignals
from mcproxy.server.sockets import BindError

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(wanted_directory: Path | None, ports: Ports) -> int:
    """Serves until SIGINT, SIGTERM or SIGHUP; returns the server's exit status. Raises CommandError."""
    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for number in _STOPPING:
        if number != signal.SIGHUP or not under_nohup:
            signal.signal(number, _stop)
    died: list[int] = []

    def memcached_died(status: int) -> None:
        died.append(status)
        os.kill(os.getpid(), signal.SIGTERM)  # the server ends in order, as if asked to

    with (
        _own_directory(wanted_directory) as directory,
        running_memcached(directory, on_death=memcached_died) as memcached,
    ):
        try:
            status = _serve(directory, memcached, ports, ends_with_terminal=not under_nohup)
        except KeyboardInterrupt:  # it died before there was a server to end
            if not died:
                raise
        finally:
            _ignore_further_signals()
    if died:
        raise CommandError(f"the demo's memcached has ended by itself ({_ending(died[0])}), and so has the demo")
    return status


def _ending(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _serve(directory: Path, memcached: Path, ports: Ports, *, ends_with_terminal: bool) -> int:
    password = secrets.token_hex(12)
    write_certificates(directory)
    write_users(directory, password)
    loaded = load_first(write_configuration(directory, memcached, ports))
    settings = loaded.material.settings
    log.configure(settings.logging.level, settings.logging.format)

    def ready(addresses: Mapping[str, Sequence[str]]) -> None:
        if ends_with_terminal:
            # The server ignores SIGHUP, as a service should; a demonstration goes when its terminal does.
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
        print(instructions(addresses, directory / AUTHORITY, password), flush=True)

    try:
        return run_server(loaded, LateSignals(), ready=ready)
    except BindError as failure:  # somebody was quicker: the ports were free when they were chosen
        raise CommandError(str(failure)) from None


@contextmanager
def _own_directory(wanted: Path | None) -> Iterator[Path]:
    """A new directory for nobody else's eyes, removed afterwards with all that is in it."""
    try:
        if wanted is None:
            directory = Path(tempfile.mkdtemp(prefix="mcproxy-demo-"))  # mode 0700
        else:
            directory = wanted.absolute()
            directory.mkdir(mode=0o700)
    except FileExistsError:
        raise CommandError(
            f"{wanted} exists; name a directory that doesn't: it is removed at the end", WRONG_USAGE
        ) from None
    except OSError as failure:
        message = f"no directory could be made: {failure.filename}: {failure.strerror}"
        raise CommandError(message, FAILED if wanted is None else WRONG_USAGE) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _stop(*_: object) -> None:
    """While there is no server yet that would stop in order."""
    _ignore_further_signals()
    raise KeyboardInterrupt


def _ignore_further_signals() -> None:
    """A second Ctrl-C must not interrupt the removal of things."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
