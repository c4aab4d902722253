"""From samples to figures: medians, spreads, ratios by round, doubts, and the tables and JSON that show them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench.measure import Sample, Scenario

MEASURES = ("requests_per_second", "cpu_us", "p50_us", "p99_us")
GENERATOR_LIMIT = 0.90  # of a core: above this the generator may be what was measured
MEMCACHED_LIMIT = 0.95
DIRECT_MARGIN = 1.3  # memcached without a proxy must be at least so much faster than any proxy
PROXY_BUSY = 0.85  # of a core: a proxy with so many requests in flight should have been busier
MANY_IN_FLIGHT = 16
NO_PROXIES = {"direct", "memcached-sasl"}
OTHERS_LIMIT = 0.10  # of a core, used by whatever else ran on the machine


@dataclass(frozen=True)
class Spread:
    """The middle of the rounds, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values))

    def text(self, form: str) -> str:
        return f"{self.median:{form}} ({self.least:{form}}-{self.most:{form}})"


@dataclass
class Result:
    """All rounds of one scenario over one transport, by peer; samples of a round stand at the same place."""

    scenario: Scenario
    transport: str
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def spread(self, peer: str, measure: str) -> Spread:
        return Spread.of([getattr(sample, measure) for sample in self.samples[peer]])

    def ratio(self, subject: str, peer: str, measure: str) -> Spread:
        """The subject's figure by the peer's, round by round, so that what slowed a round slowed both."""
        pairs = zip(self.samples[subject], self.samples[peer], strict=True)
        return Spread.of([ratio_of(getattr(own, measure), getattr(other, measure)) for own, other in pairs])

    def doubts(self) -> list[str]:
        """Reasons not to take these figures at their word."""
        return [*self.doubts_about_limits(), *self.doubts_about_rounds()]

    def doubts_about_limits(self) -> list[str]:
        """Was it the proxy that was measured?"""
        found = []
        for peer in (name for name in self.samples if name not in NO_PROXIES):
            generator, cache = (self.spread(peer, share).median for share in ("busy_generator", "busy_memcached"))
            if generator >= GENERATOR_LIMIT:
                found.append(f"the generator used {generator:.0%} of a core with {peer}, and may have been the limit")
            if cache >= MEMCACHED_LIMIT:
                found.append(f"memcached used {cache:.0%} of a core with {peer}, and was the limit")
            proxy = self.spread(peer, "busy_proxy").median
            if self.scenario.connections * self.scenario.pipeline < MANY_IN_FLIGHT:
                continue  # with few in flight everybody waits for everybody, and nobody is the limit
            if proxy < PROXY_BUSY:
                found.append(f"{peer} used only {proxy:.0%} of a core: its requests/s were limited by something else")
            if "direct" in self.samples and not self.scenario.logins:
                margin = 1 / self.ratio(peer, "direct", "requests_per_second").median
                if margin < DIRECT_MARGIN:
                    found.append(f"direct memcached is only {margin:.2f} times as fast as {peer}")
        return found

    def doubts_about_rounds(self) -> list[str]:
        """Was the machine busy with something else?"""
        found = []
        for number, others in enumerate(zip(*(self.samples[peer] for peer in self.samples), strict=True), 1):
            if any(is_disturbed(sample) for sample in others):
                noise = max(sample.others + sample.stolen for sample in others)
                found.append(f"round {number}: something else on the machine used up to {noise:.0%} of a core")
        return found


def is_disturbed(sample: Sample) -> bool:
    """Whether something beside the three had the processors, here or on the host."""
    return sample.others + sample.stolen > OTHERS_LIMIT


def ratio_of(own: float, other: float) -> float:
    return own / other if other else float("inf")


def subject_of(results: Sequence[Result], wanted: str) -> str | None:
    """Whose figures are set in proportion: the one wanted, if it was measured."""
    return wanted if any(wanted in result.samples for result in results) else None


def align(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)


SHOWN = (("requests_per_second", ",.0f"), ("cpu_us", ".1f"), ("p50_us", ",.0f"), ("p99_us", ",.0f"))
SHARES = ("busy_proxy", "busy_memcached", "busy_generator", "others")


def figures_table(result: Result) -> str:
    """One line a peer; the last four columns are shares of one core, the median of the rounds."""
    one = "connection" if result.scenario.logins else "request"
    columns = [f"{one}s/s", f"CPU us/{one}", "p50 us", "p99 us", "proxy", "memcached", "generator", "others"]
    rows = [[result.transport, *columns]]
    for peer in result.samples:
        spreads = [result.spread(peer, measure).text(form) for measure, form in SHOWN]
        shares = [f"{result.spread(peer, share).median:.0%}" for share in SHARES]
        rows.append([peer, *spreads, *shares])
    return align(rows)


def ratios_table(result: Result, subject: str) -> str:
    rows = [[f"{subject} / peer", "requests/s", "CPU us/request", "p50", "p99"]]
    for peer in result.samples:
        if peer != subject:
            rows.append([peer, *(result.ratio(subject, peer, measure).text(".2f") for measure in MEASURES)])
    return align(rows)


def text(results: Sequence[Result], subject: str | None) -> str:
    """All tables. Figures are medians of the rounds with (least-most); busy columns are shares of one core."""
    parts = []
    for result in results:
        suites = sorted({sample.tls or "plain" for samples in result.samples.values() for sample in samples})
        parts.append(f"{result.scenario}; {' and '.join(suites)}")
        parts.append(figures_table(result))
        if subject in result.samples and len(result.samples) > 1:
            parts.append(ratios_table(result, subject))
        parts.append("\n".join(f"! {doubt}" for doubt in result.doubts()) or "no doubts: see docs/performance.md")
    return "\n\n".join(parts)


def save(path: Path, suites: Sequence[Mapping[str, object]], environment: dict[str, object]) -> None:
    """Everything, every round of it, as JSON."""
    document = {"environment": environment, "suites": suites}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def as_data(result: Result, subject: str | None) -> dict[str, object]:
    peers: dict[str, object] = {}
    for peer, samples in result.samples.items():
        figures: dict[str, object] = {"spread": {measure: asdict(result.spread(peer, measure)) for measure in MEASURES}}
        if subject in result.samples and subject is not None:
            figures["ratio"] = {measure: asdict(result.ratio(subject, peer, measure)) for measure in MEASURES}
        peers[peer] = {**figures, "rounds": [asdict(sample) for sample in samples]}
    scenario = {**asdict(result.scenario), "keys": result.scenario.keys}
    return {"scenario": scenario, "transport": result.transport, "doubts": result.doubts(), "peers": peers}
