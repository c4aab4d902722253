"""A page of docs/ whose commands are run one after the other, and what they print compared with what the page promises.

A block marked `sh` is run by bash in a checkout of this repository; `sh client` on another machine. A block marked
`text` that follows it holds lines that must be printed, in that order; others may stand between them. `...` stands for
anything within a line, and blanks count as one. A block without a promise must end with status 0; in one with a promise
only the last command may fail.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """`machine` is "" for the one that the page is about; `promised` is None where the page promises nothing."""

    section: str
    machine: str
    commands: str
    promised: str | None


def steps(page: str) -> list[Step]:
    """The steps of docs/PAGE in order. Raises AssertionError for a promise that no command goes before."""
    found: list[Step] = []
    for section in re.split(r"^##+ ", (ROOT / "docs" / page).read_text(), flags=re.MULTILINE)[1:]:
        name, may_promise = section.partition("\n")[0], False
        for language, machine, content in _FENCE.findall(section):
            if language == "sh":
                found.append(Step(name, machine, content, None))
            elif language == "text":
                assert may_promise, f"{page}, {name}: nothing prints\n{content}"
                found[-1] = Step(name, found[-1].machine, found[-1].commands, content)
            may_promise = language == "sh"
    return found


def follow(step: Step, run: Callable[[str], str]) -> None:
    """Run a step and compare. `run` takes a script and gives what it prints. Raises AssertionError."""
    head = "set -e\n" if step.promised is not None else "set -e -o pipefail\n"
    told = run(head + step.commands)
    missing = first_missing(step.promised or "", told)
    assert missing is None, f"{step.section}:\n{step.commands}did not print\n{missing}\nbut\n{told}"


def first_missing(promised: str, told: str) -> str | None:
    """The first promised line that wasn't printed behind the one before it; None if all were."""
    lines = iter(told.splitlines())
    for line in filter(str.strip, promised.splitlines()):
        parts = [r"\s+".join(map(re.escape, part.split())) for part in line.strip().split("...")]
        pattern = re.compile(r"\s*.*?\s*".join(parts))
        if not any(pattern.fullmatch(candidate.strip()) for candidate in lines):
            return line
    return None
