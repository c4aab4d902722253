"""`mcproxy top` in a real pseudo-terminal, whose screen pyte makes of what it writes."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from functools import partial
from pathlib import Path

import pyte
import pytest

from tests.support import status_samples
from tests.support.status_server import StatusServer
from tests.support.waiting import eventually

COMMAND = (sys.executable, "-m", "mcproxy", "top")
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "MCPROXY_CONFIG")} | {
    "TERM": "xterm-256color",
    "PYTHONIOENCODING": "utf-8",
}
ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """A terminal in which a program runs. `screen` is what somebody sees, `written` all that the program sent."""

    def __init__(self, *arguments, columns=100, lines=40, environment=ENVIRONMENT):
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self._lock = threading.Lock()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(self.slave)
        # In a session of its own, whose controlling terminal this is: Ctrl-C and Ctrl-Z then mean this program.
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=environment,
            preexec_fn=take_terminal,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self.slave)  # and with the last writer gone, the reader ends
        self._reader.join(10)
        os.close(self.master)

    def _read(self):
        while True:
            try:
                if select.select([self.master], [], [], 0.2)[0]:
                    chunk = os.read(self.master, 65536)
                    with self._lock:
                        self.written += chunk
                        self._stream.feed(chunk)
            except OSError:  # EIO: nobody writes to it any more
                return

    def resize(self, columns, lines):
        """The terminal's own size; the kernel then signals the program."""
        with self._lock:
            self.screen.resize(lines, columns)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def rows(self):
        with self._lock:
            return [row.rstrip() for row in self.screen.display]

    def shows(self, words):
        eventually(f"{words!r} is on the screen", lambda: words in " ".join(self.rows()))
        return self.rows()

    def end(self):
        """Its exit status. The terminal must be as it was."""
        status = self.process.wait(10)
        eventually("the usual screen is back", lambda: self.written.count(NORMAL) == self.written.count(ALTERNATE))
        assert self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        assert self.written.rfind(b"\x1b[?7h") > self.written.rfind(b"\x1b[?7l")
        assert termios.tcgetattr(self.slave) == self.before
        assert b"Traceback" not in self.written
        return status


def take_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def server():
    with StatusServer() as serving:
        serving.status = status_samples.busy()
        yield serving


@pytest.fixture
def config(tmp_path, server):
    return configured(tmp_path, server.port)


def configured(directory, port):
    path = Path(directory, "top.yaml")
    path.write_text(f"admin: {{bind: '127.0.0.1:{port}'}}\n")
    return path


def once(*arguments, **options):
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False,
                          stdin=subprocess.DEVNULL, **options)  # fmt: skip


def test_a_real_proxy_once(proxy, tmp_path):
    sammy = proxy.logged_in("sammy")
    sammy.send(b"get app:a\r\n")
    sammy.line()
    done = once("--once", "--config", configured(tmp_path, proxy.host_and_port("admin")[1]))
    assert (done.returncode, done.stderr) == (0, "")
    (row,) = (line.split() for line in done.stdout.splitlines() if line.startswith("sammy "))
    assert row[:3] == ["sammy", "user", "1"]
    assert "Links to upstream: text 2 of 2" in done.stdout or "text 2 of 2" in done.stdout
    assert done.stdout.replace("\n", "").isprintable()


def test_a_live_screen(server, config):
    with Terminal("--config", config, "--interval", "0.2") as terminal:
        rows = terminal.shows("sammy")
        assert rows[0].startswith("mcproxy 0.1.0  ")
        assert rows[0].endswith("every 0.2 s, q to leave")
        assert rows[1] == "WARNING  It serves requests, but 4 things need attention."
        assert ALTERNATE in terminal.written
        server.status = status_samples.status(principals=[status_samples.principal("newcomer")])
        rows = terminal.shows("newcomer")
        assert rows[1] == "GOOD  All is well."
        assert not any("sammy" in row for row in rows)
        terminal.type(b"q")
        assert terminal.end() == 0


def test_it_follows_the_size_of_the_terminal(config):
    with Terminal("--config", config, columns=120, lines=50) as terminal:
        terminal.shows("session closed")
        for columns, lines in ((40, 10), (1, 1), (3, 2), (200, 60)):
            terminal.resize(columns, lines)
            eventually("it is drawn anew", partial(begins_right, terminal, columns))
            assert len(terminal.rows()) == lines
        terminal.shows("session closed")
        terminal.type(b"q")
        assert terminal.end() == 0


