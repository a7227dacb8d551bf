"""Where things lie on a page: the graph a group's states form, the time line of an episode, training curves.

Only geometry is made here; the templates draw it, and escape every text in it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from turnwise.trajectories.records import Turn
from turnwise.trajectories.tables import MetricRow

COLUMN, ROW, RADIUS = 172, 64, 16


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
    lift: float = 0.0
    """How far it bends away from the straight line, so that it passes others and the states between its ends."""
    label_at: float = 0.5
    """Where along it the label stands: towards the end where many leave one state, else towards the beginning."""

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
        (ax, ay), *towards, (bx, by) = self._controls()
        between = " ".join(f"{x:.0f} {y:.0f}" for x, y in towards)
        return f"M {ax:.0f} {ay:.0f} C {between} {bx:.0f} {by:.0f}"

    @property
    def label_place(self) -> tuple[float, float]:
        """The point of the curve at which the label stands."""
        t = self.label_at
        shares = ((1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3)
        x, y = (
            sum(share * point[axis] for share, point in zip(shares, self._controls(), strict=True)) for axis in (0, 1)
        )
        return x, y - 5

    def _controls(self) -> tuple[tuple[float, float], ...]:
        a, b, ahead = self.start, self.end, self.end.x > self.start.x
        ax, bx = (a.x + RADIUS, b.x - RADIUS) if ahead else (a.x - RADIUS, b.x + RADIUS)
        bend = (b.x - a.x) / 2 if ahead else 60
        return (ax, a.y), (ax + bend, a.y + self.lift), (bx - bend, b.y + self.lift), (bx, b.y)


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
            node.x, node.y = 40 + place * COLUMN, 60 + row * ROW
            node.label = f"{node.visits}"
    shown = {node.key for node in kept}
    edges = [edge for edge in edges if edge.start.key in shown and edge.end.key in shown]
    _part(edges)
    top = max((-0.75 * edge.lift - edge.start.y + 24 for edge in edges), default=0.0)
    for node in kept:
        node.y += max(top, 0.0)
    return Graph(
        nodes=kept,
        edges=edges,
        width=80 + max(len(columns) - 1, 0) * COLUMN,
        height=max((node.y for node in kept), default=0.0) + 40,
        hidden=len(nodes) - len(kept),
    )


def _part(edges: list[Edge]) -> None:
    """Bend steps apart that would lie on each other, and around the states between their ends."""
    lanes: Counter[frozenset[str]] = Counter()
    leaving, arriving = Counter(e.start.key for e in edges), Counter(e.end.key for e in edges)
    for edge in edges:
        pair = frozenset((edge.start.key, edge.end.key))
        columns, level = abs(edge.end.x - edge.start.x) / COLUMN, edge.start.y == edge.end.y
        edge.lift = -44.0 * lanes[pair] - (26.0 + 14.0 * columns if level and columns > 1 else 0.0)
        if edge.end.x <= edge.start.x:
            edge.lift -= ROW * 0.7
        lanes[pair] += edge.start is not edge.end
        edge.label_at = 0.66 if leaving[edge.start.key] > 2 else 0.34 if arriving[edge.end.key] > 2 else 0.5


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
