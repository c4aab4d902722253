"""bench/run: start everything, measure in interleaved rounds, show and save the figures, end everything."""

import argparse
import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import chart, report
from bench.checks import generator_notices
from bench.environment import describe
from bench.field import Field, Starter
from bench.measure import WARM_UP, Sample, Scenario, build, measure
from bench.peers import PEERS, Peer, other_mcproxy
from bench.processes import BenchError, Processes
from bench.report import Result

RESULTS = Path(__file__).parent / "results"
QUICK = {"rounds": 3, "seconds": 1.0, "repeats": 1}
TRANSPORTS = ("plain", "tls")


def numbers(text: str) -> list[int]:
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="bench/run", description="Measure mcproxy beside other proxies, on loopback."
    )
    add = options.add_argument
    add("--quick", action="store_true", help="3 rounds of 1 s a peer: under two minutes")
    add("--connections", type=numbers, default=[50], metavar="N[,N]", help="several: one after the other (50)")
    add("--pipeline", type=numbers, default=[1], metavar="N[,N]", help="requests in flight on each connection (1)")
    add("--size", type=numbers, default=[100], metavar="BYTES[,BYTES]", help="of a value (100)")
    add("--batch", action="store_true", help="ask anew only when all in flight was answered; otherwise at every answer")
    add("--rounds", type=int, default=5, help="how often each takes its turn (5)")
    add("--seconds", type=float, default=3.0, help=f"of each turn, after {WARM_UP} s of warm-up (3)")
    add("--repeats", type=int, default=2, help="how often a turn that something else disturbed is taken again (2)")
    add("--only", metavar="NAME[,NAME]", help=f"of {', '.join(peer.name for peer in PEERS)}")
    add("--plain", action="append_const", dest="transports", const="plain", help="without TLS; neither option: both")
    add("--tls", action="append_const", dest="transports", const="tls", help="with TLS")
    add("--upstream", choices=("tcp", "unix"), default="tcp", help="the socket between every proxy and memcached (tcp)")
    add("--pin", action="store_true", help="the proxy on one core, memcached and the generator on another")
    add("--subject", default="mcproxy", metavar="NAME", help="whose ratios to the others are shown (mcproxy)")
    add("--before", type=Path, metavar="DIRECTORY", help="another checkout, measured as well, under the name before")
    add(
        "--output", type=Path, default=RESULTS, metavar="DIRECTORY", help="for the JSON and the picture (bench/results)"
    )
    return options


def choose(only: str | None) -> list[Peer]:
    """The peers to measure: those named, or all that are installed. A missing one that is needed is an error."""
    names = only.split(",") if only else [peer.name for peer in PEERS]
    unknown = set(names) - {peer.name for peer in PEERS}
    if unknown:
        raise BenchError(
            f"--only: {', '.join(sorted(unknown))} not known; known: {', '.join(peer.name for peer in PEERS)}"
        )
    chosen = [peer for peer in PEERS if peer.name in names]
    missing = [peer for peer in chosen if not peer.is_installed()]
    for peer in missing:
        if only or peer.is_required:
            raise BenchError(f"{peer.name} is not installed: apt-get install {peer.package}")
        print(f"{peer.name}: not installed, left out (apt-get install {peer.package})", file=sys.stderr)
    return [peer for peer in chosen if peer not in missing]


class Progress:
    """One line on standard error while it runs, on a terminal only."""

    def __init__(self, turns: int) -> None:
        self.turns, self.done, self.start = turns, 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def turn(self, what: str) -> None:
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.start) / self.done * (self.turns - self.done)
            left = f", about {int(seconds) // 60}:{int(seconds) % 60:02} left"
        self.write(f"turn {self.done + 1} of {self.turns}: {what}{left}")
        self.done += 1

    def write(self, line: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def take_turn(program: Path, scenario: Scenario, field: Field, place: Starter, arguments: argparse.Namespace) -> Sample:
    """Measure one peer once; again when something else ran meanwhile. What the figures say has no part in that."""
    try:
        for _ in range(arguments.repeats + 1):
            sample = measure(program, scenario, field.target(place), arguments.seconds)
            if not report.is_disturbed(sample):
                break
    except BenchError as error:
        raise BenchError(f"{place.name} {place.transport}, {scenario}: {error}") from error
    return sample


def run_rounds(
    arguments: argparse.Namespace, field: Field, scenarios: Sequence[Scenario], program: Path
) -> list[Result]:
    """Round by round all peers in turn, each round beginning with another one."""
    progress = Progress(len(scenarios) * arguments.rounds * len(field.places))
    results = []
    for scenario in scenarios:
        progress.write("storing the values")
        field.fill(program, scenario)
        of_transport = {transport: Result(scenario, transport) for transport in TRANSPORTS}
        for place in field.places:
            of_transport[place.transport].samples[place.name] = []
        for number in range(arguments.rounds):
            first = number % len(field.places)
            for place in field.places[first:] + field.places[:first]:
                progress.turn(f"{scenario.connections} connections, round {number + 1}, {place.name} {place.transport}")
                if arguments.pin:
                    field.pin_for(place)
                sample = take_turn(program, scenario, field, place, arguments)
                of_transport[place.transport].samples[place.name].append(sample)
        results += [result for result in of_transport.values() if result.samples]
    progress.write("")
    return results


def run(arguments: argparse.Namespace) -> None:
    peers = choose(arguments.only)
    if arguments.before:
        peers.append(other_mcproxy(arguments.before))
    program = build()
    generator_notices(program)
    product = itertools.product(arguments.connections, arguments.pipeline, arguments.size)
    scenarios = [Scenario(*values, batch=arguments.batch) for values in product]
    transports = arguments.transports or list(TRANSPORTS)
    with tempfile.TemporaryDirectory(prefix="mcproxy-bench-") as directory, Processes(Path(directory)) as processes:
        field = Field(Path(directory), processes, peers, transports, arguments.upstream)
        results = run_rounds(arguments, field, scenarios, program)
        environment = describe(peers, arguments)
    subject = report.subject_of(results, arguments.subject)
    print("\n".join(f"{name}: {value}" for name, value in environment.items()), end="\n\n")
    print(report.text(results, subject))
    stem = arguments.output / time.strftime("%Y%m%d-%H%M%S")
    report.save(stem.with_suffix(".json"), results, environment, subject)
    stem.with_suffix(".svg").write_text(chart.draw(results, subject))
    print(f"\n{stem}.json\n{stem}.svg")


def end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    if options.rounds < 1 or options.seconds <= 0 or options.repeats < 0:
        parser().error("--rounds and --seconds must be above 0, --repeats not below")
    if options.pin and len(os.sched_getaffinity(0)) < 2:
        parser().error("--pin needs two cores")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        run(options)
    except BenchError as error:
        print(f"\nbench/run: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nbench/run: interrupted; everything started was ended", file=sys.stderr)
        return 130
    return 0
