"""One process of a run: stage after stage, stream after stream, until it has had enough."""

import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.differential import faults
from fuzz.differential.comparison import Fault
from fuzz.differential.coverage import Cell
from fuzz.differential.stage import Commands, Stage
from fuzz.differential.streams import Generator, Stream
from fuzz.differential.trial import Counts, Trial

STREAMS_FOR_EACH_STAGE = 4000
"""Less than a minute's: no item of theirs runs out meanwhile."""

FAULTS = 3
"""A process that has found so many stops."""

REPORT_EVERY = 1.0
REMEMBERED = max(faults.BEFORE) + 1


@dataclass(slots=True)
class Orders:
    """What a process is to do. `frames` 0 and `seconds` 0 are no bound.

    `only_first`: stop at the first fault, and save it as it is.
    """

    seed: str
    number: int
    families: list[str]
    commands: Commands
    frames: int
    seconds: float
    save: Path
    only_first: bool


@dataclass(slots=True)
class Report:
    """What a process did so far. `faults` are their kind, message and file."""

    number: int
    counts: Counts = field(default_factory=Counts)
    cells: Counter[Cell] = field(default_factory=Counter)
    faults: list[tuple[str, str, str]] = field(default_factory=list)
    done: bool = False


def work(orders: Orders, tell: Callable[[Report], None]) -> None:
    """Run until the orders are carried out."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    report = Report(orders.number)
    deadline = time.monotonic() + orders.seconds if orders.seconds else float("inf")
    stage = 0
    while (
        len(report.faults) < (1 if orders.only_first else FAULTS)
        and time.monotonic() < deadline
        and (not orders.frames or report.counts.frames < orders.frames)
    ):
        _stage(orders, stage, report, deadline, tell)
        stage += 1
    report.done = True
    tell(report)


def _stage(orders: Orders, number: int, report: Report, deadline: float, tell: Callable[[Report], None]) -> None:
    seed = f"{orders.seed}/{orders.number}/{number}"
    generator = Generator(seed, orders.families)
    history: deque[Stream] = deque(maxlen=REMEMBERED)
    told = 0.0
    try:
        with (
            tempfile.TemporaryDirectory(prefix="fuzz-") as directory,
            Stage(Path(directory), orders.commands, random.Random(seed)) as stage,
        ):
            trial = Trial(stage, report.counts)
            for _ in range(STREAMS_FOR_EACH_STAGE):
                now = time.monotonic()
                if now > deadline or (orders.frames and report.counts.frames >= orders.frames):
                    break
                stream = generator.next()
                history.append(stream)
                trial.run(stream)
                report.cells.update(stream.cells)
                if now - told > REPORT_EVERY:
                    tell(report)
                    told = now
            report.cells["splits", "of memcached's replies"] += stage.pump.forced
            trial.close()
            stage.stop_program()
    except Fault as fault:
        _found(orders, number, report, fault, list(history))


def _found(orders: Orders, stage: int, report: Report, fault: Fault, history: list[Stream]) -> None:
    """Make it small and save it."""
    if orders.only_first:
        path = faults.save(orders.save, f"{orders.seed}-{orders.number}-{stage}", fault, history, orders.commands)
        report.faults.append((fault.kind, str(fault)[:500], str(path)))
        return
    streams = faults.reproduce(history, orders.commands) if history else []
    again = "" if streams else " (not seen again)"
    streams = faults.shrink(streams, orders.commands, fault.kind) if streams else history
    path = faults.save(orders.save, f"{orders.seed}-{orders.number}-{stage}", fault, streams, orders.commands)
    report.faults.append((fault.kind, f"{str(fault)[:500]}{again}", str(path)))
