"""Copies of mcproxy with something cut out: only what a cut is about is gone, and a cut that finds nothing says so."""

from pathlib import Path

import pytest

from bench.processes import BenchError
from bench.steps import cuts
from bench.steps.cuts import compares_keys, copy_without, counts, cut_source


def test_counters_are_cut_and_the_work_they_count_is_not() -> None:
    source = "self._traffic.sent += output.flush()\nself.traffic.seen += len(data)\nself.held += 1  # kept\n"
    assert cut_source(source, counts) == ("output.flush()\npass\nself.held += 1  # kept\n", 2)


def test_a_comparison_is_cut_as_if_it_had_held() -> None:
    source = "if match:\n    if other:\n        after = self._pass_over_misses(name)\n    end = 1\n"
    assert cut_source(source, compares_keys) == ("if match:\n    pass\n    end = 1\n", 1)
    source = "if key == name:\n    if late:\n        go_on()\nelse:\n    found = self._find(name)\n"
    assert cut_source(source, compares_keys) == ("if late:\n    go_on()\n", 1)


def test_the_cuts_fit_the_code_as_it_is(tmp_path: Path) -> None:
    copy = copy_without(tmp_path / "copy", list(cuts.CUTS))
    for path in copy.rglob("*.py"):
        compile(path.read_text(), str(path), "exec")
    assert "= self._pass_over_misses(" not in (copy / "mcproxy/wire/retrieval.py").read_text()
    assert "= self._find(" not in (copy / "mcproxy/wire/gathered.py").read_text()
    assert (copy / "mcproxy/relay/passthrough.py").exists()


def test_a_cut_that_finds_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cuts.CUTS, "nothing", (lambda statement: None, ("wire/text.py",)))
    with pytest.raises(BenchError, match=r"nothing to cut in wire/text\.py"):
        copy_without(tmp_path / "copy", ["nothing"])
