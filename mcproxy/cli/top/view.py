"""A status as lines of text, for a screen of some size or for one as large as need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mcproxy.cli.top import text

PLAIN_WIDTH = 400
"""Columns of what is no screen: nothing is cut but what is meant to take room."""
SMALL = 36
"""Lines of a screen that hasn't room for all of it."""
FEW_REASONS = FEW_LINKS = 3
"""Lines for them on such a screen."""
_SHORTEST_NAME, _LONGEST_NAME, _KIND, _COUNT = 20, 40, 11, 9
"""Columns of the table of principals."""

Rates = tuple[tuple[str, str, Callable[[float], str]], ...]
RATES: Rates = (
    ("requests", "requests", text.number),
    ("hits", "hits", text.number),
    ("misses", "misses", text.number),
    ("refused", "refused", text.number),
    ("logins", "logins", text.number),
    ("failed_logins", "failed logins", text.number),
    ("received_bytes", "received", text.size),
    ("sent_bytes", "sent", text.size),
)


FEW_RATES: Rates = tuple(row for row in RATES if row[0] in ("requests", "misses", "refused", "failed_logins"))


class Line(NamedTuple):
    """`style` is "", "title", "quiet", or a level of the verdict; what it says is in the words as well."""

    words: str
    style: str = ""


