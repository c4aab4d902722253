"""The picture for README: how many times as many requests a second mcproxy does as each peer, a bar each. SVG.

Its colours follow the reader's light or dark mode; its own ground keeps it legible on a page that does not."""

from collections.abc import Mapping, Sequence
from html import escape

from bench.report import Result, Spread

WIDTH, LEFT, RIGHT = 760, 210, 130
BAR, GAP, GROUP, HEADING = 16, 5, 12, 30
CONNECTIONS = (8, 50, 500)
NO_PEERS = {"direct", "memcached-sasl", "before"}  # memcached itself, and another mcproxy
SHOWN_NAMES = {"haproxy": "HAProxy", "nutcracker": "twemproxy"}
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.ground { fill: #ffffff }
.title { font-size: 16px; font-weight: 600 }
.heading { font-weight: 600 }
.note { font-size: 11.5px; fill: #59636e }
.more { fill: #1f6feb } .less { fill: #bc4c00 }
.even { stroke: #59636e; stroke-width: 1; stroke-dasharray: 4 3 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 } .even { stroke: #9198a1 } .spread { stroke: #f0f6fc }
  .ground { fill: #0d1117 } .more { fill: #388bfd } .less { fill: #db6d28 }
}"""


def ratios(results: Sequence[Result], subject: str) -> dict[str, dict[tuple[int, str], Spread]]:
    """By transport, then by connections and peer: requests/s by the peer's, where single requests were in flight."""
    found: dict[str, dict[tuple[int, str], Spread]] = {"plain": {}, "tls": {}}
    for result in results:
        scenario = result.scenario
        ordinary = scenario.connections in CONNECTIONS and scenario.pipeline == 1 and scenario.size == 100
        if not ordinary or scenario.logins or subject not in result.samples:
            continue
        for peer in result.samples:
            if peer != subject and peer not in NO_PEERS:
                spread = result.ratio(subject, peer, "requests_per_second")
                found[result.transport][scenario.connections, peer] = spread
    return found


def bar(peer: str, spread: Spread, y: float, scale: float) -> list[str]:
    middle, style = y + BAR / 2, "more" if spread.median >= 1 else "less"
    name = escape(SHOWN_NAMES.get(peer, peer))
    end = LEFT + spread.most * scale
    said, beside = f"{spread.median:.2f} times", max(end, LEFT + max(1, spread.median) * scale) + 8
    return [
        f'<text x="{LEFT - 8}" y="{middle + 4.5:g}" text-anchor="end">{name}</text>',
        f'<rect class="{style}" x="{LEFT}" y="{y:g}" width="{spread.median * scale:.1f}" height="{BAR}" rx="2"/>',
        f'<path class="spread" d="M{LEFT + spread.least * scale:.1f} {middle:g}H{end:.1f}"/>',
        f'<text x="{beside:.1f}" y="{middle + 4.5:g}">{said}</text>',
    ]


def panel(heading: str, bars: Mapping[tuple[int, str], Spread], top: float, scale: float) -> tuple[list[str], float]:
    """One transport; returns where it ends."""
    parts = [f'<text class="heading" x="8" y="{top + 18:g}">{heading}</text>']
    y = top + HEADING
    begin = y
    for connections in sorted({connections for connections, _ in bars}):
        parts.append(f'<text class="note" x="8" y="{y + BAR - 4:g}">{connections} connections</text>')
        for (at, peer), spread in bars.items():
            if at == connections:
                parts += bar(peer, spread, y, scale)
                y += BAR + GAP
        y += GROUP
    even = LEFT + scale
    parts.append(f'<path class="even" d="M{even:.1f} {begin - 4:g}V{y - GROUP:g}"/>')
    return parts, y


def footer(environment: Mapping[str, object]) -> list[str]:
    """Lines that say when, on what and with which versions."""
    said = {name: str(value) for name, value in environment.items()}
    lines = [
        "values of 100 bytes, 10 gets to 1 set, one request in flight on each connection; one memcached behind all",
        f"medians of rounds, with the least and the most: {said.get('rounds', '?')}; {said.get('date', '?')[:10]}",
        f"mcproxy {said.get('mcproxy commit', '?')}, {said.get('mcproxy form', '?')}; {said.get('processor', '?')}",
        versions(said.get("versions", "")),
    ]
    return [escape(line) for line in lines if line]


def versions(text: str) -> str:
    """As in the environment, with the names that readers know."""
    programs = [program.rpartition(" ") for program in text.split(", ")]
    shown = {**SHOWN_NAMES, "direct": "memcached"}
    return ", ".join(f"{shown.get(name, name)} {version}" for name, _, version in programs if name != "memcached-sasl")


def draw(results: Sequence[Result], subject: str, environment: Mapping[str, object]) -> str | None:
    """The picture; None where there is nothing to compare at 8, 50 or 500 connections."""
    found = ratios(results, subject)
    spreads = [spread for bars in found.values() for spread in bars.values()]
    if not spreads:
        return None
    scale = (WIDTH - LEFT - RIGHT) / max(1.5, *(spread.most for spread in spreads))
    title = f"Requests per second of {subject}, as a multiple of each peer's"
    parts = [f'<text class="title" x="8" y="22">{escape(title)}</text>']
    even = LEFT + scale
    parts.append(f'<text class="note" x="{even:.1f}" y="44" text-anchor="middle">as fast as the peer</text>')
    top: float = 36
    for transport, heading in (("plain", "Plain TCP"), ("tls", "TLS 1.3")):
        if found[transport]:
            more, top = panel(heading, found[transport], top, scale)
            parts += more
    for line in footer(environment):
        top += 16
        parts.append(f'<text class="note" x="8" y="{top:g}">{line}</text>')
    body, height = "\n".join(parts), top + 12
    ground = f'<rect class="ground" width="{WIDTH}" height="{height:g}" rx="6"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" '
        f'role="img">\n<title>{escape(title)}</title>\n<style>{STYLE}\n</style>\n{ground}\n{body}\n</svg>\n'
    )
