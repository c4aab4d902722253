"""The suites that bench/run knows: each measures one kind of thing and says what came out."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import report
from bench.field import Field
from bench.findings import Finding, findings_table, summary
from bench.forms import Form
from bench.peers import Peer
from bench.processes import Processes
from bench.report import Result
from bench.turns import Turns


@dataclass(frozen=True)
class Bench:
    """What a suite measures with. `peers` are the proxies that may take part beside mcproxy in its `form`."""

    turns: Turns
    peers: Sequence[Peer]
    form: Form
    upstream: str
    transports: Sequence[str]

    @contextmanager
    def playing(self, peers: Sequence[Peer], transports: Sequence[str]) -> Iterator[Field]:
        """These peers, started; ended on the way out."""
        with tempfile.TemporaryDirectory(prefix="mcproxy-bench-") as name, Processes(Path(name)) as processes:
            yield Field(Path(name), processes, peers, transports, self.upstream)

    def named(self, *names: str) -> list[Peer]:
        """Those of the peers that are called so."""
        return [peer for peer in self.peers if peer.name in names]


@dataclass(frozen=True)
class Outcome:
    """What a suite found."""

    title: str
    findings: Sequence[Finding] = ()
    results: Sequence[Result] = ()
    subject: str | None = None

    def text(self) -> str:
        parts = [f"== {self.title}"]
        if self.results:
            parts.append(report.text(self.results, self.subject))
        if self.findings:
            parts.append(findings_table(self.findings))
            parts.append(summary(self.findings))
        return "\n\n".join(filter(None, parts))

    def as_data(self) -> dict[str, object]:
        return {
            "title": self.title,
            "findings": [finding.as_data() for finding in self.findings],
            "results": [report.as_data(result, self.subject) for result in self.results],
        }


Suite = Callable[[Bench], Outcome]
