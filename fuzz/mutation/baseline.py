"""The tests without any mutation: how long each takes, and which lines of the wire each runs."""

import ast
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import coverage
import pytest

ALWAYS = ""
"""coverage's context for what runs when modules are imported, and so before any test."""


@dataclass
class Baseline:
    """`seconds` by test; `tests` by module and line; the names of other modules that the tests import.

    It holds for these `sources` of modules.
    """

    sources: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)

    def tests_of(self, module: str, line: int, source: str, *, by_file: bool) -> list[str]:
        """The tests that can notice a change in the statement at `line`: those that run it, the quickest first.

        `by_file`: one file after the other, since a file is to be imported before its first test. If not, of each file
        the quickest test, then of each file the next: tests of one file tend to notice the same.

        Where it runs at import, every test may notice, but first come those that run the methods of its class, then
        those that are about that module by their name, and of these the file that is quickest per test.
        """
        lines = self.tests[module]
        running = {test for number in _statement(source, line) for test in lines.get(number, ())}
        closest: set[str] = set()
        if ALWAYS in running or not running:
            running = set(self.seconds)
            closest = {test for number in _class(source, line) for test in lines.get(number, ())}
        words = set(Path(module).stem.split("_"))
        whole: dict[str, list[float]] = {}
        for test in running:
            whole.setdefault(_file(test), []).append(self.seconds[test])
        rank = {file: (-len(words & set(file.split("_"))), sum(some) / len(some)) for file, some in whole.items()}
        if by_file:
            return sorted(running, key=lambda test: (test not in closest, rank[_file(test)], self.seconds[test]))
        files: dict[str, int] = {}
        turn = {}
        for test in sorted(running, key=lambda test: self.seconds[test]):
            turn[test] = files[_file(test)] = files.get(_file(test), 0) + 1
        return sorted(running, key=lambda test: (turn[test], self.seconds[test]))

    def is_run_before_tests(self, module: str, line: int, source: str) -> bool:
        """Whether the statement at `line` is run when modules are imported and tests collected."""
        return any(ALWAYS in self.tests[module].get(number, ()) for number in _statement(source, line))


def _file(test: str) -> str:
    return Path(test.partition("::")[0]).stem.removeprefix("test_")


def _statement(source: str, line: int) -> range:
    """The lines of the smallest statement that `line` is a part of; of a compound one, without its body."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or node.lineno) + 1
            if line in range(node.lineno, end):
                found = range(node.lineno, end)
    return found


def _class(source: str, line: int) -> range:
    """The lines of the class that `line` is a part of; none if it is in none."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0):
            return range(node.lineno, (node.end_lineno or 0) + 1)
    return range(0)


class _Watch:
    """Notes what each test runs, and for how long."""

    def __init__(self, measured: coverage.Coverage, baseline: Baseline) -> None:
        self._measured = measured
        self._baseline = baseline

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._measured.switch_context(item.nodeid)
        start = time.perf_counter()
        yield
        self._baseline.seconds[item.nodeid] = time.perf_counter() - start
        self._measured.switch_context(ALWAYS)


def measure(modules: list[str], tests: list[str]) -> Baseline:
    """Run all tests once. Raises AssertionError if one fails. To be called in a process of its own."""
    baseline = Baseline({module: Path(module).read_text() for module in modules})
    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[str(Path(module).resolve()) for module in modules]
    )
    measured.start()
    status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *tests], plugins=[_Watch(measured, baseline)])
    measured.stop()
    assert status == 0, "the tests fail without any mutation"
    data = measured.get_data()
    for module in modules:
        baseline.tests[module] = data.contexts_by_lineno(str(Path(module).resolve()))
    # Each trial imports the program and the tests anew, and pytest's plugins, whose assertions it rewrites.
    plugins = {plugin.module.partition(".")[0] for plugin in entry_points(group="pytest11")}
    anew = {"mcproxy", "tests", "fuzz", "conftest", *plugins}
    baseline.imported = sorted(name for name in sys.modules if name.partition(".")[0] not in anew)
    return baseline
