"""Mutants of functions, tried with everything already imported and collected: a trial costs a fork and its tests.

A function keeps its identity and gets the changed code. That is no use for what ran before the first test (tables,
patterns, rules that a test module makes when it is imported): such mutants are tried by fuzz.mutation.trial.
"""

import ast
import gc
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import zip_longest
from types import CodeType, FunctionType, ModuleType

import pytest

from fuzz.mutation.mutants import Mutant
from fuzz.mutation.trial import limit_test, try_all

Trials = list[tuple[Mutant, list[str], float]]
Result = tuple[Mutant, bool, float]
Results = list[Result]


def function_at(source: str, line: int) -> str:
    """The name of the function or method that `line` is in the body of; "" if it is in none."""
    tree = ast.parse(source)
    methods = [
        (f"{owner.name}.", node) for owner in tree.body if isinstance(owner, ast.ClassDef) for node in owner.body
    ]
    for prefix, node in [*(("", node) for node in tree.body), *methods]:
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= (node.end_lineno or 0):
            return prefix + node.name
    return ""


def can_be_in_place(source: str, mutant: Mutant) -> bool:
    """Whether the change is in the body of a function, which refers to the same outer variables as before."""
    name = function_at(source, mutant.line)
    if not name:
        return False
    before, after = (
        next(code for code in _codes(compile(text, mutant.module, "exec")) if code.co_qualname == name)
        for text in (source, mutant.source)
    )
    return before.co_freevars == after.co_freevars


def try_in_place(
    tests: list[str], make_trials: Callable[[list[str]], Trials], processes: int, note: Callable[[Result], None]
) -> tuple[list[str], Results]:
    """Collect all tests and try mutants. `make_trials` is given the ids of the tests, which are returned as well.

    For a process of its own.
    """
    loop = _Loop(make_trials, processes, note)
    status = pytest.main(["-q", "-s", "-p", "no:cacheprovider", *tests], plugins=[loop])
    assert status == pytest.ExitCode.OK, "the trials in place broke off"
    return loop.tests, loop.results


class _Loop:
    """In place of pytest's own loop over the tests."""

    def __init__(
        self, make_trials: Callable[[list[str]], Trials], processes: int, note: Callable[[Result], None]
    ) -> None:
        self.tests: list[str] = []
        self.results: Results = []
        self._make_trials = make_trials
        self._processes = processes
        self._note = note

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        self.tests = list(items)
        work = partial(_survives, session, items)
        # What is collected is not to be looked at again, and so copied, in every child.
        gc.freeze()
        for result in try_all(self._make_trials(self.tests), self._processes, work):
            self.results.append(result)
            self._note(result)
        return True


def _survives(session: pytest.Session, items: dict[str, pytest.Item], mutant: Mutant, tests: list[str]) -> bool:
    _change(mutant)
    chosen = [items[test] for test in tests]
    for item, following in zip_longest(chosen, chosen[1:]):
        limit_test()
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return False
    return True


def _change(mutant: Mutant) -> None:
    """Give all functions of the module the changed code. Raises LookupError if the changed one isn't among them."""
    module = importlib.import_module(mutant.module.removesuffix(".py").replace(os.sep, "."))
    codes = {code.co_qualname: code for code in _codes(compile(mutant.source, mutant.module, "exec"))}
    changed = set()
    for function in _functions(module):
        function.__code__ = codes[function.__qualname__]
        changed.add(function.__qualname__)
    wanted = function_at(mutant.source, mutant.line)
    if wanted not in changed:
        raise LookupError(wanted)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    found = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    for owner in [value for value in found if inspect.isclass(value)]:
        found += vars(owner).values()
    for value in found:
        if hasattr(value, "cache_clear"):
            value.cache_clear()
        function = inspect.unwrap(value.fget if isinstance(value, property) else value)
        # What a dataclass makes for itself has no source here.
        if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
            yield function