def begins_right(terminal, columns):
    """Whether the screen begins as it should on one that is so wide."""
    words = terminal.rows()[0]
    return words != "" and "mcproxy 0.1.0  ".startswith(words.partition(" ")[0]) and len(words) <= columns


def test_nothing_that_strangers_named_reaches_the_terminal(server, config):
    server.status = status_samples.hostile()
    with Terminal("--config", config, columns=160, lines=100) as terminal:
        terminal.shows("\\x1b[2J")
        rows = terminal.rows()
        assert len(rows) == 100
        assert terminal.screen.title == ""
        assert not any(word in terminal.written for word in (b"\x1b]", b"\x07", b"\x1b[31m", "\u202e".encode()))
        assert terminal.written.count(b"\x1b[2J") == 1  # our own, at the start
        terminal.type(b"q")
        assert terminal.end() == 0


def test_a_proxy_that_goes_and_comes_back(server, config):
    with Terminal("--config", config, "--interval", "0.2") as terminal:
        terminal.shows("sammy")
        server.status = None
        terminal.shows("NO ANSWER since ")
        terminal.shows("What follows is old.")
        terminal.shows("sammy")
        server.status, server.code = b"the token is wrong\n\x1b[2J", 401
        terminal.shows("/status.json answered 401: the token is wrong \\x1b[2J")
        server.status, server.code = b"[1]", 200
        terminal.shows("is not understood")
        server.status = status_samples.busy(listeners=[])
        eventually("it is back", lambda: not any("NO ANSWER" in row for row in terminal.rows()))
        terminal.type(b"q")
        assert terminal.end() == 0


@pytest.mark.parametrize(
    ("key", "number", "status"), [(b"\x03", None, 130), (None, signal.SIGTERM, 143), (b"\x04", None, 0)]
)
def test_the_terminal_is_as_before_whatever_ends_it(config, key, number, status):
    with Terminal("--config", config) as terminal:
        terminal.shows("sammy")
        if key is not None:
            terminal.type(key)
        else:
            terminal.process.send_signal(number)
        assert terminal.end() == status


def test_it_can_be_stopped_and_continued(config):
    with Terminal("--config", config) as terminal:
        terminal.shows("sammy")
        os.kill(terminal.process.pid, signal.SIGTSTP)
        eventually("the terminal is as before", lambda: NORMAL in terminal.written)
        os.kill(terminal.process.pid, signal.SIGCONT)
        eventually("it has taken the screen again", lambda: terminal.written.count(ALTERNATE) == 2)
        terminal.shows("sammy")
        terminal.type(b"q")
        assert terminal.end() == 0


def test_nobody_is_there_from_the_start(tmp_path):
    with StatusServer() as gone:
        config = configured(tmp_path, gone.port)
    with Terminal("--config", config) as terminal:
        terminal.shows("NO ANSWER: 127.0.0.1:")
        terminal.type(b"q")
        assert terminal.end() == 0
    done = once("--once", "--config", config)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mcproxy: top: 127.0.0.1:")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "mcproxy: top: standard output is no terminal; use --once\n"),
        (("--key", "k"), "mcproxy: top: --key is of no use without --certificate\n"),
        (("--interval", "0"), "mcproxy: top: argument --interval: must be a number of seconds, 0.2 to 3600; see"),
    ],
)
def test_what_can_not_be(config, arguments, message):
    done = once("--config", config, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)


def test_a_terminal_that_can_not_be_drawn_on(config):
    with Terminal("--config", config, environment=ENVIRONMENT | {"TERM": "dumb"}) as terminal:
        assert terminal.process.wait(10) == 2
        terminal.shows("mcproxy: top: this terminal can't be drawn on (TERM is not set, or dumb); use --once")


def test_plain_letters_and_no_colours_where_they_are_wanted(config):
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    with Terminal("--config", config, environment=environment) as terminal:
        terminal.shows("sammy")
        assert terminal.written.isascii()
        assert b"\x1b[33m" not in terminal.written
        assert any(row.startswith("requests ") and "#" in row for row in terminal.rows())
        terminal.type(b"q")
        assert terminal.end() == 0
