"""`fuzz/run mutation [MODULE]...`: changes the wire in one place at a time, and lists what no test notices.

MODULE is a name in mcproxy/wire; none means all of them. Mutants that docs/mutation.md explains are not tried, unless
with --again. Survivors are printed as rows for its table; one that it doesn't explain makes the exit status 1.
"""

import argparse
import importlib
import json
import os
import pickle
import time
from contextlib import suppress
from pathlib import Path

from fuzz.mutation.baseline import Baseline, measure
from fuzz.mutation.in_place import Result, Results, Trials, can_be_in_place, try_in_place
from fuzz.mutation.mutants import Mutant, mutants_of
from fuzz.mutation.trial import result_of, try_all

ROOT = Path(__file__).resolve().parents[2]
WIRE = Path("mcproxy/wire")
TESTS = ["tests/unit/wire"]
EXPLAINED = ROOT / "docs" / "mutation.md"
RESULTS = ROOT / ".fuzz" / "mutation.results"
"""A line for each mutant that was tried: whether it survived, its line and its row. The last one holds."""
BASELINE = ROOT / ".fuzz" / "mutation.baseline"
UNCHANGED_TESTS = 200
"""Tests that show that a trial of an unchanged module survives."""


def main(arguments: list[str]) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="fuzz/run mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as text_rules (default: all)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="trials at a time")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="tests that are to notice (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="try the explained ones as well")
    parser.add_argument("--measure", action="store_true", help="measure the tests anew, though no module has changed")
    parser.add_argument("--survivors", action="store_true", help="try only what survived the last time")
    parser.add_argument(
        "--most",
        type=float,
        default=float("inf"),
        metavar="SECONDS",
        help="try no more tests on a mutant than take so long together (default: all that run its line)",
    )
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    paths = [WIRE / f"{name}.py" for name in options.modules] or sorted(WIRE.glob("[!_]*.py"))
    sources = {str(path): path.read_text() for path in paths}
    start = time.monotonic()
    baseline = _baseline(options.tests, sources, options.measure)
    mutants = [mutant for module, source in sources.items() for mutant in mutants_of(module, source)]
    explained = EXPLAINED.read_text() if EXPLAINED.exists() else ""
    untried = [] if options.again else [mutant for mutant in mutants if mutant.row() in explained]
    mutants = [mutant for mutant in mutants if options.again or mutant.row() not in explained]
    RESULTS.parent.mkdir(exist_ok=True)
    past = dict(reversed(json.loads(line)) for line in RESULTS.read_text().splitlines()) if RESULTS.exists() else {}
    if options.survivors:
        mutants = [mutant for mutant in mutants if past.get(_name(mutant))]
    prepared = f"{len(baseline.seconds)} tests; {time.monotonic() - start:.0f} s"
    print(f"{len(mutants)} mutants and {len(untried)} explained, {prepared}", flush=True)
    results = _try(mutants, baseline, sources, options)
    survivors = [mutant for mutant, survived, _ in results if survived]
    for module in sources:
        made, known, lived = (sum(mutant.module == module for mutant in some) for some in (mutants, untried, survivors))
        print(f"{module}: {made + known} mutants, {made - lived} killed, {lived} survived, {known} not tried")
    unexplained = [mutant for mutant in survivors if mutant.row() not in explained]
    seconds = time.monotonic() - start
    print(f"{len(survivors)} of {len(mutants)} survived, {len(unexplained)} of them not explained; {seconds:.0f} s")
    return 1 if unexplained else 0


def _name(mutant: Mutant) -> str:
    return f"{mutant.line} {mutant.row()}"


def _baseline(tests: list[str], sources: dict[str, str], anew: bool) -> Baseline:
    """What was measured before, if the modules are as they were then: tests that are new since are tried on all."""
    if BASELINE.exists() and not anew:
        baseline = pickle.loads(BASELINE.read_bytes())
        if sources.items() <= baseline.sources.items():
            return baseline
    # All modules at once: the next ones will be asked for.
    modules = [str(path) for path in sorted(WIRE.glob("[!_]*.py"))]
    baseline = result_of(lambda: measure(modules, tests))
    assert isinstance(baseline, Baseline)
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_bytes(pickle.dumps(baseline))
    return baseline


def _try(mutants: list[Mutant], baseline: Baseline, sources: dict[str, str], options: argparse.Namespace) -> Results:
    module, source = next(iter(sources.items()))
    unchanged = Mutant(module, "", 1, "", "", source)

    def is_in_place(mutant: Mutant) -> bool:
        source = sources[mutant.module]
        before = baseline.is_run_before_tests(mutant.module, mutant.line, source)
        return not before and can_be_in_place(source, mutant)

    def trials(mutants: list[Mutant], tests: list[str]) -> Trials:
        new = [test for test in tests if test not in baseline.seconds]
        existing = set(tests)
        made = []
        for mutant in mutants:
            chosen, seconds = list(new), 0.0
            source, by_file = sources[mutant.module], not is_in_place(mutant)
            for test in baseline.tests_of(mutant.module, mutant.line, source, by_file=by_file):
                if test in existing and seconds + baseline.seconds[test] < options.most:
                    seconds += baseline.seconds[test]
                    chosen.append(test)
            made.append((mutant, chosen, 10 + 3 * seconds))
        return made

    def in_place(tests: list[str]) -> Trials:
        return trials([mutant for mutant in mutants if is_in_place(mutant)], tests)

    def of_unchanged(tests: list[str]) -> Trials:
        return [(mutant, some[:UNCHANGED_TESTS], limit) for mutant, some, limit in trials([unchanged], tests)]

    def note(result: Result) -> None:
        # At once, so that a run that is interrupted has shown something.
        mutant, survived, _ = result
        with RESULTS.open("a") as file:
            print(json.dumps([survived, _name(mutant)]), file=file)
        if survived:
            print(mutant.row(), flush=True)

    collected = result_of(lambda: try_in_place(options.tests, in_place, options.processes, note))
    assert isinstance(collected, tuple)
    tests, results = collected
    print(f"{len(results)} tried in place", flush=True)
    rest = [mutant for mutant in mutants if not is_in_place(mutant)]
    if rest:
        for name in baseline.imported:
            with suppress(ImportError):
                importlib.import_module(name)
        # Or everything would be killed, whatever it is.
        ((_, survived, _),) = try_all(of_unchanged(tests), options.processes)
        assert survived, "the tests fail on what was not changed"
        for result in try_all(trials(rest, tests), options.processes):
            results.append(result)
            note(result)
            if len(results) % 100 == 0:
                survivors = sum(survived for _, survived, _ in results)
                print(f"{len(results)} of {len(mutants)} tried, {survivors} survived", flush=True)
    return results
