"""What is changed: cosmic-ray's operators where they mean something here, and two of our own.

cosmic-ray leaves literals alone, but most of the grammar is in them: `Literal` changes the bounds, classes,
alternatives and quantifiers of patterns, and every other word. It also never leaves a statement out: `Omission` does.
"""

import ast
import re
from collections.abc import Iterator

from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import Keyword, String
from parso.tree import NodeOrLeaf

CORE = [
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "ReplaceUnaryOperator_Delete_Not",
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("BitAnd_BitOr", "LShift_RShift", "RShift_LShift")),
]
"""Other replacements of cosmic-ray make a TypeError of bytes, which every test notices, or change an annotation."""

CLASS = re.compile(r"\[\^?((?:\\x[0-9a-f]{2}|\\.|[^\]\\])+)\]")
RANGE = re.compile(r"(\\x[0-9a-f]{2}|[^\\])-(\\x[0-9a-f]{2}|[^\\])")
BOUNDS = re.compile(r"\{(\d+)(?:,(\d+))?\}")
SIMPLE = [
    (re.compile(r"(?<=[)\]a-z ])\?"), ""),
    (re.compile(r"(?<=\))\+"), ""),
    (re.compile(r"(?<=\))\+"), "*"),
    (re.compile(r"(?<=\))\*"), ""),
    (re.compile(r"(?<=\))\*"), "+"),
    (re.compile(r"\|"), ""),
    (re.compile(r"\(\?!"), "(?="),
    (re.compile(r"\(\?="), "(?!"),
    (re.compile(r"\\r\\n"), r"\\n"),
]
"""What is replaced in patterns, one occurrence at a time. A `+` behind a bound is possessive: it changes no match."""


def _next(character: str, step: int) -> str:
    code = int(character[2:], 16) if len(character) > 1 else ord(character)
    return f"\\x{(code + step) % 256:02x}"


def patterns(text: str) -> Iterator[str]:
    """The same pattern with one thing changed, for each thing that could be."""
    for part in CLASS.finditer(text):
        for found in RANGE.finditer(text, *part.span(1)):
            first, last = found.groups()
            for changed in [(_next(first, step), last) for step in (1, -1)] + [
                (first, _next(last, step)) for step in (1, -1)
            ]:
                yield text[: found.start()] + "-".join(changed) + text[found.end() :]
    for found in BOUNDS.finditer(text):
        least, most = int(found[1]), int(found[2] or found[1])
        for low, high in [(least + 1, most), (least - 1, most), (least, most - 1), (least, most + 1)]:
            if 0 <= low <= high:
                yield f"{text[: found.start()]}{{{low},{high}}}{text[found.end() :]}"
    for pattern, replacement in SIMPLE:
        for found in pattern.finditer(text):
            yield text[: found.start()] + found.expand(replacement) + text[found.end() :]


def literals(value: str) -> list[str]:
    """The same literal as source text, changed: with a letter in front, and as a pattern if it can be one."""
    prefix, quote, text = re.fullmatch(r"([a-zA-Z]*)('''|\"\"\"|'|\")(.*)\2", value, re.DOTALL).groups()  # type: ignore[union-attr]
    changed = ["X" + text]
    if "b" in prefix and re.search(r"[\[{(|?]", text):
        changed += patterns(text)
    return [f"{prefix}{quote}{one}{quote}" for one in dict.fromkeys(changed) if one != text]


def _is_text_for_people(node: NodeOrLeaf) -> bool:
    """Docstrings, annotations, the words of exceptions, and what decorators are told."""
    child, parent = node, node.parent
    while parent is not None:
        if parent.type in ("simple_stmt", "funcdef", "file_input", "classdef"):
            return child is node or (parent.type == "funcdef" and child is parent.annotation)
        if parent.type in ("tfpdef", "raise_stmt", "decorator"):
            return True
        if parent.type == "annassign" and child is parent.children[1]:
            return True
        child, parent = parent, parent.parent
    return False


class Literal(Operator):
    """Changes one literal of bytes or text."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        if isinstance(node, String) and not _is_text_for_people(node):
            for _ in literals(node.value):
                yield node.start_pos, node.end_pos

    def mutate(self, node: String, index: int) -> String:
        return String(literals(node.value)[index], node.start_pos, node.prefix)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's documentation; it wants some of every operator."""
        return (Example('x = b"get"', 'x = b"Xget"'),)


class Omission(Operator):
    """Leaves out a call whose result nobody uses, or an assignment to an attribute or with an operator."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        parent = node.parent
        if parent is None or parent.type != "simple_stmt" or node.type not in ("expr_stmt", "atom_expr"):
            return
        code = ast.parse(node.get_code(include_prefix=False)).body[0]
        targets = code.targets if isinstance(code, ast.Assign) else [code]
        if not all(isinstance(target, ast.Name) for target in targets) and not isinstance(code, ast.AnnAssign):
            yield node.start_pos, node.end_pos

    def mutate(self, node: NodeOrLeaf, index: int) -> Keyword:
        return Keyword("pass", node.start_pos, node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """For cosmic-ray's documentation; it wants some of every operator."""
        return (Example("self.end = 1", "pass"),)


OPERATORS: dict[str, Operator] = {name: get_operator(f"core/{name}")() for name in CORE}
OPERATORS |= {"Literal": Literal(), "Omission": Omission()}
