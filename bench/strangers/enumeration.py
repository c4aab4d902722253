"""bench/enumeration: whether known and unknown users can be told apart, by the time or the bytes of what they get."""

import argparse
import contextlib
import gc
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.environment import commit, processor
from bench.peers import ROOT
from bench.processes import BenchError, Processes
from bench.report import align, save
from bench.strangers.intervals import Interval, raw, trimmed
from bench.strangers.messages import MECHANISMS, PROOF_LENGTHS, Refused, try_wrong
from bench.strangers.program import Program, start, users_file

NAMES = 200
REQUIRED = 0.01
WARM_UP = 100
MEASURED = 2
"""Times as many pairs as count: the others waited longest for a processor."""


@dataclass
class Series:
    """What one kind of message took, in seconds, for pairs of a known and an unknown user; the quieter half first."""

    what: str
    known: list[float]
    unknown: list[float]

    def intervals(self) -> dict[str, Interval]:
        half = self.known[: len(self.known) // MEASURED], self.unknown[: len(self.known) // MEASURED]
        return {"all": raw(self.known, self.unknown), "quieter half": raw(*half), "trimmed": trimmed(*half)}

    def row(self) -> list[str]:
        intervals = self.intervals()
        means = [f"{sum(values) / len(values) * 1e6:,.1f}" for values in (self.known, self.unknown)]
        figures = [interval.text() for interval in intervals.values()]
        met = [f"met by {name}" for name, interval in intervals.items() if interval.lies_within(REQUIRED)]
        difference = f"{intervals['quieter half'].difference * 1e6:+.2f}"
        return [self.what, f"{len(self.known):,}", *means, difference, *figures, met[0] if met else "missed"]

    def as_data(self) -> dict[str, object]:
        figures: dict[str, object] = {
            name: {"difference": found.difference, "half_width": found.half_width, "mean": found.mean}
            for name, found in self.intervals().items()
        }
        return {"what": self.what, **figures, "known": self.known, "unknown": self.unknown}


def waited(pids: Sequence[int]) -> int:
    """Nanoseconds that all threads of these processes were ready and had no processor (proc(5), schedstat)."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the thread has ended
                total += int((thread / "schedstat").read_text().split()[1])
    return total


class Comparison:
    """One mechanism: pairs of logins, one known and one unknown, in random order, each on a connection of its own."""

    def __init__(self, program: Program, mechanism: str, known: Sequence[str], unknown: Sequence[str]) -> None:
        self._program = program
        self._mechanism = mechanism
        self._names = {"known": known, "unknown": unknown}
        self._random = random.Random(0)
        self._answers: set[tuple[bytes, ...]] = set()
        self._salts: dict[str, set[bytes]] = {}
        self._pids = [os.getpid(), *program.running.pids()]

    def run(self, logins: int) -> list[Series]:
        """Raises BenchError when an answer tells who exists."""
        for _ in range(min(WARM_UP, logins)):
            self._timed_pair()
        # Known and unknown are sorted alike, by what the kernel says of its scheduling and not by what was measured.
        pairs = sorted((self._timed_pair() for _ in range(MEASURED * logins)), key=lambda pair: pair[1])
        if len(self._answers) != 1:
            raise BenchError(f"{self._mechanism}: answers differ by more than salt and nonce: {self._answers}")
        if any(len(salts) > 1 for salts in self._salts.values()):
            raise BenchError(f"{self._mechanism}: a user has been shown two salts")
        is_scram = self._mechanism in PROOF_LENGTHS
        messages = [f"{self._mechanism}, first message", self._mechanism] if is_scram else [self._mechanism]
        return [
            Series(what, *([taken[kind].seconds[position] for taken, _ in pairs] for kind in ("known", "unknown")))
            for position, what in enumerate(messages)
        ]

    def _timed_pair(self) -> tuple[dict[str, Refused], float]:
        """A login of each kind, and how long they had no processor (ns)."""
        order = ["known", "unknown"]
        self._random.shuffle(order)
        before = waited(self._pids)
        taken = {kind: self._log_in(self._random.choice(self._names[kind])) for kind in order}
        return taken, waited(self._pids) - before

    def _log_in(self, name: str) -> Refused:
        with socket.create_connection(self._program.address, 10.0) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            refused = try_wrong(connection, self._mechanism, name)
        self._answers.add(refused.answers)
        if refused.salt:
            self._salts.setdefault(name, set()).add(refused.salt)
        return refused


def measure(logins: int, mechanisms: Sequence[str], iterations: int) -> list[Series]:
    known, unknown = ([f"{kind}{number:04}" for number in range(NAMES)] for kind in ("user", "none"))
    found: list[Series] = []
    with tempfile.TemporaryDirectory() as directory, Processes(Path(directory)) as processes:
        Path(directory).chmod(0o711)
        users = users_file(known, "the right password", iterations)
        program = start(processes, users, throttled=False, connections=4096)
        for mechanism in mechanisms:
            print(f"{mechanism} ...", file=sys.stderr, flush=True)
            comparison = Comparison(program, mechanism, known, unknown)
            gc.collect()
            gc.disable()
            try:
                found += comparison.run(logins)
            finally:
                gc.enable()
        counted = program.logins()
        if counted.get("throttled"):
            raise BenchError(f"the throttle was not off: {counted}")
    return found


HEADINGS = ["", "pairs", "known us", "unknown us", "difference us", "99%, all", "quieter half", "trimmed", ""]


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="bench/enumeration", description="Logins of known against unknown users, the throttle off."
    )
    add = options.add_argument
    add(
        "--logins",
        type=int,
        default=10_000,
        metavar="N",
        help="pairs for each mechanism; twice as many are measured (10000)",
    )
    add("--mechanisms", default=",".join(MECHANISMS), metavar="NAME[,NAME]", help=f"of {', '.join(MECHANISMS)}")
    add("--iterations", type=int, default=4096, help="of the users' verifiers (4096)")
    add("--output", type=Path, default=ROOT / "bench/results", metavar="DIRECTORY", help="for JSON (bench/results)")
    return options


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    mechanisms = options.mechanisms.split(",")
    if options.logins < 10 or set(mechanisms) - set(MECHANISMS):
        parser().error(f"--logins must be 10 or more, and --mechanisms of {', '.join(MECHANISMS)}")
    environment: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "mcproxy commit": commit(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "load averages": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    try:
        found = measure(options.logins, mechanisms, options.iterations)
    except (BenchError, OSError) as error:
        print(f"bench/enumeration: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{name}: {value}" for name, value in environment.items()))
    print(f"wrong logins, verifiers of {options.iterations:,} iterations; answers equal but for salt and nonce\n")
    print(align([HEADINGS, *(series.row() for series in found)]))
    path = options.output / f"enumeration-{time.strftime('%Y%m%d-%H%M%S')}.json"
    save(path, [series.as_data() for series in found], environment)
    print(f"\n{path}")
    return 0
