"""The picture: a bar for each peer, requests a second, with the rounds' spread and the CPU time beside it. SVG."""

from collections.abc import Sequence
from html import escape

from bench.report import Result

WIDTH, LEFT, RIGHT = 760, 110, 190
BAR, GAP, TITLE = 20, 8, 44
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.note { fill: #57606a; font-size: 12px }
.bar { fill: #9db4c8 }
.subject { fill: #1f6feb }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .bar { fill: #4d6275 } .spread { stroke: #e6edf3 }
}"""


def nice_number(value: float) -> str:
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:,.1f}k"


def panel(result: Result, subject: str | None, top: int, most: float) -> list[str]:
    """One scenario over one transport."""
    transport = "TLS" if result.transport == "tls" else "plain TCP"
    parts = [f'<text class="title" x="8" y="{top + 18}">{transport}</text>']
    parts.append(f'<text class="note" x="8" y="{top + 35}">{escape(str(result.scenario))}</text>')
    scale = (WIDTH - LEFT - RIGHT) / most
    for index, peer in enumerate(result.samples):
        y = top + TITLE + index * (BAR + GAP)
        rate, cpu = result.spread(peer, "requests_per_second"), result.spread(peer, "cpu_us")
        middle, style = y + BAR / 2, "subject" if peer == subject else "bar"
        least, most_here = LEFT + rate.least * scale, LEFT + rate.most * scale
        label = f"{nice_number(rate.median)}/s, {cpu.median:.1f} µs CPU each"
        parts.append(f'<text x="{LEFT - 8}" y="{middle + 4.5:g}" text-anchor="end">{escape(peer)}</text>')
        parts.append(
            f'<rect class="{style}" x="{LEFT}" y="{y}" width="{rate.median * scale:.1f}" height="{BAR}" rx="2"/>'
        )
        parts.append(f'<path class="spread" d="M{least:.1f} {middle:g}H{most_here:.1f}"/>')
        parts.append(f'<text class="note" x="{WIDTH - RIGHT + 10}" y="{middle + 4.5:g}">{label}</text>')
    return parts


def draw(results: Sequence[Result], subject: str | None) -> str:
    """The whole picture. Bars of all panels have one scale; "direct" is memcached without a proxy."""
    most = max(result.spread(peer, "requests_per_second").most for result in results for peer in result.samples)
    parts: list[str] = []
    top = 8
    for result in results:
        parts += panel(result, subject, top, most)
        top += TITLE + len(result.samples) * (BAR + GAP) + 16
    body = "\n".join(parts)
    title = "Requests per second, each proxy in front of the same memcached"
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n'
        f"<title>{title}</title>\n<style>{STYLE}\n</style>\n{body}\n</svg>\n"
    )
