"""Reading what an upstream says of itself: lines of `stats` become numbers, or none of them is believed.

Nothing here is ever a client's word: names are looked for, not taken; values are numbers; the version is a few plain
characters.
"""

import re
from collections.abc import Collection
from typing import Final

from mcproxy.observe.memcached import Figures
from mcproxy.observe.memcached_names import COMMANDS, ITEMS, LRU_HITS, SERVER, SETTINGS, SLABS
from mcproxy.wire.error_lines import DENIED

QUESTIONS: Final = (b"stats", b"stats items", b"stats slabs", b"stats settings")
"""What memcached_exporter asks."""

LARGEST_SLAB: Final = 63
"""memcached's slabs.c: MAX_NUMBER_OF_SLAB_CLASSES."""

_LINE: Final = re.compile(r"STAT ([^ \r\n]{1,250})(?: ([^\r\n]{0,2000}))?\r\n")
_LAST: Final = b"END\r\n"
_NUMBER: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?").fullmatch
_VERSION: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+~-]{0,63}").fullmatch
_WORDS: Final = {"yes": 1.0, "no": 0.0}
_OF_A_SLAB: Final = re.compile(r"(?:items:)?([0-9]{1,2}):([a-z_]{1,60})").fullmatch

_SERVER: Final = frozenset([*SERVER, *COMMANDS.values(), "cmd_set"])
_ITEMS: Final = frozenset([*ITEMS, *LRU_HITS])
_SLABS: Final = frozenset([*SLABS, *COMMANDS.values(), "cmd_set"])


class NotFigures(Exception):
    """Upstream said what no memcached says. `str()` tells what is wrong, without its words."""


def lines_of(answer: bytes) -> dict[str, str] | None:
    """The whole answer to one of the QUESTIONS, by name; None if upstream doesn't tell. Raises NotFigures."""
    if answer.startswith((b"ERROR\r\n", b"CLIENT_ERROR ", b"SERVER_ERROR ")):
        return None
    text = answer.removesuffix(_LAST).decode("latin-1")
    lines = _LINE.findall(text)
    if not answer.endswith(_LAST) or _LINE.sub("", text):
        raise NotFigures("an answer to stats that is no list")
    return dict(lines)


def general_lines_of(answer: bytes) -> dict[str, str]:
    """As lines_of, of plain `stats`, which every memcached tells. Raises NotFigures if upstream doesn't."""
    lines = lines_of(answer)
    if not lines:
        raise NotFigures("no answer to stats" if lines is None else "an answer to stats with nothing in it")
    return lines


def is_denial(answer: bytes) -> bool:
    """Whether upstream is an mcproxy that does not grant us what was asked."""
    return answer == DENIED


def figures_of(answers: dict[bytes, dict[str, str] | None]) -> Figures:
    """Of the answers to all questions that were asked. Raises NotFigures."""
    general = answers.get(b"stats") or {}
    slabs = answers.get(b"stats slabs") or {}
    version = general.get("version", "")
    if version and _VERSION(version) is None:
        raise NotFigures("a version that is none")
    # memcached tells it with the slabs.
    general = {**general, **{name: value for name, value in slabs.items() if name == "total_malloced"}}
    return Figures(
        version=version,
        server=_numbers(general, _SERVER),
        items=_by_slab(answers.get(b"stats items") or {}, _ITEMS),
        slabs=_by_slab(slabs, _SLABS),
        settings=_settings(answers.get(b"stats settings") or {}),
    )


def _numbers(lines: dict[str, str], wanted: Collection[str]) -> dict[str, float]:
    return {name: _number(value) for name, value in lines.items() if name in wanted}


def _by_slab(lines: dict[str, str], wanted: Collection[str]) -> dict[int, dict[str, float]]:
    slabs: dict[int, dict[str, float]] = {}
    for name, value in lines.items():
        match = _OF_A_SLAB(name)
        if match is not None and match[2] in wanted:
            slab = int(match[1])
            if not 1 <= slab <= LARGEST_SLAB:
                raise NotFigures("a slab class that is none")
            slabs.setdefault(slab, {})[match[2]] = _number(value)
    return slabs


def _settings(lines: dict[str, str]) -> dict[str, float]:
    wanted = SETTINGS if lines.get("lru_crawler") == "yes" else ("maxconns",)
    return {
        name: _WORDS[value] if value in _WORDS else _number(value) for name, value in lines.items() if name in wanted
    }


def _number(value: str) -> float:
    if _NUMBER(value) is None:
        raise NotFigures("a figure that is no number")
    return float(value)
