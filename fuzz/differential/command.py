"""`fuzz/run differential`: runs the processes, shows how far they are, and gives the verdict."""

import argparse
import dataclasses
import multiprocessing
import multiprocessing.connection
import signal
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz.differential import faults
from fuzz.differential.comparison import CRASH, KINDS
from fuzz.differential.coverage import FAMILIES, Cell, missing, table
from fuzz.differential.stage import Commands, find_memcached
from fuzz.differential.trial import Counts
from fuzz.differential.worker import Orders, Report, work
from mcproxy.compiling import is_compiled

SHOW_EVERY = 10.0
"""Seconds between lines that say how far it is."""


def main(arguments: list[str]) -> int:
    """Run with these arguments; 0 if there was no fault, 1 if there was, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    if options.replay:
        return _replay(options)
    families = options.only.split(",")
    if unknown := set(families) - set(FAMILIES):
        print(f"no such family: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}", file=sys.stderr)
        return 2
    commands = Commands(options.memcached or find_memcached())
    if options.program:
        commands = Commands(commands.memcached, options.program)
    seconds = options.seconds if options.seconds or options.frames else 60.0
    start = time.monotonic()
    reports = _run(
        [
            Orders(
                str(options.seed),
                number,
                families,
                commands,
                -(-options.frames // options.processes),
                seconds,
                options.save,
                options.only_first,
            )
            for number in range(options.processes)
        ],
        start,
    )
    return _verdict(reports, families, time.monotonic() - start, options.processes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz/run differential", description=__doc__)
    parser.add_argument("--frames", type=int, default=0, metavar="N", help="stop after so many frames of clients")
    parser.add_argument("--seconds", type=float, default=0, metavar="N", help="stop after so long; 60 without --frames")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same streams")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="each with a program and memcacheds")
    parser.add_argument("--memcached", metavar="COMMAND", help="another memcached than the one that is installed")
    parser.add_argument("--program", metavar="COMMAND", help="another mcproxy than the one of this directory")
    parser.add_argument("--only-first", action="store_true", help="stop at the first fault, and save it as it is")
    parser.add_argument("--only", default=",".join(FAMILIES), metavar="FAMILY,...", help="default: %(default)s")
    parser.add_argument(
        "--save",
        type=Path,
        default=Path(tempfile.gettempdir(), "mcproxy-fuzz"),
        metavar="DIRECTORY",
        help="where streams that went wrong are kept; default: %(default)s",
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the streams of such a file again")
    return parser


def _run(orders: list[Orders], start: float) -> list[Report]:
    """Start the processes and listen to them until all are done."""
    context = multiprocessing.get_context("fork")
    reports = [Report(each.number) for each in orders]
    telling: dict[Connection, int] = {}
    workers = []
    # However it ends, the processes get to stop what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    for each in orders:
        ear, mouth = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(each, mouth.send), daemon=True)
        worker.start()
        mouth.close()
        telling[ear] = each.number
        workers.append(worker)
    shown = time.monotonic()
    while telling:
        for heard in multiprocessing.connection.wait(list(telling), timeout=1):
            assert isinstance(heard, Connection)
            number = telling[heard]
            try:
                reports[number] = heard.recv()
            except EOFError:
                reports[number].faults.append((CRASH, f"process {number} of the fuzzer ended", ""))
                reports[number].done = True
            if reports[number].done:
                del telling[heard]
        if time.monotonic() - shown > SHOW_EVERY:
            shown = time.monotonic()
            _show(reports, shown - start)
    for worker in workers:
        worker.join()
    return reports


def _show(reports: list[Report], seconds: float) -> None:
    frames = sum(report.counts.frames for report in reports)
    found = sum(len(report.faults) for report in reports)
    print(f"{seconds:6.0f} s  {frames:11,} frames  {frames / seconds:7,.0f}/s  {found} faults", flush=True)


def _verdict(reports: list[Report], families: list[str], seconds: float, processes: int) -> int:
    cells: Counter[Cell] = Counter()
    for report in reports:
        cells.update(report.cells)
    total = Counts()
    for field in dataclasses.fields(Counts):
        setattr(total, field.name, sum(getattr(report.counts, field.name) for report in reports))
    print(table(cells, families))
    print(f"connections {total.streams:,}; left out, since two memcacheds may differ over them: {total.left_out:,}")
    print(f"frames {total.frames:,}, refused {total.refused:,}, went up {total.upstream:,}")
    print(f"{seconds:,.0f} s, {total.frames / seconds:,.0f} frames/s in {processes} processes")
    found = [fault for report in reports for fault in report.faults]
    counted = Counter(kind for kind, _, _ in found)
    for kind, message, path in found:
        print(f"FAULT {kind}: {message}")
        if path:
            print(f"  again: fuzz/run differential --replay {path}")
    print(f"cells never filled: {len(missing(cells, families))}")
    print(f"form: {'compiled' if is_compiled() else 'plain Python'}")
    print(f"verdict: {total.frames} frames, " + ", ".join(f"{counted[kind]} {kind}" for kind in KINDS))
    return 1 if found else 0


def _replay(options: argparse.Namespace) -> int:
    streams, commands = faults.load(options.replay)
    commands = Commands(options.memcached or commands.memcached, options.program or commands.program)
    fault = faults.run_again(streams, commands)
    print(f"FAULT {fault.kind}: {fault}" if fault else "nothing went wrong")
    return 1 if fault else 0
