"""How figures, times and strangers' words are written in a terminal's cells."""

from __future__ import annotations

import re
import textwrap
import time
import unicodedata
from collections.abc import Mapping
from typing import Any

from mcproxy.config.problems import printable

_MARK = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILED_UP = re.compile(f"({_MARK}{{3}}){_MARK}+")
"""More marks on one letter than any writing has."""
BARS = "▁▂▃▄▅▆▇█"
PLAIN_BARS = "_.,-=+*#"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def clean(text: object, limit: int = 200) -> str:
    """At most `limit` characters of it, with everything that a terminal could obey escaped."""
    shown = _PILED_UP.sub(r"\1", printable(str(text)[: limit + 1]))
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def all_clean(value: Any) -> Any:
    """The same data with every text in it clean: whatever of it is shown, a terminal obeys none."""
    if isinstance(value, str):
        return clean(value, 300)
    if isinstance(value, Mapping):
        return {str(key): all_clean(inner) for key, inner in value.items()}
    return [all_clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def cells(text: str) -> int:
    """How many columns a terminal gives it."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, width: int) -> str:
    """As much of it as fits in so many columns, with dots for what is missing, if there is room for any."""
    if cells(text) <= width:
        return text
    dots = "..." if width > 5 else ""
    used = 0
    for index, char in enumerate(text):
        used += cells(char)
        if used > width - len(dots):
            return text[:index] + dots
    return text


def folded(text: str, width: int, most: int = 3) -> list[str]:
    """It on so many lines at most, broken between words where that is possible."""
    if width <= 0:
        return [""]
    lines = textwrap.wrap(text, width) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), width)]
    return [cut(line, width) for line in lines]


def left(text: str, width: int) -> str:
    """Cut or filled up to exactly so many columns, for words."""
    shown = cut(text, width)
    return shown + " " * (width - cells(shown))


def right(text: str, width: int) -> str:
    """The same for figures."""
    shown = cut(text, width)
    return " " * (width - cells(shown)) + shown


def number(value: float) -> str:
    """9,999 or 12.3K; of what is below ten, two digits."""
    if 0 < abs(value) < 9.95:
        return f"{value:.2g}"
    if abs(value) < 9999.5:
        return f"{value:,.0f}"
    for unit in "KMGT":
        value /= 1000
        if abs(value) < 999.5 or unit == "T":
            return f"{value:.3g}{unit}" if abs(value) < 999.5 else f"{value:,.0f}{unit}"
    raise AssertionError("unreachable")


def size(value: float) -> str:
    """1.5 MiB."""
    power = 0
    while abs(value) >= 1000 and power < len(_UNITS) - 1:
        value /= 1024
        power += 1
    return f"{value:.3g} {_UNITS[power]}" if power else f"{value:.0f} B"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent; neither 0 nor 100 is said of what is only nearly so."""
    if not whole:
        return "-"
    exact = 100 * part / whole
    if 0 < exact < 1:
        return "<1 %"
    return ">99 %" if 99 < exact < 100 else f"{exact:.0f} %"


def duration(seconds: float) -> str:
    """45 s, 5 min, 3 h, 12 days."""
    if seconds < 60:
        return f"{max(0, int(seconds))} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min"
    return f"{int(seconds // 3600)} h" if seconds < 2 * 86400 else f"{int(seconds // 86400)} days"


def clock(moment: float, now: float) -> str:
    """The time of day here; month, day, hour and minute if that is another day than `now`'s: 8 or 11 columns."""
    then = time.localtime(moment)
    return time.strftime("%H:%M:%S" if then[:3] == time.localtime(now)[:3] else "%m-%d %H:%M", then)


def plot(points: list[float], width: int, bars: str = BARS) -> str:
    """The newest points, each as a bar of the highest one's scale; several make one column if there are too many."""
    if width <= 0 or not points:
        return ""
    together = -(-len(points) // width)
    start = len(points) % together
    groups = [points[:start]] if start else []
    groups += [points[index : index + together] for index in range(start, len(points), together)]
    columns = [max(group) for group in groups]
    highest = max(columns)
    if highest <= 0:
        return bars[0] * len(columns)
    return "".join(bars[min(len(bars) - 1, int(max(0.0, value) / highest * len(bars)))] for value in columns)
