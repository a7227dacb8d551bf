"""Plots as inline SVG. Every text that enters is escaped; colours come from the page's style sheet by class."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from turnwise.evals.report.text import seen

WIDTH = 520
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 42
COLOURS = 6
"""Classes ``c0`` … of the style sheet; further series begin again."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point with its whiskers."""

    label: str
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    x: float = 0.0
    x_low: float | None = None
    x_high: float | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to pixels and chooses round ticks."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, kept inside the plot."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Return about so many round numbers between the ends."""
        step = _round_step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        return [round(step * i, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= rough * 0.999)


def scale_of(values: Sequence[float], start: float, end: float, *, zero: bool = True) -> Scale:
    """Return a scale that holds all values with a little room; constant values get some too."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    low = min(low, 0.0) if zero else low
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Scale(low if zero and low == 0 else low - room, high + room, start, end)


def short(value: float) -> str:
    """Write a tick's number: 1200 as 1.2k."""
    size = abs(value)
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}" if size >= 0.001 or value == 0 else f"{value:.1e}"


def percent(value: float) -> str:
    """Write a share of one."""
    return f"{value:.0%}"


def dots(series: Sequence[tuple[str, Sequence[Dot]]], *, x_title: str, y_title: str) -> Markup:
    """Draw shares by category, one colour a series, whiskers for intervals."""
    names = list(dict.fromkeys(dot.label for _, points in series for dot in points))
    height, y = 260, Scale(0, 1, 260 - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    body = [_y_axis(y, percent, height, y_title)]
    every = max(1, math.ceil(len(names) / 14))
    for index, name in enumerate(names[::every]):
        body.append(_text(LEFT + slot * (index * every + 0.5), height - BOTTOM + 16, _cut(name, 12), "tick middle"))
    for number, (title, points) in enumerate(series):
        shift = (number - (len(series) - 1) / 2) * min(14.0, slot / (len(series) + 1))
        for dot in points:
            centre = LEFT + slot * (names.index(dot.label) + 0.5) + shift
            body.append(_dot(dot, centre, y, number, f"{title} · {dot.label}: {dot.note}"))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, x_title, "axis middle"))
    return _svg(height, body, f"{y_title} by {x_title}")


def scatter(points: Sequence[Dot], *, x_title: str, y_title: str, frontier: bool = False) -> Markup:
    """Draw points with whiskers both ways; the frontier joins those that no other beats in both."""
    height, y = 280, Scale(0, 1, 280 - BOTTOM, TOP)
    ends = [end for dot in points for end in (dot.x, dot.x_low, dot.x_high) if end is not None]
    x = scale_of(ends, LEFT, WIDTH - RIGHT)
    body = [_y_axis(y, percent, height, y_title), _x_axis(x, height, x_title)]
    best = _frontier(points) if frontier else []
    if len(best) > 1:
        path = " ".join(f"{x(dot.x):.1f},{y(dot.y):.1f}" for dot in best)
        body.append(Markup('<polyline class="frontier" points="{}"/>').format(path))
    for index, dot in enumerate(points):
        # Dots of one run share its colour; on the frontier each dot is a run.
        number = index if frontier else 0
        if dot.x_low is not None and dot.x_high is not None:
            body.append(_line(x(dot.x_low), y(dot.y), x(dot.x_high), y(dot.y), f"whisker c{number % COLOURS}"))
        body.append(_dot(dot, x(dot.x), y, number, f"{dot.label}: {dot.note}"))
        if frontier:
            side = "end" if x(dot.x) > WIDTH * 0.7 else "start"
            offset = -9 if side == "end" else 9
            body.append(_text(x(dot.x) + offset, y(dot.y) - 7, _cut(dot.label, 28), f"label {side}"))
    return _svg(height, body, f"{y_title} against {x_title}")


def _frontier(points: Sequence[Dot]) -> list[Dot]:
    best: list[Dot] = []
    for dot in sorted(points, key=lambda one: (one.x, -one.y)):
        if not best or dot.y > best[-1].y:
            best.append(dot)
    return best


def histogram(bins: Sequence[tuple[str, int, int]], *, x_title: str) -> Markup:
    """Draw stacked counts: label, successes below, the rest above."""
    height = 240
    top = max((good + bad for _, good, bad in bins), default=1)
    y = Scale(0, top * 1.05, height - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / max(len(bins), 1)
    body = [_y_axis(y, short, height, "episodes")]
    every = max(1, math.ceil(len(bins) / 16))
    for index, (label, good, bad) in enumerate(bins):
        left, wide = LEFT + slot * index + slot * 0.08, slot * 0.84
        note = f"{label} {x_title}: {good} succeeded, {bad} did not"
        body.append(_bar(left, y(good), wide, y(0) - y(good), kind="good", note=note))
        body.append(_bar(left, y(good + bad), wide, y(good) - y(good + bad), kind="bad", note=note))
        if index % every == 0:
            body.append(_text(left + wide / 2, height - BOTTOM + 16, label, "tick middle"))
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, x_title, "axis middle"))
    return _svg(height, body, f"Histogram of {x_title}")


def lines(series: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, x_title: str, y_title: str) -> Markup:
    """Draw curves, one colour a series."""
    height = 220
    everything = [point for _, points in series for point in points]
    x = scale_of([point[0] for point in everything], LEFT, WIDTH - RIGHT, zero=False)
    y = scale_of([point[1] for point in everything], height - BOTTOM, TOP, zero=False)
    body = [_y_axis(y, short, height, y_title), _x_axis(x, height, x_title)]
    for number, (title, points) in enumerate(series):
        path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in points)
        body.append(
            Markup('<polyline class="curve c{}" points="{}"><title>{}</title></polyline>').format(
                number % COLOURS, path, seen(title)
            )
        )
        if len(points) == 1:
            body.append(_dot(Dot(title, points[0][1]), x(points[0][0]), y, number, title))
    return _svg(height, body, f"{y_title} by {x_title}")


def _y_axis(y: Scale, write: object, height: float, title: str) -> Markup:
    assert callable(write)
    parts = []
    for tick in y.ticks():
        parts.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "grid"))
        parts.append(_text(LEFT - 8, y(tick) + 4, write(tick), "tick end"))
    middle = (TOP + height - BOTTOM) / 2
    parts.append(
        Markup('<text class="axis middle" transform="translate(12 {:.0f}) rotate(-90)">{}</text>').format(
            middle, seen(title)
        )
    )
    return Markup("").join(parts)


def _x_axis(x: Scale, height: float, title: str) -> Markup:
    parts = [_text(x(tick), height - BOTTOM + 16, short(tick), "tick middle") for tick in x.ticks()]
    parts.append(_line(LEFT, height - BOTTOM, WIDTH - RIGHT, height - BOTTOM, "base"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, title, "axis middle"))
    return Markup("").join(parts)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _dot(dot: Dot, centre: float, y: Scale, number: int, note: str) -> Markup:
    whisker = Markup("")
    if dot.low is not None and dot.high is not None:
        whisker = _line(centre, y(dot.low), centre, y(dot.high), f"whisker c{number % COLOURS}")
    return whisker + Markup(
        '<circle class="dot c{}" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>'
    ).format(number % COLOURS, centre, y(dot.y), seen(note))


def _bar(left: float, top: float, width: float, height: float, *, kind: str, note: str) -> Markup:
    return Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    ).format(kind, left, top, width, max(height, 0.0), seen(note))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, seen(text))


def _svg(height: float, body: Sequence[Markup], title: str) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, escape(seen(title)))
    return head + Markup("").join(body) + Markup("</svg>")
