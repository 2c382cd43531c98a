"""Draw the ratios: `python -m tests.bench.chart` makes `results/chart.svg` from the results beside it."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from tests.bench.results import RESULTS

CHART: Final = RESULTS / "chart.svg"
WIDTH, LEFT, RIGHT = 760, 300, 60
ROW, BAR, TOP = 44, 16, 46
LIGHT: Final = {"text": "#24292f", "small": "#656d76", "ours": "#1f6feb", "peer": "#afb8c1", "promise": "#cf222e"}
DARK: Final = {"text": "#e6edf3", "small": "#9198a1", "ours": "#4493f8", "peer": "#57606a", "promise": "#f85149"}


def chart(results: Sequence[dict[str, Any]]) -> str:
    """Return an SVG with a row for each result that is to be more than a peer's: how many times the peer's throughput ours is, and what was promised."""
    rows = [result for result in results if "ratio" in result and result["sense"] == "at least"]
    widest = max((max(row["ratio"], row["bar"]) for row in rows), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / widest
    height = TOP + ROW * len(rows) + 8
    title = "Throughput, times the peer's, in the same run on the same machine"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">',
        f"<style>text{{font:13px system-ui,sans-serif}}.small{{font-size:11px}}.promise{{stroke-width:2}}{_colours(LIGHT)}",
        f"@media(prefers-color-scheme:dark){{{_colours(DARK)}}}</style>",
        f'<text x="8" y="20">{title}</text>',
        '<text class="small" x="8" y="36">blue: ours; grey: the peer, 1 x; red line: what is promised</text>',
        *(_row(row, TOP + ROW * number, scale) for number, row in enumerate(rows)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _colours(of: Mapping[str, str]) -> str:
    fills = "".join(f".{name}{{fill:{of[name]}}}" for name in ("small", "ours", "peer"))
    return f"text{{fill:{of['text']}}}{fills}.promise{{stroke:{of['promise']}}}"


def _row(result: dict[str, Any], top: int, scale: float) -> str:
    peer, ratio, promise = result["peer"]["name"], result["ratio"], LEFT + result["bar"] * scale
    what, _, _ = result["what"].partition(",")
    return "\n".join(
        (
            f'<text x="8" y="{top + 15}">{escape(what)}</text>',
            f'<text class="small" x="8" y="{top + 30}">against {escape(peer)}</text>',
            f'<rect class="ours" x="{LEFT}" y="{top + 3}" width="{ratio * scale:.1f}" height="{BAR}" rx="2"/>',
            f'<rect class="peer" x="{LEFT}" y="{top + 5 + BAR}" width="{scale:.1f}" height="{BAR // 2}" rx="2"/>',
            f'<line class="promise" x1="{promise:.1f}" x2="{promise:.1f}" y1="{top}" y2="{top + 2 * BAR - 2}"/>',
            f'<text x="{LEFT + max(ratio, result["bar"]) * scale + 8:.1f}" y="{top + 16}">{ratio:.1f} x</text>',
        )
    )


def draw(folder: Path = RESULTS) -> None:
    """Read the results of a folder and write the chart beside them."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    (folder / CHART.name).write_text(chart(results))


if __name__ == "__main__":
    draw()
