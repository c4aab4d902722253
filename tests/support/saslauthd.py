"""Debian's saslauthd as the judge of passwords, with its own back end `rimap`, which logs in to an IMAP server.

Of its back ends that is the one that a test can give accounts to without touching the machine's: `sasldb` reads
/etc/sasldb2 whatever SASL_CONF_PATH says, `shadow`, `getpwent` and `pam` are the machine's own. The IMAP server is the
smallest that saslauthd talks to.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

from tests.support.waiting import eventually

_LOGIN = re.compile(rb'(\S+) LOGIN "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\r\n')


class Directory:
    """An IMAP server that knows LOGIN alone: `accounts` may change at any time, `asked` are the names that came.

    Wrong passwords are answered `late` seconds later than right ones, as PAM does it.
    """

    def __init__(self, accounts: dict[str, str]) -> None:
        self.accounts = accounts
        self.asked: list[str] = []
        self.late = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            try:
                connection.sendall(b"* OK ready\r\n")
                received = b""
                while b"\r\n" not in received and (data := connection.recv(4096)):
                    received += data
                if login := _LOGIN.fullmatch(received):
                    connection.sendall(self._answer(*login.groups()))
            except OSError:
                return

    def _answer(self, tag: bytes, quoted_name: bytes, quoted_password: bytes) -> bytes:
        name, password = (re.sub(rb"\\(.)", rb"\1", text).decode() for text in (quoted_name, quoted_password))
        self.asked.append(name)
        if self.accounts.get(name) == password:
            return tag + b" OK LOGIN completed\r\n"
        time.sleep(self.late)
        return tag + b" NO LOGIN failed\r\n"


class Saslauthd:
    """`directory` holds its socket. `processes` answer at once."""

    def __init__(self, directory: Path, imap: Directory, processes: int = 5) -> None:
        self.socket = directory / "mux"
        self._directory = directory
        self._imap = imap
        self._processes = processes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        program = shutil.which("saslauthd", path="/usr/sbin:" + os.environ.get("PATH", ""))
        assert program is not None, "saslauthd is not installed: apt-get install sasl2-bin"
        where = ["-m", str(self._directory), "-n", str(self._processes)]
        self._process = subprocess.Popen(
            [program, "-d", "-a", "rimap", "-O", f"127.0.0.1/{self._imap.port}", *where],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually("saslauthd accepts", self._accepts)
        return self

    def kill(self) -> None:
        """All of its processes, as a crash would."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)
        self._process = None

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def revive(self) -> None:
        """It runs and answers, whatever was done to it."""
        if self._process is None:
            self.start()
        else:
            self.go_on()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        """To the first process and those that it made, which are a session of their own."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _accepts(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "saslauthd ended"
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0
