"""Families with better and worse answers: small enough that the best is known."""

import random

from turnwise.envs.code.generate.draft import Draft, fill

_EXACT = """
from itertools import combinations


def choose(items):
    best = (0, ())
    for count in range(1, min(@most@, len(items)) + 1):
        for chosen in combinations(range(len(items)), count):
            if sum(items[index][0] for index in chosen) <= @capacity@:
                best = max(best, (sum(items[index][1] for index in chosen), chosen), key=lambda entry: entry[0])
    return list(best[1])
"""
_KNAPSACK_SCORER = """
def value(args, result):
    (items,) = args
    if not isinstance(result, list) or not all(type(index) is int and 0 <= index < len(items) for index in result):
        return None
    if len(set(result)) != len(result) or len(result) > @most@:
        return None
    if sum(items[index][0] for index in result) > @capacity@:
        return None
    return sum(items[index][1] for index in result)


def base(args):
    (items,) = args
    load, taken, total = 0, 0, 0
    for weight, gain in items:
        if load + weight <= @capacity@ and taken < @most@:
            load, taken, total = load + weight, taken + 1, total + gain
    return total
"""


def knapsack(rng: random.Random) -> Draft:
    """Choose items of the largest value."""
    capacity, most = rng.randint(12, 60), rng.randint(2, 5)
    inputs = tuple(([[rng.randint(2, 20), rng.randint(1, 40)] for _ in range(size)],) for size in (5, 6, 7, 8, 9, 10))
    return Draft(
        family="optimisation",
        words="Write choose(items). items is a list of [weight, gain]. Return a list of different indices of items "
        "whose "
        f"weights sum to at most {capacity}, at most {most} of them, with a sum of gains as large as you can make it.",
        entry="choose",
        reference=fill(_EXACT, capacity=capacity, most=most),
        inputs=inputs,
        difficulty=3,
        scorer=fill(_KNAPSACK_SCORER, capacity=capacity, most=most),
    )


_ASSIGN = """
from itertools import product


def assign(jobs):
    best = None
    for places in product(range(@machines@), repeat=len(jobs)):
        loads = [@start@ * number for number in range(@machines@)]
        for job, place in zip(jobs, places):
            loads[place] += job
        if best is None or max(loads) < best[0]:
            best = (max(loads), list(places))
    return best[1]
"""
_ASSIGN_SCORER = """
def value(args, result):
    (jobs,) = args
    if not isinstance(result, list) or len(result) != len(jobs):
        return None
    if not all(type(place) is int and 0 <= place < @machines@ for place in result):
        return None
    loads = [@start@ * number for number in range(@machines@)]
    for job, place in zip(jobs, result):
        loads[place] += job
    return -max(loads)


def base(args):
    (jobs,) = args
    return -sum(jobs)
"""


def assignment(rng: random.Random) -> Draft:
    """Spread jobs over machines so that the last ends early."""
    machines, start = rng.choice((2, 3)), rng.randint(0, 12)
    sizes = (4, 5, 6, 7, 8) if machines == 2 else (4, 5, 6, 7)
    inputs = tuple(([rng.randint(1, 30) for _ in range(size)],) for size in sizes)
    busy = f"Machine 0 is free at once, each further machine {start} units later than the one before." if start else ""
    return Draft(
        family="optimisation",
        words=f"Write assign(jobs). jobs lists the lengths of jobs for {machines} machines, numbered from 0. {busy} "
        f"Return "
        "a list that gives for each job the number of its machine, so that the machine that ends last (busy or not) "
        "ends "
        "as early as you can make it.".replace("  ", " "),
        entry="assign",
        reference=fill(_ASSIGN, machines=machines, start=start),
        inputs=inputs,
        difficulty=3,
        scorer=fill(_ASSIGN_SCORER, machines=machines, start=start),
    )


_TOUR = """
from itertools import permutations


def length(points, order):
    steps = [*zip(order, order[1:])] + CLOSE
    return sum(abs(points[a][0] - points[b][0]) * @across@ + abs(points[a][1] - points[b][1]) * @up@ for a, b in steps)


def tour(points):
    rest = permutations(range(1, len(points)))
    return min(([0, *order] for order in rest), key=lambda order: length(points, order))
"""
_TOUR_SCORER = """
def length(points, order):
    steps = [*zip(order, order[1:])] + CLOSE
    return sum(abs(points[a][0] - points[b][0]) * @across@ + abs(points[a][1] - points[b][1]) * @up@ for a, b in steps)


def value(args, result):
    (points,) = args
    if not isinstance(result, list) or not all(type(index) is int for index in result):
        return None
    if sorted(result) != list(range(len(points))) or result[0] != 0:
        return None
    return -length(points, result)


def base(args):
    (points,) = args
    return -length(points, list(range(len(points)))) - 1
"""


def tour(rng: random.Random) -> Draft:
    """Visit points on a short way."""
    across, up, closed = rng.randint(1, 9), rng.randint(1, 9), rng.random() < 0.5
    close = "[(order[-1], order[0])]" if closed else "[]"
    inputs = tuple(([[rng.randint(0, 30), rng.randint(0, 30)] for _ in range(size)],) for size in (3, 4, 5, 6, 6, 7))
    end = "and goes back to point 0" if closed else "and ends at any point"
    return Draft(
        family="optimisation",
        words="Write tour(points). points is a list of different places [x, y]. Return a list of all their indices "
        "in the "
        f"order of a way that begins with point 0, visits every point once {end}, as short as you can make it. A step "
        f"between two points is {across} times their difference in x plus {up} times their difference in y long.",
        entry="tour",
        reference=fill(_TOUR.replace("CLOSE", close), across=across, up=up),
        inputs=inputs,
        difficulty=3,
        scorer=fill(_TOUR_SCORER.replace("CLOSE", close), across=across, up=up),
    )
