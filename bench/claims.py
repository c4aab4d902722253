"""The speeds demanded of mcproxy, beside those of proxies that check nothing: which loads, and how much."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.findings import Finding
from bench.measure import Scenario
from bench.report import Result, Spread, ratio_of
from bench.turns import Case

SUBJECT = "mcproxy"
BUDGET = 256 << 20  # total_buffer as it is by default, in bytes
RATE, CPU, P99 = "requests_per_second", "cpu_us", "p99_us"
ADDED, MEMORY = "added median", "peak memory"
WORDS = {RATE: "requests/s by {}'s", CPU: "CPU per request by {}'s", P99: "p99 by {}'s"}


def load(connections: int, pipeline: int = 1, size: int = 100) -> Scenario:
    return Scenario(connections, pipeline, size)


USUAL, FEW, MANY, DEEP, LONE = load(50), load(8), load(500), load(50, 16), load(1)
LARGE = tuple(load(50, 1, size) for size in (10_000, 100_000, 1_000_000))


@dataclass(frozen=True)
class Claim:
    """mcproxy's figure by a peer's. `limit` is the least for requests/s, and the most for everything else."""

    scenario: Scenario
    transport: str
    measure: str
    peer: str
    limit: float

    def found_in(self, results: Sequence[Result]) -> Finding | None:
        """The figure beside the demand; None where it was not measured."""
        for result in results:
            names = {SUBJECT, self.peer} | ({"direct"} if self.measure == ADDED else set())
            same = result.scenario == self.scenario and result.transport == self.transport
            if same and all(result.samples.get(name) for name in names):
                return self.of(result)
        return None

    def of(self, result: Result) -> Finding:
        transport = "TLS" if self.transport == "tls" else "plain"
        where = f"{described(self.scenario)}, {transport}: "
        if self.measure == MEMORY:
            peaks = Spread.of([sample.peak_memory / (1 << 20) for sample in result.samples[SUBJECT]])
            return Finding(where + "peak memory", peaks, self.limit / (1 << 20), at_most=True, form=",.0f", unit=" MiB")
        if self.measure == ADDED:
            what = f"median added to memcached's, by what {self.peer} adds"
            return Finding(where + what, added(result, self.peer), self.limit, at_most=True)
        what = WORDS[self.measure].format(self.peer)
        if self.scenario in LARGE and self.measure == RATE:
            what = f"bytes/s by {self.peer}'s"  # requests are of one size: the ratio is the same
        spread = result.ratio(SUBJECT, self.peer, self.measure)
        return Finding(where + what, spread, self.limit, at_most=self.measure != RATE)


def added(result: Result, peer: str) -> Spread:
    """What mcproxy adds to memcached's own median by what a peer adds, round by round.

    A peer that seems to add nothing was disturbed: such a round counts against mcproxy."""
    rounds = zip(result.samples[SUBJECT], result.samples[peer], result.samples["direct"], strict=True)
    medians = [(own.p50_us, other.p50_us, none.p50_us) for own, other, none in rounds]
    return Spread.of([ratio_of(own - none, max(0.0, other - none)) for own, other, none in medians])


def described(scenario: Scenario) -> str:
    words = f"{scenario.connections} connection{'s' if scenario.connections > 1 else ''}"
    words += f" x {scenario.pipeline}" if scenario.pipeline > 1 else ""
    return words + (f", {scenario.size // 1000:,} KB" if scenario.size >= 1000 else "")


def claims() -> list[Claim]:
    """Everything that is demanded of the speed; docs/performance.md has the list in words."""
    found: list[Claim] = []

    def demand(scenario: Scenario, transport: str, measure: str, **peers: float) -> None:
        found.extend(Claim(scenario, transport, measure, peer, limit) for peer, limit in peers.items())

    demand(USUAL, "plain", RATE, haproxy=1.15, nutcracker=1.05)
    demand(USUAL, "tls", RATE, haproxy=1.3, hitch=1.3, stunnel=3.0)
    demand(USUAL, "plain", CPU, haproxy=1.0, nutcracker=1.0)
    demand(USUAL, "tls", CPU, haproxy=1.0, hitch=1.0, stunnel=1.0)
    demand(FEW, "plain", RATE, haproxy=1.15, nutcracker=1.0)
    demand(FEW, "tls", RATE, haproxy=1.25)
    for scenario in (FEW, USUAL):
        for transport in ("plain", "tls"):
            demand(scenario, transport, P99, haproxy=1.0)
    demand(MANY, "plain", RATE, haproxy=1.4, nutcracker=1.05)
    demand(MANY, "tls", RATE, haproxy=1.3)
    demand(DEEP, "plain", RATE, haproxy=1.05, nutcracker=1.05)
    demand(DEEP, "tls", RATE, haproxy=1.0)
    for transport in ("plain", "tls"):
        demand(LONE, transport, ADDED, haproxy=1.5)
        for scenario in LARGE:
            demand(scenario, transport, RATE, haproxy=0.9)
            demand(scenario, transport, MEMORY, haproxy=BUDGET)
    return found


def cases() -> list[Case]:
    """The loads that the claims need, and who has to be given them."""
    few = {"haproxy", "nutcracker", SUBJECT, "before"}
    return [
        *(Case(scenario) for scenario in (USUAL, FEW, MANY)),  # the picture shows everybody for these
        Case(DEEP, few | {"direct"}),
        Case(LONE, few | {"direct"}),
        *(Case(scenario, {"haproxy", SUBJECT, "before"}) for scenario in LARGE),
    ]


def findings(results: Sequence[Result]) -> list[Finding]:
    found = [claim.found_in(results) for claim in claims()]
    return [finding for finding in found if finding is not None]
