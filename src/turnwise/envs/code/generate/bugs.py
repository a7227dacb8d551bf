"""Small bugs, put into a program for someone to find."""

import ast
import random
from collections.abc import Callable, Iterator

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add}
_CALLS = {"min": "max", "max": "min", "sum": "len"}


def _changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARE:
        kind = _COMPARE[type(node.ops[0])]
        yield lambda: node.ops.__setitem__(0, kind())
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _ARITHMETIC:
        operator = _ARITHMETIC[type(node.op)]
        yield lambda: setattr(node, "op", operator())
    if isinstance(node, ast.Constant) and type(node.value) is int:
        value = node.value
        yield lambda: setattr(node, "value", value + 1)
    if isinstance(node, ast.Name) and node.id in _CALLS:
        name = _CALLS[node.id]
        yield lambda: setattr(node, "id", name)


def with_bug(source: str, rng: random.Random) -> str:
    """Return the program with one small thing changed, in Python's own layout."""
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    changes = [change for function in functions for node in ast.walk(function) for change in _changes(node)]
    if changes:
        rng.choice(changes)()
    return ast.unparse(tree) + "\n"
