"""bench/run: its command line; start everything, measure, show and save the figures, end everything."""

import argparse
import itertools
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from bench import chart, claims, flatness, gateway, logins, memory, picture, report, safety
from bench.checks import generator_notices
from bench.environment import describe
from bench.forms import PLAIN_PYTHON, Form, compiled
from bench.measure import WARM_UP, Scenario, build
from bench.peers import PEERS, Peer
from bench.processes import BenchError
from bench.subject import mcproxy, other_mcproxy
from bench.suites import Bench, Outcome, Suite
from bench.turns import TRANSPORTS, Case, Turns

RESULTS = Path(__file__).parent / "results"
LENGTHS = {"rounds": 5, "seconds": 3.0, "warm_up": WARM_UP, "repeats": 2}
QUICK = {"rounds": 3, "seconds": 1.0, "warm_up": WARM_UP, "repeats": 1}
QUICK_CLAIMS = {"rounds": 2, "seconds": 0.5, "warm_up": 0.2, "repeats": 0}
MEASURED: dict[str, Suite] = {
    "logins": logins.run,
    "memory": memory.run,
    "flatness": flatness.run,
    "safety": safety.run,
    "gateway": gateway.run,
}
SUITES = ("load", "claims", *MEASURED)


def numbers(text: str) -> list[int]:
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


def names_of(*known: str) -> "type[list[str]]":
    """What takes some of these names, separated by commas."""

    def names(text: str) -> list[str]:
        found = list(known) if text == "all" else text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name} is not known; known: {', '.join(known)}")
        return found

    return names  # type: ignore[return-value]


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="bench/run", description="Measure mcproxy beside other proxies, on loopback."
    )
    what = options.add_argument_group("what is measured")
    add = what.add_argument
    add(
        "--suite",
        type=names_of(*SUITES),
        default=["load"],
        metavar="NAME[,NAME]",
        help=f"of {', '.join(SUITES)}, or all (load: what the options for the load say)",
    )
    add("--claims", action="store_const", dest="suite", const=["claims"], help="short for --suite claims")
    add("--only", metavar="NAME[,NAME]", help=f"of {', '.join(known_names())}")
    add("--plain", action="append_const", dest="transports", const="plain", help="without TLS; neither option: both")
    add("--tls", action="append_const", dest="transports", const="tls", help="with TLS")
    add("--before", type=Path, metavar="DIRECTORY", help="another checkout, measured as well, under the name before")
    add("--plain-python", action="store_true", help="mcproxy as it is in the checkout, not compiled")
    load = options.add_argument_group("the load")
    add = load.add_argument
    add("--connections", type=numbers, default=[50], metavar="N[,N]", help="several: one after the other (50)")
    add("--pipeline", type=numbers, default=[1], metavar="N[,N]", help="requests in flight on each connection (1)")
    add("--size", type=numbers, default=[100], metavar="BYTES[,BYTES]", help="of a value (100)")
    add("--protocol", type=names_of("text", "meta", "binary"), default=["text"], metavar="NAME[,NAME]",
        help="text, meta or binary, for those who speak it (text)")  # fmt: skip
    add("--reads", type=int, default=10, help="gets, to so many --writes (10)")
    add("--writes", type=int, default=1, help="sets, to so many --reads (1)")
    add("--batch", action="store_true", help="ask anew only when all in flight was answered; otherwise at every answer")
    how = options.add_argument_group("how")
    add = how.add_argument
    add("--quick", action="store_true", help="short rounds, and fewer: under two minutes a suite")
    add("--rounds", type=int, help="how often each takes its turn (5)")
    add("--seconds", type=float, help="of each turn (3)")
    add("--warm-up", type=float, help=f"seconds of load before each turn, not measured ({WARM_UP})")
    add("--repeats", type=int, help="how often a turn that something else disturbed is taken again (2)")
    add("--upstream", choices=("tcp", "unix"), default="tcp", help="the socket between every proxy and memcached (tcp)")
    add("--pin", action="store_true", help="the proxy on one core, memcached and the generator on another")
    add("--subject", default="mcproxy", metavar="NAME", help="whose ratios to the others are shown (mcproxy)")
    add("--output", type=Path, default=RESULTS, metavar="DIRECTORY", help="for JSON and pictures (bench/results)")
    add("--picture", type=Path, metavar="FILE", help="write the claims' picture there too (docs/speed.svg is README's)")
    return options


def known_names() -> list[str]:
    return [*(peer.name for peer in PEERS), "mcproxy"]


