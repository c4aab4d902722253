"""How measured conversations become rows of docs/security.md, and how the rows there are read again."""

import re
from collections.abc import Sequence
from pathlib import Path

from tests.support import packets
from tests.support.packets import Response

DOCUMENT = Path(__file__).parents[2] / "docs" / "security.md"
WRITE = "MCPROXY_WRITE_DOCS"
"""Set in the environment, this makes the tests write the rows instead of comparing them."""

NAMES: dict[int, str] = {}
for _name, _value in vars(packets).items():
    if _name.isupper() and isinstance(_value, int):
        # The opcodes come first there; statuses use the same numbers.
        NAMES.setdefault(_value, _name)

_LONG_RUN = re.compile(rb"(.)\1{40,}", re.DOTALL)
_VARYING = re.compile(rb"\b(la|cas)=[0-9]+")


def as_line(response: Response) -> bytes:
    """A binary response as a line: opcode, status, and key and value where there are some."""
    words = [NAMES[response.opcode].encode(), b"0x%02x" % response.status, response.key, response.value]
    return b" ".join(word for word in words if word) + b"\r\n"


def settled(reply: bytes) -> bytes:
    """The reply without what differs from run to run: times and cas values that `me` prints."""
    return _VARYING.sub(rb"\1=n", reply)


def code(data: bytes) -> str:
    """One code span; runs of a byte are shortened."""
    short = _LONG_RUN.sub(lambda run: b"%s..(%d)..%s" % (run[1] * 3, len(run[0]) - 6, run[1] * 3), data)
    return "`" + repr(short)[2:-1].replace("\\x00", "\\0").replace("\\'", "'").replace("\\\\", "\\") + "`"


def lines(data: bytes, most: int = 6) -> str:
    """The lines of a conversation as code spans; of many, the first and how many more."""
    parts = data.split(b"\r\n")
    last = parts.pop()
    spans = [code(part) for part in parts if part] + ([code(last)] if last else [])
    if len(spans) > most:
        spans = [*spans[: most - 1], f"and {len(spans) - most + 1} lines more"]
    return " ".join(spans)


def answer(reply: bytes, end: str) -> str:
    """What came back, and how it ended, as a cell."""
    said = lines(reply)
    if end == "in step":
        return said or "nothing"
    return f"{said}, {end}" if said else end


def row(cells: Sequence[str]) -> str:
    assert not any("|" in cell or "\n" in cell for cell in cells), cells
    return "| " + " | ".join(cells) + " |"


class Document:
    """The tables of the document. Each stands between two marks, which name it; its first two lines are its head."""

    def __init__(self, path: Path, writing: bool) -> None:
        self.path = path
        self.writing = writing
        self._measured: dict[str, dict[str, str]] = {}

    def names(self, table: str) -> list[str]:
        """The names of the rows that are there: what stands before the colon of their first cell."""
        return [self._name(line) for line in self._rows(table)]

    def check(self, table: str, name: str, cells: Sequence[str]) -> None:
        """Raise AssertionError unless the document has this row; when writing, remember it."""
        line = row([f"{name}: {cells[0]}", *cells[1:]])
        if self.writing:
            self._measured.setdefault(table, {})[name] = line
            return
        there = {self._name(line): line for line in self._rows(table)}
        assert there.get(name) == line, f"docs/security.md is out of date; {WRITE}=1 makes these tests write it"

    def write(self, table: str, names: Sequence[str]) -> None:
        """Replace a table's rows by those that were measured, which must be all of them."""
        measured = self._measured.get(table, {})
        assert set(measured) == set(names), f"not all rows of {table!r} were measured"
        text = self.path.read_text()
        old = self._rows(table)
        start = text.index(self._head(text, table)) + len(self._head(text, table))
        end = start + sum(len(line) + 1 for line in old)
        self.path.write_text(text[:start] + "".join(measured[name] + "\n" for name in names) + text[end:])

    @staticmethod
    def _name(line: str) -> str:
        return line.removeprefix("| ").partition(": ")[0]

    @staticmethod
    def _head(text: str, table: str) -> str:
        found = re.search(rf"<!-- {re.escape(table)} -->\n\|[^\n]*\n\|[^\n]*\n", text)
        assert found is not None, f"docs/security.md has no table {table!r}"
        return found[0]

    def _rows(self, table: str) -> list[str]:
        text = self.path.read_text()
        head = self._head(text, table)
        rest = text[text.index(head) + len(head) :]
        return rest[: rest.index("<!-- end -->")].splitlines()
