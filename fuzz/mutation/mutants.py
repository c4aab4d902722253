"""The mutants of a module: what each changes, where, and the module's source with that change."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from fuzz.mutation.operators import OPERATORS


@dataclass(frozen=True)
class Mutant:
    """One change. `line` is its first, counted from 1; `before` and `after` are the lines that differ."""

    module: str
    operator: str
    line: int
    before: str
    after: str
    source: str

    def row(self) -> str:
        """The beginning of its row in docs/mutation.md."""
        cells = (f"`{text}`".replace("|", "\\|") for text in (self.before, self.after))
        return f"| {Path(self.module).stem} | {' | '.join(cells)} |"


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant that compiles."""
    tree = get_ast(source)
    lines = source.splitlines()
    seen = {source}
    for name, operator in OPERATORS.items():
        starts = [start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node)]
        for occurrence, (line, _) in enumerate(starts):
            if lines[line - 1].lstrip().startswith("@"):
                # What a decorator is told (frozen, slots) shows in no reply.
                continue
            changed = mutate_code(source, operator, occurrence)
            if changed is None or changed in seen or not _compiles(changed):
                continue
            seen.add(changed)
            yield Mutant(module, name, line, *_difference(lines, changed.splitlines()), changed)


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def _difference(before: list[str], after: list[str]) -> tuple[str, str]:
    """The lines that differ, as they are on one line."""
    start = next(index for index, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1])
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1

    def joined(lines: list[str]) -> str:
        return " ".join(line.strip() for line in lines[start : len(lines) - end])

    return joined(before), joined(after)
