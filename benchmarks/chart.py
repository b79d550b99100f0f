"""Draw the results as an SVG bar chart."""

from xml.sax.saxutils import escape

from benchmarks.comparison import middle_half
from benchmarks.results import Results

ROW, BAR, LEFT, WIDTH = 44, 14, 110, 560
NEW, OLD, INK = "#2563eb", "#c7cdd8", "#1f2937"


def chart(now: Results, before: Results | None, name: str) -> str:
    """Return the chart of requests per second at speed 1, with quartiles. Bars of the earlier results are grey."""
    rates = [run.fair_rate for results in (now, before) if results for run in results.runs]
    scale = WIDTH / max(rates)
    size = f'width="{LEFT + WIDTH + 130}" height="{ROW * len(now.scenarios) + 50}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13" fill="{INK}">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22">Requests a second on one core{f", grey: {escape(name)}" if before else ""}</text>',
    ]
    for row, scenario in enumerate(now.scenarios):
        top = 36 + row * ROW
        parts.append(f'<text x="{LEFT - 10}" y="{top + 19}" text-anchor="end">{scenario}</text>')
        parts += _bar(now, scenario, top, scale, NEW)
        if before and before.of(scenario):
            parts += _bar(before, scenario, top + BAR + 2, scale, OLD)
    return "\n".join([*parts, "</svg>", ""])


def _bar(results: Results, scenario: str, top: int, scale: float, color: str) -> list[str]:
    low, high = middle_half([run.fair_rate for run in results.of(scenario)])
    middle = results.median(scenario, "fair_rate")
    at, line = LEFT + middle * scale, top + BAR / 2
    return [
        f'<rect x="{LEFT}" y="{top}" width="{middle * scale:.1f}" height="{BAR}" fill="{color}"/>',
        f'<path d="M{LEFT + low * scale:.1f} {line}H{LEFT + high * scale:.1f}" stroke="{INK}" stroke-width="2"/>',
        f'<text x="{max(at, LEFT + high * scale) + 6:.1f}" y="{top + 12}">{middle:,.0f}</text>',
    ]
