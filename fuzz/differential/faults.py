"""A stream that went wrong: made as small as it gets, saved, and run again."""

import base64
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fuzz.differential.comparison import Fault
from fuzz.differential.rules import LISTENERS
from fuzz.differential.stage import Commands, Stage
from fuzz.differential.streams import Stream
from fuzz.differential.trial import Counts, Trial

BEFORE = (0, 1, 5, 25)
"""How many earlier streams are run first, if a stream alone does nothing."""

TRIES = 3
SECONDS = 90.0
"""What is spent on making one fault small."""


def run_again(streams: Sequence[Stream], commands: Commands) -> Fault | None:
    """Run streams on a new stage; the fault, if there is one."""
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as directory,
        Stage(Path(directory), commands, random.Random(0)) as stage,
    ):
        try:
            trial = Trial(stage, Counts())
            for stream in streams:
                trial.run(stream)
            trial.close()
            stage.stop_program()
        except Fault as fault:
            return fault
    return None


def reproduce(history: Sequence[Stream], commands: Commands) -> list[Stream] | None:
    """The least of `history` (its last stream went wrong) that goes wrong again; None if nothing does."""
    for before in BEFORE:
        streams = list(history[-1 - before :])
        for _ in range(TRIES if not before else 1):
            if run_again(streams, commands) is not None:
                return streams
        if before >= len(history):
            break
    return None


def shrink(streams: list[Stream], commands: Commands, kind: str) -> list[Stream]:
    """Fewer streams, flights and frames that still have a fault of this kind."""
    deadline = time.monotonic() + SECONDS

    def fails(candidate: list[Stream]) -> bool:
        if time.monotonic() > deadline:
            return False
        fault = run_again(candidate, commands)
        return fault is not None and fault.kind == kind

    while len(streams) > 1 and fails(streams[1:]):
        streams = streams[1:]
    *first, last = streams
    plain = replace(last, cuts=[[] for _ in last.flights], forced=False)
    if fails([*first, plain]):
        last = plain
        for number in reversed(range(len(last.flights))):
            fewer = last.flights[:number] + last.flights[number + 1 :]
            shorter = replace(last, flights=fewer, cuts=[[] for _ in fewer])
            if fewer and fails([*first, shorter]):
                last = shorter
        for number in reversed(range(len(last.flights))):
            last = _fewer_frames(last, number, lambda candidate: fails([*first, candidate]))
    return [*first, last]


def _fewer_frames(stream: Stream, number: int, fails: Callable[[Stream], bool]) -> Stream:
    """Leave out halves, quarters, ... of one flight's frames while it goes on failing."""
    size = max(1, len(stream.flights[number]) // 2)
    while size:
        start = 0
        while start < len(stream.flights[number]):
            parts = stream.flights[number]
            fewer = parts[:start] + parts[start + size :]
            flights = [*stream.flights[:number], fewer, *stream.flights[number + 1 :]]
            candidate = replace(stream, flights=flights)
            if fewer and fails(candidate):
                stream = candidate
            else:
                start += size
        size //= 2
    return stream


def save(directory: Path, name: str, fault: Fault, streams: list[Stream], commands: Commands) -> Path:
    """Write a file that `--replay` takes."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    content = {
        "kind": fault.kind,
        "message": str(fault),
        "memcached": commands.memcached,
        "program": commands.program,
        "streams": [
            {
                "listener": stream.rules.name,
                "flights": [[base64.b64encode(part).decode() for part in parts] for parts in stream.flights],
                "cuts": stream.cuts,
                "forced": stream.forced,
                "leaves": stream.leaves,
                "as text": [b"".join(parts).decode("latin-1") for parts in stream.flights],
            }
            for stream in streams
        ],
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def load(path: Path) -> tuple[list[Stream], Commands]:
    """The streams of a saved file, and what they went wrong with."""
    content = json.loads(path.read_text())
    rules = {each.name: each for each in LISTENERS}
    streams = [
        Stream(
            rules[each["listener"]],
            [[base64.b64decode(part) for part in parts] for parts in each["flights"]],
            each["cuts"],
            each["forced"],
            each["leaves"],
            True,
        )
        for each in content["streams"]
    ]
    return streams, Commands(content["memcached"], content["program"])
