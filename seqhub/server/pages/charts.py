"""Line charts as geometry for SVG: scales, ticks and points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 36
_TICKS: Final = 6

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """Curve of a chart.

    Args:
        name: Name in legends.
        style: Number of its colour and dashes.
        points: Values that are drawn.
        path: The points in the coordinates of the drawing, for the attribute `points`.
        hidden: Number of values that a logarithmic axis cannot show.
    """

    name: str
    style: int
    points: list[Point]
    path: str
    hidden: int = 0

    @property
    def xs(self) -> str:
        """Values on the x axis, separated by spaces."""
        return " ".join(f"{x:.6g}" for x, _ in self.points)

    @property
    def ys(self) -> str:
        """Values on the y axis, separated by spaces."""
        return " ".join(f"{y:.6g}" for _, y in self.points)


@dataclass(frozen=True, slots=True)
class Chart:
    """Chart of one metric."""

    title: str
    curves: list[Curve]
    x_ticks: list[tuple[float, str]]  # position and text
    y_ticks: list[tuple[float, str]]
    is_log: bool


def make_chart(title: str, given: Sequence[tuple[str, int, Sequence[Point]]], *, log: bool, max_points: int) -> Chart:
    """Return the chart of some curves.

    Args:
        title: Name of the metric.
        given: Name, style and points of each curve; points are finite.
        log: Whether the y axis is logarithmic; values of 0 or less are then omitted.
        max_points: Maximum number of points of a curve; of more, the extremes of sections are drawn.
    """
    shown = []
    for name, style, points in given:
        kept = [point for point in points if point[1] > 0] if log else list(points)
        shown.append((name, style, thinned(kept, max_points), len(points) - len(kept)))
    xs = [x for _, _, points, _ in shown for x, _ in points]
    ys = [y for _, _, points, _ in shown for _, y in points]
    low_x, high_x = _range(xs)
    low_y, high_y = _range([math.log10(y) for y in ys] if log else ys, margin=0.04)

    def place(point: Point) -> str:
        y = math.log10(point[1]) if log else point[1]
        return f"{_x(point[0], low_x, high_x):.1f},{_y(y, low_y, high_y):.1f}"

    curves = [Curve(name, style, points, " ".join(map(place, points)), hidden) for name, style, points, hidden in shown]
    x_ticks = [(_x(value, low_x, high_x), short(value)) for value in ticks(low_x, high_x)] if xs else []
    values = log_ticks(low_y, high_y) if log else ticks(low_y, high_y)
    y_ticks = [(_y(value, low_y, high_y), short(10**value if log else value)) for value in values] if ys else []
    return Chart(title, curves, x_ticks, y_ticks, log)


def thinned(points: list[Point], most: int) -> list[Point]:
    """Return at most `most` points: the lowest and the highest of each section, and the first and the last point.

    >>> thinned([(0, 1), (1, 5), (2, 0), (3, 2), (4, 2), (5, 2)], 4)
    [(0, 1), (1, 5), (2, 0), (5, 2)]
    """
    if len(points) <= most:
        return points
    sections = max(1, (most - 2) // 2)
    inner = points[1:-1]
    kept = [0]
    for number in range(sections):
        part = range(number * len(inner) // sections, (number + 1) * len(inner) // sections)
        if part:
            extremes = {min(part, key=lambda at: inner[at][1]), max(part, key=lambda at: inner[at][1])}
            kept += sorted(at + 1 for at in extremes)
    return [points[at] for at in [*kept, len(points) - 1]]


def ticks(low: float, high: float) -> list[float]:
    """Return round values between two values.

    >>> ticks(0, 1), ticks(3, 23000)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [5000.0, 10000.0, 15000.0, 20000.0])
    """
    span = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(span))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, min(last, first + 2 * _TICKS) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return logarithms of round values between two logarithms.

    >>> log_ticks(-2.5, 0.1)
    [-2.0, -1.0, 0.0]
    """
    first, last = math.ceil(low), math.floor(high)
    if last - first >= 1:
        every = max(1, (last - first) // _TICKS + 1)
        return [float(power) for power in range(first, last + 1, every)]
    return [math.log10(value) for value in ticks(10**low, 10**high) if value > 0]


def short(value: float) -> str:
    """Return a number for a tick or a table.

    >>> short(0.25), short(20000.0), short(3500000.0), short(1e-7), short(1e30)
    ('0.25', '20k', '3.5M', '1e-07', '1e+30')
    """
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if 10 * factor <= abs(value) < 1e9 or (unit == "M" and 1e6 <= abs(value) < 1e9):
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"


def _range(values: Sequence[float], margin: float = 0) -> tuple[float, float]:
    """Return the range of an axis, which is not empty."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        room = 0.05 * max(abs(low), abs(high)) or 1.0
        return low - room, high + room
    room = margin * (high - low)
    return low - room, high + room


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
