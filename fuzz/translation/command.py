"""`fuzz/run translation`: the translator of text into binary, against memcached itself."""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from fuzz.translation.commands import Commands
from fuzz.translation.stage import Stage
from fuzz.translation.trial import Difference, Trial
from mcproxy.compiling import is_compiled

COMMANDS_FOR_EACH_STAGE = 250_000
"""About a minute's: no item of theirs runs out meanwhile."""


@dataclass
class Report:
    """What one process found."""

    sent: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    difference: str = ""


def main(arguments: list[str]) -> int:
    """Run with these arguments; 0 if there was no difference without a name, else 1."""
    options = _parser().parse_args(arguments)
    start = time.monotonic()
    context = multiprocessing.get_context("fork")
    ears: list[Connection] = []
    for number in range(options.processes):
        ear, mouth = context.Pipe(duplex=False)
        share = -(-options.commands // options.processes)
        seed = f"{options.seed}/{number}"
        context.Process(target=_work, args=(seed, share, options.one_by_one, mouth), daemon=True).start()
        mouth.close()
        ears.append(ear)
    reports = []
    for ear in ears:
        try:
            reports.append(ear.recv())
        except EOFError:
            reports.append(Report(difference="the process ended"))
    total = Report()
    for report in reports:
        total.sent += report.sent
        total.counts += report.counts
        total.named += report.named
    print(", ".join(f"{verb} {count:,}" for verb, count in sorted(total.counts.items())))
    for name, count in sorted(total.named.items()):
        print(f"named in docs/protocol.md: {name}: {count:,}")
    differences = [report.difference for report in reports if report.difference]
    for difference in differences:
        print(f"DIFFERENCE {difference}")
    form = "compiled" if is_compiled() else "plain Python"
    print(
        f"verdict: {total.sent:,} commands in {time.monotonic() - start:,.0f} s, {form}, {len(differences)} differences"
    )
    return 1 if differences else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz/run translation", description=__doc__)
    parser.add_argument("--commands", type=int, default=20_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same commands")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="each with a gateway and two memcacheds")
    parser.add_argument("--one-by-one", action="store_true", help="one command a batch: shows which one it was")
    return parser


def _work(seed: str, share: int, one_by_one: bool, mouth: Connection) -> None:
    """Stage after stage, until all was sent or something is wrong."""
    report = Report()
    number = 0
    while report.sent < share and not report.difference:
        commands = Commands(f"{seed}/{number}", 1 if one_by_one else sys.maxsize)
        with tempfile.TemporaryDirectory(prefix="fuzz-") as directory, Stage(Path(directory)) as stage:
            trial = Trial(stage, commands, f"{seed}/{number}/ends")
            try:
                while trial.sent < min(COMMANDS_FOR_EACH_STAGE, share - report.sent):
                    trial.batch()
            except Difference as difference:
                report.difference = f"{difference}\n{stage.log()}"
            trial.close()
        report.sent += trial.sent
        report.counts += commands.counts
        report.named += trial.named
        number += 1
    mouth.send(report)