def choose(only: str | None, form: Form) -> list[Peer]:
    """The peers to measure: those named, or all that are installed. A missing one that is needed is an error."""
    names = only.split(",") if only else known_names()
    unknown = set(names) - set(known_names())
    if unknown:
        raise BenchError(f"--only: {', '.join(sorted(unknown))} not known; known: {', '.join(known_names())}")
    chosen = [peer for peer in (*PEERS, mcproxy(form)) if peer.name in names]
    missing = [peer for peer in chosen if not peer.is_installed()]
    for peer in missing:
        if only or peer.is_required:
            raise BenchError(f"{peer.name} is not installed: apt-get install {peer.package}")
        print(f"{peer.name}: not installed, left out (apt-get install {peer.package})", file=sys.stderr)
    return [peer for peer in chosen if peer not in missing]


def suite_of_loads(arguments: argparse.Namespace) -> Suite:
    """What the options for the load say, every combination of them."""
    product = itertools.product(arguments.connections, arguments.pipeline, arguments.size, arguments.protocol)
    cases = [
        Case(Scenario(connections, pipeline, size, arguments.reads, arguments.writes, arguments.batch, protocol))
        for connections, pipeline, size, protocol in product
    ]

    def run(bench: Bench) -> Outcome:
        with bench.playing(bench.peers, bench.transports) as playing:
            results = bench.turns.play(playing, cases)
        return Outcome("Load", results=results, subject=report.subject_of(results, arguments.subject))

    return run


def run_claims(bench: Bench) -> Outcome:
    with bench.playing(bench.peers, bench.transports) as playing:
        results = bench.turns.play(playing, claims.cases())
    return Outcome("The speeds demanded", claims.findings(results), results, subject=claims.SUBJECT)


def run(arguments: argparse.Namespace) -> None:
    form = PLAIN_PYTHON if arguments.plain_python else compiled()
    peers = choose(arguments.only, form)
    if arguments.before:
        peers.append(other_mcproxy(arguments.before))
    program = build()
    generator_notices(program)
    transports = arguments.transports or list(TRANSPORTS)
    turns = Turns(
        program, arguments.rounds, arguments.seconds, arguments.warm_up, arguments.repeats, pinned=arguments.pin
    )
    bench = Bench(turns, peers, form, arguments.upstream, transports)
    suites = {"load": suite_of_loads(arguments), "claims": run_claims, **MEASURED}
    environment = describe(peers, form, arguments)
    print("\n".join(f"{name}: {value}" for name, value in environment.items()), flush=True)
    stem = arguments.output / time.strftime("%Y%m%d-%H%M%S")
    outcomes: list[Outcome] = []
    for name in arguments.suite:
        outcomes.append(suites[name](bench))
        print(f"\n{outcomes[-1].text()}", flush=True)
        # After each suite: what was measured is kept, whatever happens to the next one.
        report.save(stem.with_suffix(".json"), [outcome.as_data() for outcome in outcomes], environment)
    print(f"\n{stem}.json")
    draw(outcomes, stem.with_suffix(".svg"), arguments, environment)


def draw(
    outcomes: Sequence[Outcome], path: Path, arguments: argparse.Namespace, environment: dict[str, object]
) -> None:
    """A picture of what was measured: ratios for the claims, rates for a load."""
    results = [result for outcome in outcomes for result in outcome.results]
    ratios = picture.draw(results, claims.SUBJECT, environment) if "claims" in arguments.suite else None
    if ratios is not None:
        for file in filter(None, (path, arguments.picture)):
            file.write_text(ratios)
            print(file)
    elif arguments.suite == ["load"]:
        path.write_text(chart.draw(results, outcomes[0].subject))
        print(path)


def complete(options: argparse.Namespace) -> None:
    """What was not said. Raises SystemExit for what cannot be."""
    quick = QUICK_CLAIMS if "claims" in options.suite else QUICK
    ordinary = gateway.LENGTHS if options.suite == ["gateway"] else LENGTHS
    for name, value in (quick if options.quick else ordinary).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.rounds < 1 or options.seconds <= 0 or options.repeats < 0 or options.warm_up < 0:
        parser().error("--rounds and --seconds must be above 0, --repeats and --warm-up not below")
    if options.reads < 0 or options.writes < 0 or options.reads + options.writes == 0:
        parser().error("--reads and --writes must not be below 0, and not both 0")
    if options.picture and "claims" not in options.suite:
        parser().error("--picture is for --claims")
    if options.pin and len(os.sched_getaffinity(0)) < 2:
        parser().error("--pin needs two cores")


def end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    complete(options)
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
