"""Whether what a request, a login or a connection costs stays the same as the configuration grows."""

from dataclasses import dataclass

from bench.field import Starter
from bench.findings import Finding
from bench.measure import Scenario
from bench.peers import KEY_PREFIX
from bench.processes import status
from bench.report import Result, Spread
from bench.subject import Setup, mcproxy
from bench.suites import Bench, Outcome
from bench.turns import Case

AT_MOST = 1.10
LARGE = 100_000
ARRIVALS = Scenario(16, 1, 100, reads=1, writes=0, logins=True)
PREFIXES = 1_000
REQUESTS = Scenario(50, 1, 100, prefixes=PREFIXES)


@dataclass(frozen=True)
class Growth:
    """One thing that grows from `few` to `many`; the load is the same for both."""

    what: str
    things: str
    scenario: Scenario
    few: tuple[int, Setup]
    many: tuple[int, Setup]


OPEN, TOKEN = ("none",), ("token",)
KEYS = tuple(f"{KEY_PREFIX}{number:04}:*" for number in range(PREFIXES))
GROWTHS = (
    Growth(
        "CPU per accepted connection",
        "allowlist entries",
        ARRIVALS,
        (10, Setup(allowed=10, authentication=OPEN)),
        (LARGE, Setup(allowed=LARGE, authentication=OPEN)),
    ),
    Growth(
        "CPU per remembered login",
        "users",
        ARRIVALS,
        (10, Setup(users=10, logins=10, authentication=TOKEN)),
        (LARGE, Setup(users=LARGE, logins=10, authentication=TOKEN)),
    ),
    Growth("CPU per request", "key prefixes in the role", REQUESTS, (1, Setup()), (PREFIXES, Setup(keys=KEYS))),
)


def run(bench: Bench) -> Outcome:
    """Each growth in turn, few and many beside each other."""
    findings: list[Finding] = []
    results: list[Result] = []
    for growth in GROWTHS:
        peers = [mcproxy(bench.form, name, setup) for name, (_, setup) in sizes(growth).items()]
        with bench.playing(peers, ["plain"]) as playing:
            stated = [figure for place in playing.places for figure in start_up(growth, place)]
            (result,) = bench.turns.play(playing, [Case(growth.scenario)])
        what = f"{growth.what}, {growth.many[0]:,} {growth.things} by {growth.few[0]}"
        findings += [Finding(what, result.ratio("many", "few", "cpu_us"), AT_MOST, at_most=True), *stated]
        results.append(result)
    return Outcome("Cost as the configuration grows", findings, results, subject="many")


def sizes(growth: Growth) -> dict[str, tuple[int, Setup]]:
    return {"few": growth.few, "many": growth.many}


def start_up(growth: Growth, place: Starter) -> list[Finding]:
    """Seconds from the start until it listened, and what it had resident then."""
    resident = status(place.running.process.pid, "VmRSS") / (1 << 20)
    with_so_many = f"with {sizes(growth)[place.name][0]:,} {growth.things}"
    return [
        Finding(f"  start-up {with_so_many}", Spread.of([place.seconds]), form=".1f", unit=" s"),
        Finding(f"  resident {with_so_many}", Spread.of([resident]), form=",.0f", unit=" MiB"),
    ]
