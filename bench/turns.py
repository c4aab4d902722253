"""Who is measured when: round by round all in turn, each round beginning with another one."""

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.field import Field, Starter
from bench.measure import Sample, Scenario, measure
from bench.processes import BenchError
from bench.report import Result, is_disturbed

TRANSPORTS = ("plain", "tls")


@dataclass(frozen=True)
class Case:
    """One load, and who is given it; None: everybody."""

    scenario: Scenario
    names: Collection[str] | None = None


class Progress:
    """One line on standard error while it runs, on a terminal only."""

    def __init__(self, turns: int = 0) -> None:
        self.turns, self.done, self.start = turns, 0, time.monotonic()
        self.shown = sys.stderr.isatty()

    def expect(self, turns: int) -> None:
        """So many more turns are to come."""
        self.turns += turns

    def turn(self, what: str) -> None:
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.start) / self.done * max(0, self.turns - self.done)
            left = f", about {int(seconds) // 60}:{int(seconds) % 60:02} left"
        self.write(f"turn {self.done + 1} of {max(self.turns, self.done + 1)}: {what}{left}")
        self.done += 1

    def write(self, line: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


@dataclass
class Turns:
    """How turns are taken: `seconds` of each, after `warm_up` seconds unmeasured; `repeats`: how often a turn that
    something else disturbed is taken again."""

    program: Path
    rounds: int
    seconds: float
    warm_up: float
    repeats: int
    pinned: bool = False
    progress: Progress = field(default_factory=Progress)

    def take(self, place: Starter, playing: Field, scenario: Scenario) -> Sample:
        """Measure one peer once; again when something else ran meanwhile. What the figures say has no part in that."""
        if self.pinned:
            playing.pin_for(place)
        try:
            for _ in range(self.repeats + 1):
                sample = measure(self.program, scenario, playing.target(place), self.seconds, self.warm_up)
                if not is_disturbed(sample):
                    break
        except BenchError as error:
            raise BenchError(f"{place.name} {place.transport}, {scenario}: {error}") from error
        return sample

    def play(self, playing: Field, cases: Sequence[Case]) -> list[Result]:
        """All rounds of all cases: a result for each case and transport."""
        self.progress.expect(sum(len(playing.places_for(case.scenario, case.names)) for case in cases) * self.rounds)
        results = []
        for case in cases:
            scenario, places = case.scenario, playing.places_for(case.scenario, case.names)
            if not places:
                raise BenchError(f"nobody to measure with {scenario}")
            self.progress.write("storing the values")
            playing.fill(self.program, scenario)
            of_transport = {transport: Result(scenario, transport) for transport in TRANSPORTS}
            for place in places:
                of_transport[place.transport].samples[place.name] = []
            for number in range(self.rounds):
                first = number % len(places)
                for place in places[first:] + places[:first]:
                    what = "new" if scenario.logins else str(scenario.connections)
                    self.progress.turn(f"{what} connections, round {number + 1}, {place.name} {place.transport}")
                    of_transport[place.transport].samples[place.name].append(self.take(place, playing, scenario))
            results += [result for result in of_transport.values() if result.samples]
        self.progress.write("")
        return results
