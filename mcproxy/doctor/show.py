"""What was found, as a table for people and as JSON for programs. docs/doctor.md says what of it stays as it is."""

from __future__ import annotations

import json
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mcproxy
from mcproxy.config.problems import printable
from mcproxy.doctor.run import Examined
from mcproxy.doctor.verdicts import FAILING, Result, Verdict

FORMAT = 1
"""Of the JSON; another number when something that was there is gone or means something else."""
_LEAST_WIDTH, _MOST_WIDTH = 60, 160


def failed(examined: list[Examined]) -> bool:
    """Whether the exit status is 1."""
    return any(result.verdict in FAILING for one in examined for result in one.results)


def table(examined: list[Examined], width: int) -> Iterator[str]:
    """Lines: what is heaviest first, and a summary. What is well has one line, the rest why and what to do."""
    width = max(_LEAST_WIDTH, min(width, _MOST_WIDTH))
    verdict_width = max(len(verdict) for verdict in Verdict)
    name_width = max((len(one.examination.name) for one in examined), default=0)
    margin = " " * (verdict_width + name_width + 4)
    for verdict in Verdict:
        for one in examined:
            for result in one.results:
                if result.verdict is verdict:
                    start = f"{_shown(verdict):<{verdict_width}}  {one.examination.name:<{name_width}}  "
                    yield from _wrapped(f"{result.subject}: {result.seen}", start, margin, width)
                    for word, text in _more(result, one.examination.reason):
                        yield from _wrapped(f"{word:<5}{text}", margin, margin + " " * 5, width)
    counts = _counts(examined)
    yield ", ".join(f"{_plural(counts[verdict], verdict)}" for verdict in Verdict)


def _shown(verdict: Verdict) -> str:
    return verdict.upper() if verdict in FAILING else verdict


def _more(result: Result, reason: str) -> Iterator[tuple[str, str]]:
    """A note says why it matters only where it has more to say than its examination."""
    if result.why or result.verdict in FAILING:
        yield "why:", result.why or reason
    if result.remedy:
        yield "do:", result.remedy


def _wrapped(text: str, start: str, margin: str, width: int) -> list[str]:
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=start,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plural(count: int, verdict: Verdict) -> str:
    plural = "s" if verdict in (Verdict.FINDING, Verdict.NOTE) and count != 1 else ""
    return f"{count} {verdict}{plural}"


def as_json(examined: list[Examined], config: Path) -> str:
    """One object, on several lines."""
    results = [
        {
            "examination": one.examination.name,
            "subject": result.subject,
            "verdict": str(result.verdict),
            "seen": result.seen,
            "why": result.why or one.examination.reason,
            "remedy": result.remedy,
        }
        for one in examined
        for result in one.results
    ]
    document = {
        "format": FORMAT,
        "mcproxy": mcproxy.__version__,
        "time": round(time.time(), 3),
        "configuration": str(config),
        "sound": not failed(examined),
        "counts": {str(verdict): count for verdict, count in _counts(examined).items()},
        "results": results,
    }
    return json.dumps(document, indent=2)


def _counts(examined: list[Examined]) -> dict[Verdict, int]:
    counted = Counter(result.verdict for one in examined for result in one.results)
    return {verdict: counted[verdict] for verdict in Verdict}