class View:
    """What is shown of one status. `before` is an earlier one, for what each principal does in a second."""

    def __init__(
        self, status: Mapping[str, Any], before: Mapping[str, Any] | None = None, bars: str = text.BARS
    ) -> None:
        # Names and reasons are strangers' words.
        self._status: Mapping[str, Any] = text.all_clean(status)
        self._before: Mapping[str, Any] | None = text.all_clean(before)
        self._bars = bars

    def lines(self, width: int = PLAIN_WIDTH, height: int | None = None) -> list[Line]:
        """At most `height` lines of at most `width` columns. Raises KeyError, TypeError or ValueError if it isn't a
        status."""
        small = height is not None and height < SMALL
        head = [*self._verdict(width, small), Line("")]
        head += self._rates(width, FEW_RATES if small else RATES)
        if not small:
            head.append(Line(""))
        head += _shortened(self._links(), FEW_LINKS) if small else self._links()
        head += [*self._saturation(), Line("")]
        principals, refusals = list(self._principals(width)), list(self._refusals())
        if height is not None:
            # A line between the two; each may have half of what is left, and what the other doesn't need.
            left = height - len(head) - 1
            half = max(left // 2, left - len(refusals))
            principals = _shortened(principals, half)
            refusals = _shortened(refusals, left - len(principals))
        shown = [*head, *principals, Line(""), *refusals]
        return [Line(text.cut(line.words, width), line.style) for line in shown[:height]]

    def _verdict(self, width: int, small: bool) -> Iterator[Line]:
        verdict = self._status["verdict"]
        for words in text.folded(f"{verdict['level'].upper()}  {verdict['sentence']}", width):
            yield Line(words, verdict["level"])
        reasons = verdict["reasons"]
        shown = reasons[: FEW_REASONS - 1] if small and len(reasons) > FEW_REASONS else reasons
        for reason in shown:
            for words in text.folded(f"{reason['level']}: {reason['words']}", width - 2, 1 if small else 3):
                yield Line(f"  {words}", reason["level"])
        if len(shown) < len(reasons):
            yield Line(f"  and {len(reasons) - len(shown)} more", "quiet")
        running = text.duration(self._status["now"] - self._status["started"])
        workers = self._status["workers"]
        yield Line(
            f"{verdict['detail']} Running for {running}, {workers['alive']} of {workers['configured']} workers, "
            f"generation {self._status['generation']}.",
            "quiet",
        )

    def _rates(self, width: int, shown_rates: Rates) -> Iterator[Line]:
        rates = self._status["rates"]
        columns = f"{'each second':<15}{'now':>10}{'1 min':>10}{'5 min':>10}{'highest':>10}  "
        yield Line(columns + "last five minutes", "title")
        minute = max(1, round(60 / rates["interval"]))
        for key, name, write in shown_rates:
            points = [float(point or 0) for point in rates["series"].get(key, ())]
            last = points[-minute:]
            figures = (points[-1], sum(last) / len(last), sum(points) / len(points), max(points)) if points else ()
            shown = "".join(f"{write(figure):>10}" for figure in figures) or f"{'no data':>10}"
            yield Line(f"{name:<15}{shown}  {text.plot(points, min(75, width - len(columns)), self._bars)}")

    def _links(self) -> list[Line]:
        """Those with something wrong first."""
        lines = []
        for upstream in self._status["upstreams"]:
            pools = [
                f"{pool['protocol']} {pool['links']} of {pool['wanted']}"
                + (f", {pool['outdated']} outdated" if pool["outdated"] else "")
                + (f" ({pool['obstacle']})" if pool["obstacle"] is not None else "")
                for pool in upstream["pools"]
            ]
            wrong = any(pool["obstacle"] is not None and pool["links"] < pool["wanted"] for pool in upstream["pools"])
            name = text.cut(upstream["name"], 40)
            lines.append(Line(f"Links to {name}: {'; '.join(pools) or 'none'}", "warning" if wrong else ""))
        return sorted(lines, key=lambda line: not line.style)

    def _saturation(self) -> Iterator[Line]:
        saturation = self._status["saturation"]
        parts = []
        for key, name, write in (
            ("connections", "connections", text.number),
            ("buffered_bytes", "buffers", text.size),
            ("descriptors", "descriptors", text.number),
        ):
            used, limit = saturation[key], saturation[f"{key}_limit"]
            if used is not None and limit:
                parts.append(f"{name} {write(used)} of {write(limit)} ({text.share(used, limit)})")
        if saturation["busy"] is not None:
            parts.append(f"processor {text.share(saturation['busy'], 1)}")
        yield Line(f"Used: {'; '.join(parts)}")

    def _principals(self, width: int) -> Iterator[Line]:
        counts = ("sessions", "requests", "each s", "hits", "denied")
        wide = min(_LONGEST_NAME, max(_SHORTEST_NAME, width - 1 - _KIND - len(counts) * _COUNT))
        yield Line(
            f"{'principal':<{wide}} {'kind':<{_KIND}}" + "".join(f"{name:>{_COUNT}}" for name in counts), "title"
        )
        principals = sorted(
            self._status["principals"],
            key=lambda one: (-one["sessions"], -one["requests"], str(one["kind"]), str(one["name"])),
        )
        if not principals:
            yield Line("nobody has logged in since the start", "quiet")
        for one in principals:
            counted = (
                text.number(one["sessions"]),
                text.number(one["requests"]),
                self._each_second(one),
                text.share(one["hits"], one["hits"] + one["misses"]),
                text.number(one["denied"]),
            )
            name, kind = text.left(one["name"], wide), text.left(one["kind"], _KIND)
            yield Line(f"{name} {kind}" + "".join(text.right(figure, _COUNT) for figure in counted))
        if self._status["principals_left_out"]:
            yield Line(f"and {self._status['principals_left_out']} more that the proxy does not list", "quiet")

    def _each_second(self, principal: Mapping[str, Any]) -> str:
        if self._before is None:
            return "-"
        passed = self._status["now"] - self._before["now"]
        for one in self._before["principals"]:
            if (one["kind"], one["name"]) == (principal["kind"], principal["name"]):
                more = principal["requests"] - one["requests"]
                return text.number(more / passed) if passed > 0 and more >= 0 else "-"
        return "-"

    def _refusals(self) -> Iterator[Line]:
        yield Line("refusals and denials, newest first", "title")
        refusals = self._status["refusals"]
        if not refusals:
            yield Line("none since the start", "quiet")
        for refusal in refusals:
            times = f" ({refusal['count']} times)" if refusal["count"] > 1 else ""
            what = text.cut(refusal["event"], 40).replace("_", " ")
            reason = f": {refusal['reason']}" if refusal["reason"] else ""
            about = [
                f"{word} {text.cut(refusal[key], 60)}"
                for key, word in (("principal", "who"), ("source", "from"), ("listener", "on"))
                if refusal[key]
            ]
            when = text.left(text.clock(refusal["time"], self._status["now"]), 12)
            yield Line(f"{when}{what}{times}{reason}{'; ' if about else ''}{', '.join(about)}")


def _shortened(lines: list[Line], most: int) -> list[Line]:
    """So many of them at most; the last one says how many are missing."""
    if len(lines) <= most:
        return lines
    if most < 2:
        return lines[: max(0, most)]
    return [*lines[: most - 1], Line(f"and {len(lines) - most + 1} more", "quiet")]


def plain(lines: list[Line]) -> str:
    """For what is no terminal."""
    return "\n".join(line.words.rstrip() for line in lines)
