"""Families that work on records: filter, group, join, order."""

import random
from typing import Any

from turnwise.envs.code.generate.draft import Draft, fill, lines

_VALUES: dict[str, list[Any]] = {
    "team": ["red", "blue", "green"],
    "city": ["Bern", "Oslo", "Quito", "Lagos"],
    "year": [2019, 2020, 2021, 2022],
}
_FILTERS = {
    "none": ("", "True"),
    "points": ("Records of fewer than 10 points do not count.", 'row["points"] >= 10'),
    "year": ("Records of years before 2021 do not count.", 'row["year"] >= 2021'),
    "city": ("Records of Oslo do not count.", 'row["city"] != "Oslo"'),
    "paid": ("Only paid records count.", 'row["paid"]'),
    "long": ("Records whose name has more than four letters do not count.", 'len(row["name"]) <= 4'),
}
_AGGREGATES = {
    "sum": ("the sum of their points", 'sum(row["points"] for row in group)'),
    "best": ("their largest points", 'max(row["points"] for row in group)'),
    "count": ("how many they are", "len(group)"),
    "names": ("how many different names they have", 'len({row["name"] for row in group})'),
    "spread": (
        "their largest points minus their smallest",
        'max(row["points"] for row in group) - min(row["points"] for row in group)',
    ),
}
_REPORT = """
def report(rows):
    groups = {}
    for row in rows:
        if FILTER:
            groups.setdefault(row[@by@], []).append(row)
    table = [[key, AGGREGATE] for key, group in groups.items()]
    table.sort(key=lambda item: (@sign@ * item[1], item[0]))
    return table[:@top@]
"""


def _row(rng: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {field: rng.choice(values) for field, values in _VALUES.items()}
    names = ["Ana", "Bo", "Chidi", "Dora", "Emil"]
    return {"name": rng.choice(names), **row, "points": rng.randint(0, 30), "paid": rng.random() < 0.5}


def report(rng: random.Random) -> Draft:
    """Filter, group, aggregate, order, cut."""
    by, keep = rng.choice(sorted(_VALUES)), rng.choice(sorted(_FILTERS))
    aggregate, rising, top = rng.choice(sorted(_AGGREGATES)), rng.random() < 0.5, rng.randint(1, 4)
    text = _REPORT.replace("FILTER", _FILTERS[keep][1]).replace("AGGREGATE", _AGGREGATES[aggregate][1])
    return Draft(
        family="wrangling",
        words="Write report(rows). rows is a list of dictionaries with name, team, city (texts), year, points (whole "
        f"numbers) and paid (a truth value). {_FILTERS[keep][0]} Group the records by {by} and find for each group "
        f"{_AGGREGATES[aggregate][0]}. Return a list of [{by}, number], {'smallest' if rising else 'largest'} number "
        f"first, equal numbers by rising {by}, and at most {top} of them.".replace("  ", " "),
        entry="report",
        reference=fill(text, by=by, sign=1 if rising else -1, top=top),
        inputs=lines(rng, lambda size: [_row(rng) for _ in range(2 * size)]),
        difficulty=2,
    )


_JOIN = """
def join(orders, customers):
    regions = {customer["id"]: customer["region"] for customer in customers}
    totals = {}
    for order in orders:
        region = regions.get(order["customer"])
        if region is None:
            MISSING
        if order["amount"] > @least@:
            totals[region] = totals.get(region, 0) + GAIN
    return RESULT
"""
_MISSING = {
    "skip": ("Orders of unknown customers do not count.", "continue"),
    "other": ('Orders of unknown customers count for the region "other".', 'region = "other"'),
}
_GAINS = {
    "amount": ("the sum of the amounts", 'order["amount"]'),
    "count": ("the number of orders", "1"),
    "over": ("the sum of what each amount exceeds {least} by", 'order["amount"] - @least@'),
}
_RESULTS = {
    "table": ("a dictionary from region to {what}", "totals"),
    "best": (
        "the region with the largest {what} (of equals the first in the alphabet), or None if there is none",
        "min(totals, key=lambda region: (-totals[region], region), default=None)",
    ),
    "ranked": (
        "the regions as a list, by falling {what} and equals by the alphabet",
        "sorted(totals, key=lambda region: (-totals[region], region))",
    ),
}


def join(rng: random.Random) -> Draft:
    """Match orders with customers and sum up by region."""
    least, missing = rng.randint(0, 30), rng.choice(sorted(_MISSING))
    gain, show = rng.choice(sorted(_GAINS)), rng.choice(sorted(_RESULTS))
    text = _JOIN.replace("MISSING", _MISSING[missing][1]).replace("GAIN", _GAINS[gain][1])

    def pair(size: int) -> tuple[Any, ...]:
        orders = [{"customer": rng.randint(1, 7), "amount": rng.randint(0, 60)} for _ in range(2 * size)]
        ids = rng.sample(range(1, 8), min(size, 6))
        return orders, [{"id": number, "region": rng.choice(["north", "south", "east"])} for number in ids]

    what = _GAINS[gain][0].format(least=least).removeprefix("the ")
    return Draft(
        family="wrangling",
        words="Write join(orders, customers). orders is a list of dictionaries with customer and amount, customers one "
        f"of dictionaries with id and region. Orders of an amount of {least} or less do not count. "
        f"{_MISSING[missing][0]} "
        f"Return {_RESULTS[show][0].format(what=what)}, taken over the orders of each region that count.",
        entry="join",
        reference=fill(text.replace("RESULT", _RESULTS[show][1]), least=least),
        inputs=tuple(pair(args[0]) for args in lines(rng, lambda size: size)),
        difficulty=2,
    )
