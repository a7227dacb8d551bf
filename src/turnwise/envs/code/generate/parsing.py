"""Families that read texts: pairs, ranges, arithmetic with unusual rules."""

import random

from turnwise.envs.code.generate.draft import Draft, fill, lines

_FOLDS = {
    "sum": "the sum of its values",
    "largest": "its largest value",
    "smallest": "its smallest value",
    "last": "its last value",
    "first": "its first value",
    "count": "how many values it has",
}
_KEEPS = {
    "all": ("", "True"),
    "even": ("Odd values are ignored.", "value % 2 == 0"),
    "positive": ("Values of zero or less are ignored.", "value > 0"),
    "small": ("Values of more than 20 are ignored.", "value <= 20"),
}
_PAIRS = """
FOLDS = {
    "sum": sum,
    "largest": max,
    "smallest": min,
    "last": lambda values: values[-1],
    "first": lambda values: values[0],
    "count": len,
}


def read_pairs(text):
    groups = {}
    for part in text.split(@sep@):
        if @eq@ not in part:
            continue
        key, number = part.split(@eq@)
        value = int(number)
        if KEEP:
            groups.setdefault(key.strip(), []).append(value)
    return {key: FOLDS[@fold@](values) for key, values in groups.items()}
"""


def pairs(rng: random.Random) -> Draft:
    """Read "a=3;b=5;a=7" into one number per key."""
    sep, eq = rng.choice(";|,/&"), rng.choice("=:~>")
    fold, keep = rng.choice(sorted(_FOLDS)), rng.choice(sorted(_KEEPS))
    note, condition = _KEEPS[keep]

    def text(size: int) -> str:
        items = [f"{rng.choice(['a', 'b', 'c', 'kg', 'x1'])}{eq}{rng.randint(-9, 40)}" for _ in range(size)]
        return f"{sep} ".join(items) + (sep if size % 3 == 2 else "")

    return Draft(
        family="parsing",
        words=f"Write read_pairs(text). The text holds pairs like key{eq}number, separated by {sep!r}; keys can "
        f"repeat, "
        "spaces around a key do not count, and a part without a pair is skipped. Return a dictionary that gives for "
        "each "
        f"key {_FOLDS[fold]}. {note} A key without values is left out.".replace("  ", " "),
        entry="read_pairs",
        reference=fill(_PAIRS.replace("KEEP", condition), sep=sep, eq=eq, fold=fold),
        inputs=lines(rng, text),
        difficulty=1,
    )


_SHOWS = {
    "total": ("the sum of the different numbers", "sum(numbers)"),
    "count": ("how many different numbers there are", "len(numbers)"),
    "list": ("the different numbers in rising order, as a list", "numbers"),
    "gap": (
        "the largest difference between neighbours among the different numbers in rising order, or 0 if there are "
        "fewer "
        "than two",
        "max([b - a for a, b in zip(numbers, numbers[1:])], default=0)",
    ),
    "spread": (
        "the largest number minus the smallest, or 0 if there is none",
        "numbers[-1] - numbers[0] if numbers else 0",
    ),
    "odd": ("how many of the different numbers are odd", "sum(number % 2 for number in numbers)"),
}
_RANGES = """
def ranges(text):
    found = set()
    for part in text.split(@sep@):
        if not part.strip():
            continue
        low, mark, high = part.partition(@dash@)
        if mark:
            found.update(range(int(low), int(high) + @last@, @step@))
        else:
            found.add(int(low))
    numbers = sorted(found)
    return SHOW
"""


def ranges(rng: random.Random) -> Draft:
    """Read "1-3,7" into numbers."""
    sep, dash, closed = rng.choice(",;/|"), rng.choice(["-", "..", ":", "to"]), rng.random() < 0.5
    step, show = rng.choice((1, 1, 2, 3)), rng.choice(sorted(_SHOWS))
    words, expression = _SHOWS[show]

    def text(size: int) -> str:
        parts = []
        for _ in range(size):
            low = rng.randint(0, 40)
            parts.append(f"{low}{dash}{low + rng.randint(0, 9)}" if rng.random() < 0.6 else f"{low}")
        return sep.join(parts)

    end = "and includes both ends" if closed else "and stops before its second number"
    hops = f", taking every {'second' if step == 2 else 'third'} number from its first" if step > 1 else ""
    return Draft(
        family="parsing",
        words=f"Write ranges(text). The text lists whole numbers and ranges, separated by {sep!r}. A range is written "
        f"low{dash}high {end}{hops}. Return {words}. An empty text holds no numbers.",
        entry="ranges",
        reference=fill(_RANGES.replace("SHOW", expression), sep=sep, dash=dash, last=int(closed), step=step),
        inputs=lines(rng, text),
        difficulty=2,
        as_text=True,
    )


_OPERATORS = {
    "+": ("adds", "a + b"),
    "-": ("subtracts the right from the left", "a - b"),
    "*": ("multiplies", "a * b"),
    "^": ("takes the larger", "max(a, b)"),
    "_": ("takes the smaller", "min(a, b)"),
    "%": ("gives the left modulo 7 plus the right", "a % 7 + b"),
    "~": ("gives twice the left minus the right", "2 * a - b"),
}
_CALC = """
import re

LEVELS = @levels@


def apply(symbol, a, b):
    return {RULES}[symbol]


def calculate(text):
    items = re.findall(r"[0-9]+|[^0-9 ]", text)
    values = [int(item) if item.isdigit() else item for item in items]
    for level in LEVELS:
        done = []
        for item in values if @left@ else values[::-1]:
            if len(done) > 1 and not isinstance(item, str) and done[-1] in level:
                symbol = done.pop()
                other = done.pop()
                item = apply(symbol, other, item) if @left@ else apply(symbol, item, other)
            done.append(item)
        values = done if @left@ else done[::-1]
    return values[0] if values else 0
"""


def calculate(rng: random.Random) -> Draft:
    """Evaluate "3 + 4 ^ 2" by rules of its own."""
    symbols = rng.sample(sorted(_OPERATORS), 3)
    cut = rng.choice((1, 2))
    levels = ["".join(symbols[:cut]), "".join(symbols[cut:])]
    left = rng.random() < 0.5
    rules = ", ".join(f"{symbol!r}: {_OPERATORS[symbol][1]}" for symbol in symbols)

    def text(size: int) -> str:
        if size == 0:
            return ""
        return "".join(f" {rng.choice(symbols)} {rng.randint(0, 12)}" for _ in range(min(size, 8)))[3:]

    meaning = "; ".join(f"{symbol} {_OPERATORS[symbol][0]}" for symbol in symbols)
    first, second = (" and ".join(level) for level in levels)
    side = "left to right" if left else "right to left, the rightmost first"
    return Draft(
        family="parsing",
        words=f"Write calculate(text). The text is an expression of whole numbers and the operators "
        f"{', '.join(symbols)}, with spaces between them: {meaning}. First all of {first} are worked out, then "
        f"{second}; operators of the "
        f"same rank from {side}. Return the value, 0 for an empty text.",
        entry="calculate",
        reference=fill(_CALC.replace("RULES", rules), levels=levels, left=left),
        inputs=lines(rng, text),
        difficulty=3,
        as_text=True,
    )
