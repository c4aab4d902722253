"""docs/clients: every program prints what its page says, against the set-up that the index describes.

Several run beside each other. Those that ask for a restart get one together: the throttle forgets with it, so their
wrong passwords do not slow the next ones down. What a machine has no interpreter for is skipped; Java and Go, which are
large, run with MCPROXY_ALL_CLIENTS=1 alone.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.client_pages import INDEX, PAGES, Deployment
from tests.support.page_programs import Example, Run, examples, lacking

EXAMPLES = list(examples())
SLOW = {"java", "go"}
TOGETHER = 4
"""Programs at a time. With a wrong password each, and one client that tries it twice, these are what the throttle lets
have for nothing."""

Told = dict[Example, tuple[str, str]]


def left_out(example: Example) -> str | None:
    if example.program.language in SLOW and not os.environ.get("MCPROXY_ALL_CLIENTS"):
        return "takes long: MCPROXY_ALL_CLIENTS=1 runs it"
    missing = lacking(example)
    return missing and f"this machine has no {missing}"


def run_together(batch: list[Example], deployment: Deployment, make_directory: Callable[[], Path]) -> Told:
    with ExitStack() as ends:
        runs = []
        for example in batch:
            runs.append(Run(example, deployment, make_directory()))
            ends.callback(runs[-1].kill)
        for run in runs:
            run.reaches_its_pause()
        if any(run.example.waits for run in runs):
            deployment.restart()
        for run in runs:
            run.go_on()
        return {run.example: run.finish() for run in runs}


@pytest.fixture(scope="module")
def told(short_path: Callable[[], Path], certificates: Certificates) -> Iterator[Told]:
    """What each program printed, and what it said on standard error."""
    deployment = Deployment(short_path, certificates).start()
    try:
        runnable = [example for example in EXAMPLES if left_out(example) is None]
        # Those with a restart last: their failures are forgotten with it.
        runnable.sort(key=lambda example: example.waits)
        found: Told = {}
        for first in range(0, len(runnable), TOGETHER):
            found |= run_together(runnable[first : first + TOGETHER], deployment, short_path)
        yield found
    finally:
        deployment.stop()


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_it_prints_what_its_page_says(example: Example, told: Told) -> None:
    if (reason := left_out(example)) is not None:
        pytest.skip(reason)
    printed, errors = told[example]
    assert printed == example.output, f"{printed}\nand on standard error:\n{errors}"


def test_the_index_has_every_page_and_no_other() -> None:
    linked = set(re.findall(r"\]\(([a-z-]+\.md)", INDEX.read_text()))
    assert linked == {page.name for page in PAGES.glob("*.md")} - {INDEX.name}
