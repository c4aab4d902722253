"""One worker as its parent sees it: a process, the channel to it, and what it reported last."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import trio

import mcproxy
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import ConnectionRefusal
from mcproxy.observe.together import Families
from mcproxy.server.admission import Admission
from mcproxy.server.attempts import LocalAttempts
from mcproxy.server.opening import Listening
from mcproxy.server.status_part import NO_PART, Part
from mcproxy.workers.answers import Answers
from mcproxy.workers.channel import Channel
from mcproxy.workers.handover import Current
from mcproxy.workers.reports import Detail

ANSWER_TIME = 1.0
"""Seconds that a worker has for a report that is asked for."""
PIECE = 256 * 1024
"""Bytes of a generation's material that are sent at once."""
_LAST_WORDS = 1.0
# Of one report: many times as many as there are.
_MOST_FAMILIES = 10_000

log = get_logger()

ENDED = "exit status 0"
"""How a worker ends that was told to."""


class Serves(NamedTuple):
    """Which generation a worker serves, and how many connections it has ended for that."""

    generation: int
    ended: int = 0


class WorkerProcess:
    """Started as it is made. `report` is called with every report of metrics that comes. Raises OSError.

    `is_ahead` tells whether another worker has fewer connections than this one. `debugging`: it writes all to the log.
    """

    def __init__(
        self,
        number: int,
        current: Current,
        listening: list[Listening],
        is_ahead: Callable[["WorkerProcess"], bool],
        report: Callable[[Families], None],
        *,
        debugging: bool = False,
    ) -> None:
        self.number = number
        self.obstacle: str | None = "starting"
        self.part = NO_PART
        self.answers: Answers | None = None
        self.started = trio.Event()
        self.reported_at = trio.current_time()
        self.serves = Serves(current.number)
        self._sent = current.number
        # The generation that it should serve and doesn't, as somebody was told.
        self._late_for: int | None = None
        self._current = current
        self._renewed = trio.Event()
        self._ended = False
        self._is_ahead = is_ahead
        self._report = report
        # Of the report that is coming.
        self._figures: Families = []
        self._asked = 0
        self._answered = 0
        self._next_answer = trio.Event()
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = [listens.sock.fileno() for listens in listening]
            try:
                self._process = subprocess.Popen(  # noqa: S603 - no word of it is anybody's input
                    _command(number, theirs.fileno(), current.descriptor),
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno(), current.descriptor, *inherited],
                    env=_environment(),
                    # What a terminal sends to the foreground is for the parent, which tells its workers.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        self._channel = Channel(ours)
        described = [(name, sock.fileno(), shared, lasting) for name, sock, shared, lasting in listening]
        self._channel.send(0, "start", described, debugging)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def connections(self) -> int:
        """How many it has."""
        return 0 if self.answers is None else self.answers.connections

    async def run(self, admission: Admission, attempts: LocalAttempts) -> str:
        """Answer its questions until it has ended; returns how it did. What it held is given back then."""
        # Not a thread that waits: PR_SET_PDEATHSIG is about the thread that started a process.
        end = os.pidfd_open(self.pid)
        try:
            async with trio.open_nursery() as nursery:
                self.answers = Answers(self._channel, nursery, admission, attempts, lambda: self._is_ahead(self))
                listened = trio.Event()
                nursery.start_soon(self._channel.send_forever)
                nursery.start_soon(self._hand_over)
                nursery.start_soon(self._listen, self.answers, listened)
                await trio.lowlevel.wait_readable(end)
                with trio.move_on_after(_LAST_WORDS):
                    await listened.wait()
                self._ended = True
                self._answer()
                self.answers.release_all()
                nursery.cancel_scope.cancel()
        finally:
            os.close(end)
            self.kill()
            self._process.wait()
            self._channel.close()
        return _ending(self._process.returncode)

    async def ask_for_report(self, detail: Detail) -> bool:
        """Whether a report that was made after this was called came in time. Detail.STATUS renews `part` too."""
        self._asked += 1
        mine = self._asked
        self._channel.send(0, "report", mine, detail)
        with trio.move_on_after(ANSWER_TIME):
            while self._answered < mine:
                await self._next_answer.wait()
        return self._answered >= mine

    def renew(self, current: Current) -> None:
        """Have it serve this from now on; `serves` tells when it does."""
        self._current = current
        self._renewed.set()

    async def has_renewed(self, number: int) -> None:
        """Returns once it serves this generation or a later one, or has ended."""
        while not self.serves_at_least(number) and not self._ended:
            await self._next_answer.wait()

    def serves_at_least(self, number: int) -> bool:
        """Whether it serves this generation or a later one."""
        return self.serves.generation >= number

    def look_again(self) -> None:
        """Have it hold its sessions once more against what it serves."""
        self._channel.send(0, "look_again")

    def is_late(self) -> None:
        """It should serve by now what it was to renew: until it does, it gets nobody in, for it may know him by what
        doesn't hold any more."""
        self._late_for = self._current.number

    async def _hand_over(self) -> None:
        """Send what is current, whenever that is newer than what was sent. What was overtaken meanwhile is left out."""
        while True:
            await self._renewed.wait()
            self._renewed = trio.Event()
            number, packed = self._current.number, self._current.packed
            if number > self._sent:
                for start in range(0, len(packed), PIECE):
                    end = start + PIECE
                    self._channel.send(0, "material", packed[start:end].decode("ascii"), end >= len(packed))
                    await self._channel.all_sent()
                self._sent = number

    def debug(self, on: bool) -> None:
        """Have it write everything to the log, or not any more."""
        self._channel.send(0, "debug", on)

    def stop(self) -> None:
        """Tell it to answer what was asked, and end."""
        self._channel.send(0, "stop")

    def kill(self) -> None:
        """End it now."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)

    async def _listen(self, answers: Answers, listened: trio.Event) -> None:
        try:
            while (frame := await self._channel.receive()) is not None:
                number, what, *arguments = frame
                if what == "figures":
                    self._take_figures(*arguments)
                elif what == "report":
                    self._take_report(*arguments)
                elif what == "readiness":
                    self._take_readiness(*arguments)
                elif what == "serves":
                    self.serves = Serves(*arguments)
                    self._renewed_late()
                    self._answer()
                elif what == "started":
                    self.started.set()
                elif self._late_for is not None and what == "enter":
                    self._channel.send(number, ConnectionRefusal.UNDECIDED)
                elif self._late_for is not None and what == "attempt":
                    pass  # without an answer it is refused
                elif not answers.take(number, what, *arguments):
                    break
        except (TypeError, ValueError, AttributeError):
            pass  # not what a worker of ours would send
        # Nothing can be asked or told any more: a worker that goes on all the same must not.
        listened.set()
        self._channel.cut()

    def _renewed_late(self) -> None:
        if self._late_for is not None and self.serves_at_least(self._late_for):
            self._late_for = None
            generation, ended = self.serves
            log.info("late_worker_reloaded", worker=self.number, generation=generation, connections_ended=ended)

    def _take_readiness(self, obstacle: str | None) -> None:
        if not isinstance(obstacle, str | None):
            raise TypeError
        self.obstacle = obstacle

    def _take_figures(self, families: Families) -> None:
        self._figures += families
        if len(self._figures) > _MOST_FAMILIES:
            raise ValueError

    def _take_report(self, asked: int, obstacle: str | None, part: Part | None) -> None:
        if not isinstance(asked, int) or not isinstance(part, dict | None):
            raise TypeError
        # All at once, so that what is shown is of one report: half of one is forgotten with its worker.
        figures, self._figures = self._figures, []
        if figures:
            self._report(figures)
            self.reported_at = trio.current_time()
        self._take_readiness(obstacle)
        self.part = self.part if part is None else part
        if asked > self._answered:
            self._answered = asked
            self._answer()

    def _answer(self) -> None:
        self._next_answer.set()
        self._next_answer = trio.Event()


def _command(number: int, control: int, handover: int) -> list[str]:
    """-P: without it `-m` would take modules from whatever directory this happens to run in."""
    flags = [flag for flag, given in (("-I", sys.flags.isolated), ("-E", sys.flags.ignore_environment)) if given]
    warnings = [f"-W{option}" for option in sys.warnoptions]
    return [sys.executable, "-P", *flags, *warnings, "-m", "mcproxy.workers", str(number), str(control), str(handover)]


def _environment() -> dict[str, str]:
    """The parent's own; where that runs from a checkout's directory, that is where its modules come from."""
    root = str(Path(mcproxy.__file__).parent.parent)
    if sys.path[0] != root:
        return dict(os.environ)
    known = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{known}" if known else root}


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    names = {known.value: known.name for known in signal.Signals}
    return f"killed by signal {names.get(-status, -status)}"
