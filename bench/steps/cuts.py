"""Copies of mcproxy from which something was cut out, to be measured beside the whole.

What is cut is found in the syntax tree and not by line, so that the code around it may change; when a cut finds nothing
any more, that is an error, and this file has to follow. The product itself has no switch for any of it.
"""

import ast
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.peers import ROOT
from bench.processes import BenchError

COUNTERS = {"traffic", "_traffic", "counts", "_counts"}
LOOKS_FURTHER = {"_pass_over_misses", "_find"}
PASSTHROUGH = Path(__file__).with_name("passthrough.py")
# What stands where a statement was: None if the cut is not about it.
Cut = Callable[[ast.stmt], list[ast.stmt] | None]


def counts(statement: ast.stmt) -> list[ast.stmt] | None:
    """Cuts what adds to the numbers that metrics are made of; the work whose outcome is counted is still done."""
    if not isinstance(statement, ast.AugAssign) or not COUNTERS & names_in(statement.target):
        return None
    calls = [node.func for node in ast.walk(statement.value) if isinstance(node, ast.Call)]
    works = any(not (isinstance(called, ast.Name) and called.id == "len") for called in calls)
    return [ast.Expr(statement.value)] if works else [ast.Pass()]


def compares_keys(statement: ast.stmt) -> list[ast.stmt] | None:
    """Cuts the question whether a VALUE names the key that is next, as if it always did."""
    if not isinstance(statement, ast.If):
        return None
    for further, otherwise in ((statement.body, statement.orelse), (statement.orelse, statement.body)):
        if any(LOOKS_FURTHER & names_in(one) for one in further):
            return otherwise or [ast.Pass()]
    return None


def names_in(node: ast.AST) -> set[str]:
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


CUTS: dict[str, tuple[Cut, tuple[str, ...]]] = {
    "metrics": (counts, ("relay/link.py", "relay/downstream.py")),
    "key comparison": (compares_keys, ("wire/retrieval.py", "wire/gathered.py")),
}


def cut_source(source: str, cut: Cut) -> tuple[str, int]:
    """The source without what the cut is about, and how many places that were. All else stays as it stands."""
    lines = source.splitlines()
    places = innermost(ast.parse(source), cut)
    for statement, remains in sorted(places, key=lambda place: place[0].lineno, reverse=True):
        indent = " " * statement.col_offset
        text = "\n".join(ast.unparse(one) for one in remains)
        lines[statement.lineno - 1 : statement.end_lineno] = [indent + line for line in text.splitlines()]
    return "\n".join(lines) + "\n", len(places)


def innermost(node: ast.AST, cut: Cut) -> list[tuple[ast.stmt, list[ast.stmt]]]:
    """The statements that the cut is about, less those that only hold such a one."""
    found = [place for child in ast.iter_child_nodes(node) for place in innermost(child, cut)]
    remains = cut(node) if isinstance(node, ast.stmt) and not found else None
    return [(node, remains)] if isinstance(node, ast.stmt) and remains is not None else found


def copy_without(directory: Path, names: Sequence[str]) -> Path:
    """A copy of mcproxy/ in `directory`, less what these cuts are about. Raises BenchError if nothing is found."""
    leave_out = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "mcproxy", directory / "mcproxy", ignore=leave_out)
    shutil.copy(PASSTHROUGH, directory / "mcproxy/relay/passthrough.py")
    for name in names:
        cut, files = CUTS[name]
        for file in files:
            path = directory / "mcproxy" / file
            text, places = cut_source(path.read_text(), cut)
            if not places:
                raise BenchError(f"{name}: nothing to cut in {file}; bench/steps/cuts.py must follow the code")
            path.write_text(text)
    return directory
