"""The project's pages: their links, headings, blocks and words."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(```+)([^\n`]*)\n(.*?)^\1 *$\n?", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_LINK = re.compile(r"(!?)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: what stands behind its fence, and what is in it."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """All that people read, relative to the project's directory."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("README.md")]
    return sorted(path.relative_to(ROOT) for path in found)


@cache
def text(page: Path) -> str:
    """Of a page, as it is."""
    return (ROOT / page).read_text()


def blocks(page: Path) -> Iterator[Block]:
    """In their order."""
    for found in _FENCE.finditer(text(page)):
        line = text(page).count("\n", 0, found.start()) + 1
        yield Block(str(page), line, found[2].strip(), found[3])


@cache
def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def code(page: Path) -> list[str]:
    """What the prose has between backticks."""
    return [" ".join(found.split()) for found in _CODE.findall(prose(page))]


def links(page: Path) -> Iterator[str]:
    """Targets of links and pictures."""
    for found in _LINK.finditer(_CODE.sub("``", prose(page))):
        yield found[2]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Those of the headings, as GitHub makes them."""
    found: dict[str, int] = {}
    every = set()
    for heading in _HEADING.findall(prose(page)):
        plain = _LINK.sub(lambda link: link[0][1 : link[0].index("]")], heading).replace("`", "").lower()
        kept = "".join(one for one in plain if one in " -_" or unicodedata.category(one)[0] in "LN")
        anchor = kept.strip().replace(" ", "-")
        times = found.get(anchor, 0)
        found[anchor] = times + 1
        every.add(f"{anchor}-{times}" if times else anchor)
    return frozenset(every)
