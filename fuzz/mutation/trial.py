"""One mutant against its tests, in a process that is forked for it: nothing on disk is ever changed.

The parent has imported everything that the tests need except the program and the tests themselves, so a trial costs
little more than its tests. The child imports the mutated source in the module's place.
"""

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import ModuleType

import pytest

from fuzz.mutation.mutants import Mutant

AT_FIRST = 60
"""Tests that are run before the others are even collected."""

MEMORY = 4 << 30
"""Bytes of address space for a trial: a mutant may collect without end."""

SECONDS_OF_A_TEST = 2
"""Of processor time; no test takes half of it."""

BROKEN = 3
"""The exit status of a trial that was none."""


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.module.removesuffix(".py").replace("/", ".")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._mutant.source, self._mutant.module, "exec"), module.__dict__)


def limit_test() -> None:
    """Kill this process if a test takes too long: nothing in the wire may loop."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS_OF_A_TEST)


class _Selection:
    """Runs the chosen tests, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: number for number, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    def pytest_runtest_setup(self) -> None:
        limit_test()


def survives(mutant: Mutant, tests: list[str]) -> bool:
    """Whether all of `tests` pass. To be called in a process of its own.

    Most mutants fall at one of the first tests. Collecting all the others would take longer than running those.
    """
    sys.meta_path.insert(0, _Mutated(mutant))
    return all(_pass(some) for some in (tests[:AT_FIRST], tests[AT_FIRST:]) if some)


def _pass(tests: list[str]) -> bool:
    files = sorted({test.partition("::")[0] for test in tests})
    options = ["-q", "-x", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
    return pytest.main([*options, *files], plugins=[_Selection(tests)]) == 0


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        for descriptor in (1, 2):
            os.dup2(nothing.fileno(), descriptor)
        yield


def fork(work: Callable[[], bool]) -> int:
    """Do `work` silently in a child; its exit status is 0 if it returned true, BROKEN if it raised an exception.

    Returns the child's process id.
    """
    child = os.fork()
    if child:
        return child
    status = BROKEN
    try:
        with _silence():
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            status = 0 if work() else 1
    finally:
        # Not a way out that would run the parent's handlers a second time.
        os._exit(status)


def result_of(work: Callable[[], object]) -> object:
    """What `work` returns when done in a child. Raises AssertionError if the child fails."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            with os.fdopen(writing, "wb") as file:
                pickle.dump(work(), file)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        data = file.read()
    assert os.waitpid(child, 0)[1] == 0, "a child process failed"
    return pickle.loads(data)


def try_all(
    trials: Iterable[tuple[Mutant, list[str], float]],
    processes: int,
    survives: Callable[[Mutant, list[str]], bool] = survives,
) -> Iterator[tuple[Mutant, bool, float]]:
    """Try mutants, `processes` at a time: (mutant, tests, seconds it may take) to (mutant, survived, seconds taken).

    One that takes longer is killed, as a mutant too.
    """
    running: dict[int, tuple[Mutant, float, float]] = {}
    remaining = iter(trials)
    while True:
        while len(running) < processes and (trial := next(remaining, None)) is not None:
            mutant, tests, limit = trial
            now = time.monotonic()
            running[fork(partial(survives, mutant, tests))] = (mutant, now, now + limit)
        if not running:
            return
        child, status = os.waitpid(-1, os.WNOHANG)
        now = time.monotonic()
        if child:
            mutant, start, _ = running.pop(child)
            assert os.waitstatus_to_exitcode(status) != BROKEN, f"could not be tried: {mutant.row()}"
            yield mutant, status == 0, now - start
            continue
        for late in [child for child, (_, _, deadline) in running.items() if now > deadline]:
            os.kill(late, signal.SIGKILL)
            os.waitpid(late, 0)
            mutant, start, _ = running.pop(late)
            yield mutant, False, now - start
        time.sleep(0.002)
