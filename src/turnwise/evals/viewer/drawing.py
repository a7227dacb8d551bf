"""Where things lie on a page: the graph a group's states form, the time line of an episode, training curves.

Only geometry is made here; the templates draw it, and escape every text in it.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from turnwise.trajectories.records import Turn
from turnwise.trajectories.tables import MetricRow

COLUMN, ROW, RADIUS = 150, 64, 16


@dataclass
class Node:
    """A state."""

    key: str
    depth: int
    x: float = 0.0
    y: float = 0.0
    visits: int = 0
    wins: int = 0
    label: str = ""
    end: bool = False

    @property
    def rate(self) -> float:
        """Share of the episodes through it that succeed."""
        return self.wins / self.visits if self.visits else 0.0

    @property
    def shade(self) -> int:
        """0 (no success) to 4 (all)."""
        return round(self.rate * 4)


@dataclass
class Edge:
    """A step from one state to another."""

    start: Node
    end: Node
    label: str
    visits: int = 0
    wins: int = 0

    @property
    def rate(self) -> float:
        """Share of the episodes that took it and succeed."""
        return self.wins / self.visits if self.visits else 0.0

    @property
    def shade(self) -> int:
        """0 (no success) to 4 (all)."""
        return round(self.rate * 4)

    @property
    def path(self) -> str:
        """The curve from state to state; a step that leads nowhere is a loop."""
        a, b = self.start, self.end
        if a is b:
            return f"M {a.x - 6:.0f} {a.y - RADIUS:.0f} c -22 -34 34 -34 12 0"
        bend = (b.x - a.x) / 2 if b.x > a.x else 60
        sign = 1 if b.x > a.x else -1
        ax, bx = a.x + sign * RADIUS, b.x - sign * RADIUS
        lift = 0 if b.x > a.x else -ROW * 0.7
        towards = f"{ax + bend:.0f} {a.y + lift:.0f} {bx - bend:.0f} {b.y + lift:.0f}"
        return f"M {ax:.0f} {a.y:.0f} C {towards} {bx:.0f} {b.y:.0f}"


@dataclass
class Graph:
    """The states of a group and the steps between them."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    hidden: int = 0
    """States left out because there are too many to read."""


def state_graph(episodes: Sequence[tuple[bool, Sequence[Turn]]], most: int = 80) -> Graph:
    """Lay out the graph of a group: a state's column is how soon it can be reached, its row how often it is.

    Args:
        episodes: For each, whether it succeeded, and its turns.
        most: States to draw; the rarest are left out.
    """
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str, str], Edge] = {}
    for won, turns in episodes:
        seen: set[str] = set()
        for turn in turns:
            start = _node(nodes, turn.state_key or f"?{turn.index}", turn.index)
            end = _node(nodes, turn.next_state_key or f"?{turn.index + 1}", turn.index + 1)
            end.end = end.end or turn.terminated or turn.truncated
            label = turn.calls[0].name if turn.calls else "says"
            edge = edges.setdefault((start.key, end.key, label), Edge(start, end, label))
            edge.visits += 1
            edge.wins += won
            seen |= {start.key, end.key}
        for key in seen:
            nodes[key].visits += 1
            nodes[key].wins += won
    return _laid_out(nodes, list(edges.values()), most)


def _node(nodes: dict[str, Node], key: str, depth: int) -> Node:
    node = nodes.setdefault(key, Node(key, depth))
    node.depth = min(node.depth, depth)
    return node


def _laid_out(nodes: dict[str, Node], edges: list[Edge], most: int) -> Graph:
    kept = sorted(nodes.values(), key=lambda node: (-node.visits, node.depth, node.key))[:most]
    columns: dict[int, list[Node]] = defaultdict(list)
    for node in kept:
        columns[node.depth].append(node)
    for place, depth in enumerate(sorted(columns)):
        column = sorted(columns[depth], key=lambda node: (-node.rate, -node.visits, node.key))
        for row, node in enumerate(column):
            node.x, node.y = 40 + place * COLUMN, 56 + row * ROW
            node.label = f"{node.visits}"
    shown = {node.key for node in kept}
    tallest = max((len(column) for column in columns.values()), default=0)
    return Graph(
        nodes=kept,
        edges=[edge for edge in edges if edge.start.key in shown and edge.end.key in shown],
        width=80 + max(len(columns) - 1, 0) * COLUMN,
        height=80 + tallest * ROW,
        hidden=len(nodes) - len(kept),
    )


@dataclass(frozen=True)
class Bar:
    """A stretch of time in an episode."""

    kind: str
    x: float
    width: float
    y: int
    turn: int
    seconds: float


def timeline(turns: Sequence[Turn], width: float = 860.0) -> tuple[list[Bar], float]:
    """Lay out waiting, generation and execution of each turn; return the bars and the seconds they span."""
    bars: list[tuple[str, float, float, int]] = []
    clock = 0.0
    for turn in turns:
        times = turn.timings
        pieces = {
            "queue": (times.model_queue_s or 0.0) + (times.env_queue_s or 0.0),
            "generation": max((times.generation_s or 0.0) - (times.model_queue_s or 0.0), 0.0),
            "execution": times.exec_s or 0.0,
        }
        for kind, seconds in pieces.items():
            if seconds > 0:
                bars.append((kind, clock, seconds, turn.index))
                clock += seconds
    scale = width / clock if clock else 0.0
    rows = {"queue": 0, "generation": 1, "execution": 2}
    made = [Bar(kind, start * scale, max(s * scale, 0.75), rows[kind] * 18, turn, s) for kind, start, s, turn in bars]
    return made, clock


@dataclass(frozen=True)
class Curve:
    """A training metric over the steps."""

    name: str
    points: str
    low: float
    high: float
    last: float
    first_step: int
    last_step: int


def curves(rows: Sequence[MetricRow], width: float = 300.0, height: float = 110.0) -> list[Curve]:
    """Lay out one curve per metric; a value that is no number leaves a gap."""
    series: dict[str, list[MetricRow]] = defaultdict(list)
    for row in rows:
        if math.isfinite(row.value):
            series[row.name].append(row)
    return [_curve(name, values, width, height) for name, values in sorted(series.items())]


def _curve(name: str, rows: list[MetricRow], width: float, height: float) -> Curve:
    steps, values = [row.step for row in rows], [row.value for row in rows]
    low, high, span = min(values), max(values), max(steps) - min(steps) or 1
    rise = high - low or 1.0
    stride = max(len(rows) // 600, 1)
    points = [
        f"{(row.step - steps[0]) / span * width:.1f},{height - (row.value - low) / rise * height:.1f}"
        for row in [*rows[:-1:stride], rows[-1]]
    ]
    return Curve(name, " ".join(points), low, high, values[-1], steps[0], steps[-1])


def first_difference(one: Sequence[Turn], other: Sequence[Turn]) -> int:
    """Return the index of the first turn in which two episodes differ, in what was done or what came back."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a.action_key != b.action_key or a.text != b.text or a.observation != b.observation:
            return index
    return min(len(one), len(other))


def advantage_class(value: float | None, largest: float) -> str:
    """Name the colour of an advantage: ``neg4`` … ``zero`` … ``pos4``, by its share of the largest in the episode."""
    if value is None or largest == 0 or abs(value) < largest * 0.02:
        return "zero"
    return f"{'pos' if value > 0 else 'neg'}{min(4, max(1, math.ceil(abs(value) / largest * 4)))}"
