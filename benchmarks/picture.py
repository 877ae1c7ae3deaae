"""Results as one SVG: what a request costs each process, and how far each figure is from its goal.

Plain shapes and text, readable without a script or a font of our own, on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

from benchmarks.goals import Figure, Goal

WIDTH = 900
LABEL = 380  # pixels for the words on the left
ROW = 24
MOST = 2.0  # a bar that is further beyond its goal ends here, with its number beside it
COLOURS = {"appliance": "#2563eb", "agent": "#16a34a", "upstream": "#9ca3af", "client": "#d1d5db"}
OTHER_COLOUR = "#f59e0b"  # nginx as the proxy
GOOD, BAD = "#16a34a", "#dc2626"


def picture(goals: Sequence[tuple[Goal, Figure]], costs: Sequence[tuple[str, dict[str, float]]]) -> str:
    """Both panels, one below the other."""
    shapes: list[str] = []
    y = _costs(shapes, costs, 20)
    y = _goals(shapes, goals, y + 30)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" font-family="sans-serif" '
        f'font-size="13">\n<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(shapes) + "\n</svg>\n"
    )


def _costs(shapes: list[str], costs: Sequence[tuple[str, dict[str, float]]], y: int) -> int:
    if not costs:
        return y
    _text(shapes, 10, y, "CPU of one small GET, 64 connections, µs of each process", bold=True)
    scale = (WIDTH - LABEL - 60) / max(sum(parts.values()) for _, parts in costs)
    for name, parts in costs:
        y += ROW
        _text(shapes, 10, y, name)
        x = float(LABEL)
        for part, used in parts.items():
            _bar(shapes, x, y, used * scale, COLOURS.get(part, OTHER_COLOUR), f"{part} {used:.0f} µs")
            x += used * scale
        _text(shapes, int(x) + 6, y, f"{sum(parts.values()):.0f}")
    y += ROW
    x = float(LABEL)
    for part, colour in [*COLOURS.items(), ("nginx as proxy", OTHER_COLOUR)]:
        _bar(shapes, x, y, 10, colour, part)
        _text(shapes, int(x) + 14, y, part)
        x += 20 + 8 * len(part)
    return y


def _goals(shapes: list[str], goals: Iterable[tuple[Goal, Figure]], y: int) -> int:
    _text(shapes, 10, y, "Measured ÷ goal (the line); green: reached", bold=True)
    top = y + 8
    unit = (WIDTH - LABEL - 130) / MOST
    for goal, found in goals:
        y += ROW
        share = min(MOST, max(0.0, found.median / goal.bound))
        _text(shapes, 10, y, goal.what)
        _bar(shapes, LABEL, y, share * unit, GOOD if goal.reached(found.median) else BAD, found.words())
        _text(shapes, int(LABEL + share * unit) + 6, y, f"{found.words()}, goal {goal.words()}", small=True)
    x = LABEL + unit
    shapes.append(f'<line x1="{x:.0f}" y1="{top}" x2="{x:.0f}" y2="{y + 6}" stroke="#111827" stroke-dasharray="3 3"/>')
    return y


def _bar(shapes: list[str], x: float, y: int, width: float, colour: str, title: str) -> None:
    shapes.append(
        f'<rect x="{x:.1f}" y="{y - 12}" width="{max(width, 0.5):.1f}" height="15" fill="{colour}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _text(shapes: list[str], x: int, y: int, words: str, *, bold: bool = False, small: bool = False) -> None:
    style = ' font-weight="bold"' if bold else ' font-size="11"' if small else ""
    shapes.append(f'<text x="{x}" y="{y}" fill="#111827"{style}>{escape(words)}</text>')
