"""Bars with their range, as SVG: one group a case, one bar a system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .results import Spread, digits

__all__ = ["Chart"]

COLOURS = {
    "native": "#2563eb",
    "portable": "#93c5fd",
    "haproxy": "#f59e0b",
    "envoy": "#a855f7",
    "direct": "#9ca3af",
}
WIDTH = 720
LEFT = 190
RIGHT = 110
BAR = 14
GAP = 3
SPACE = 16
"""Between two groups."""
TOP = 64
INK = "#1f2937"
PAPER = "#ffffff"


@dataclass(frozen=True, slots=True)
class Chart:
    """One figure of some cases."""

    title: str
    unit: str
    groups: Sequence[tuple[str, Mapping[str, Spread]]]
    """By case, in order: the values of each system."""

    def svg(self) -> str:
        """Draw it."""
        body = list(self._bars())
        heights = [len(bars) * (BAR + GAP) + SPACE for _, bars in self.groups]
        height = TOP + sum(heights)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
            f' height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">'
        )
        paper = f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>'
        title = text(16, 22, self.title, size=15, weight="600")
        return "\n".join([head, paper, title, *self._legend(), *body, "</svg>"]) + "\n"

    @property
    def systems(self) -> list[str]:
        """Those that have a bar anywhere."""
        return [name for name in COLOURS if any(name in bars for _, bars in self.groups)]

    def _legend(self) -> Iterator[str]:
        x = 16.0
        for name in self.systems:
            yield f'<rect x="{x:.0f}" y="34" width="10" height="10" fill="{COLOURS[name]}"/>'
            yield text(x + 14, 43, name)
            x += 34 + 7 * len(name)
        yield text(WIDTH - 16, 43, f"{self.unit}; the line is the range of the rounds", anchor="end")

    def _bars(self) -> Iterator[str]:
        largest = max((max(bar.values) for _, bars in self.groups for bar in bars.values()), default=1.0)
        scale = (WIDTH - LEFT - RIGHT) / largest
        y = float(TOP)
        for case, bars in self.groups:
            middle = y + len(bars) * (BAR + GAP) / 2 + 3
            yield text(LEFT - 10, middle, case, anchor="end")
            for name in self.systems:
                if (bar := bars.get(name)) is None:
                    continue
                right = LEFT + bar.median * scale
                yield (
                    f'<rect x="{LEFT}" y="{y:.1f}" width="{right - LEFT:.1f}" height="{BAR}"'
                    f' fill="{COLOURS[name]}"/>'
                )
                low, high = (LEFT + end * scale for end in (min(bar.values), max(bar.values)))
                across = y + BAR / 2
                yield (
                    f'<path d="M{low:.1f} {across:.1f}H{high:.1f}M{low:.1f} {y + 3:.1f}v{BAR - 6}'
                    f'M{high:.1f} {y + 3:.1f}v{BAR - 6}" stroke="{INK}"/>'
                )
                yield text(max(right, high) + 6, y + BAR - 3, digits(bar.median))
                y += BAR + GAP
            y += SPACE


def text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, weight: str = "400"
) -> str:
    """Return some words."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">'
        f"{escape(words)}</text>"
    )
