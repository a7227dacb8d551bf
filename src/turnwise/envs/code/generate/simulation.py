"""Families that play something through: a robot, an automaton, a scheduler."""

import random

from turnwise.envs.code.generate.draft import Draft, fill, lines

_EDGES = {
    "wrap": ("it comes in again on the other side", "x, y = x % @width@, y % @height@"),
    "stop": ("it stays where it is", "x, y = min(max(x, 0), @width@ - 1), min(max(y, 0), @height@ - 1)"),
    "home": (
        "it goes back to where it began",
        "x, y = (x, y) if 0 <= x < @width@ and 0 <= y < @height@ else (0, 0)",
    ),
}
_ENDS = {
    "place": ("its place at the end as a list [x, y]", "[x, y]"),
    "seen": ("how many different cells it has been on, the first included", "len(seen)"),
    "far": ("the largest x + y it has had", "max(a + b for a, b in seen)"),
    "turns": ("how many of its moves left it in the cell it was in", "idle"),
}
_ROBOT = """
MOVES = @moves@


def robot(moves):
    x, y = 0, 0
    seen = {(0, 0)}
    idle = 0
    for letter in moves:
        before = (x, y)
        dx, dy = MOVES.get(letter, (0, 0))
        x, y = x + dx, y + dy
        EDGE
        seen.add((x, y))
        idle += before == (x, y)
    return END
"""


def robot(rng: random.Random) -> Draft:
    """Walk on a grid whose edges do something."""
    width, height = rng.randint(2, 7), rng.randint(2, 7)
    letters = rng.choice(("NSEW", "UDRL", "AVCE"))
    edge, end = rng.choice(sorted(_EDGES)), rng.choice(sorted(_ENDS))
    moves = dict(zip(letters, ((0, 1), (0, -1), (1, 0), (-1, 0)), strict=True))
    north, south, east, west = tuple(letters)
    text = _ROBOT.replace("EDGE", _EDGES[edge][1]).replace("END", _ENDS[end][1])
    return Draft(
        family="simulation",
        words=f"Write robot(moves). A robot begins at x = 0, y = 0 on a grid of {width} columns (x from 0) and "
        f"{height} rows (y from 0). Each letter of the text moves it one cell: {north} raises y, {south} lowers it, "
        f"{east} raises x, {west} lowers it; other letters do nothing. Where a move would leave the grid, "
        f"{_EDGES[edge][0]}. Return "
        f"{_ENDS[end][0]}.",
        entry="robot",
        reference=fill(text, moves=moves, width=width, height=height),
        inputs=lines(rng, lambda size: "".join(rng.choice(letters * 6 + "x") for _ in range(3 * size))),
        difficulty=2,
        as_text=True,
    )


_AUTOMATON = """
def evolve(cells, steps):
    row = [int(cell) for cell in cells]
    for _ in range(steps):
        wide = [EDGE] + row + [OTHER]
        row = [@rule@ >> (4 * a + 2 * b + c) & 1 for a, b, c in zip(wide, wide[1:], wide[2:])]
    return RESULT
"""
_ROWS = {
    "row": ("the row after the last step, as such a text", '"".join(map(str, row))'),
    "ones": ("how many ones the row has after the last step", "sum(row)"),
    "changes": (
        "how many neighbours in the row after the last step differ",
        "sum(a != b for a, b in zip(row, row[1:]))",
    ),
}


def automaton(rng: random.Random) -> Draft:
    """A one-dimensional cellular automaton."""
    rule, wrap, show = rng.randint(1, 254), rng.random() < 0.5, rng.choice(sorted(_ROWS))
    edge, other = ("row[-1]", "row[0]") if wrap else ("0", "0")
    table = ", ".join(f"{number:03b} gives {rule >> number & 1}" for number in range(8))
    inputs = tuple(
        ("".join(rng.choice("01") for _ in range(size)), steps)
        for size, steps in [(1, 0), (3, 1), *((rng.randint(4, 20), rng.randint(1, 8)) for _ in range(9))]
    )
    outside = "the row is a ring" if wrap else "outside the row all cells are 0"
    return Draft(
        family="simulation",
        words="Write evolve(cells, steps). cells is a text of 0 and 1, at least one. In each step all cells change at "
        f"once: the left neighbour, the cell and the right neighbour decide the new cell: {table}; {outside}. Return "
        f"{_ROWS[show][0]}.",
        entry="evolve",
        reference=fill(
            _AUTOMATON.replace("EDGE", edge).replace("OTHER", other).replace("RESULT", _ROWS[show][1]), rule=rule
        ),
        inputs=inputs,
        difficulty=2,
    )


_SCHEDULER = """
from collections import deque


def schedule(jobs):
    waiting = deque(enumerate(jobs))
    clock = 0
    ended = {}
    while waiting:
        index, left = waiting.popleft()
        used = min(left, @quantum@)
        clock += used + (@cost@ if left > used else 0)
        if left > used:
            waiting.append((index, left - used))
        else:
            ended[index] = clock
    return RESULT
"""
_TIMES = {
    "times": ("the times at which the jobs end, in the order given", "[ended[index] for index in range(len(jobs))]"),
    "order": ("the indices of the jobs in the order in which they end", "list(ended)"),
    "late": (
        "how many jobs end later than five times their own length",
        "sum(ended[i] > 5 * jobs[i] for i in range(len(jobs)))",
    ),
    "waits": (
        "the sum over the jobs of the time at which each ends minus its length",
        "sum(ended.values()) - sum(jobs)",
    ),
}


def scheduler(rng: random.Random) -> Draft:
    """Round robin with a quantum and a cost of changing."""
    quantum, cost, show = rng.randint(1, 9), rng.randint(0, 5), rng.choice(sorted(_TIMES))
    return Draft(
        family="simulation",
        words=f"Write schedule(jobs). jobs lists the lengths of jobs in the order in which they wait, all at time 0. "
        f"The first waiting job runs for {quantum} units, or less if it ends before. A job that has not ended goes "
        f"to the "
        f"end of the queue, and that costs {cost} units of time before the next one runs. Return {_TIMES[show][0]}.",
        entry="schedule",
        reference=fill(_SCHEDULER.replace("RESULT", _TIMES[show][1]), quantum=quantum, cost=cost),
        inputs=lines(rng, lambda size: [rng.randint(1, 25) for _ in range(size)]),
        difficulty=3,
    )
