"""How often the 95 % intervals hold the truth, over a grid of success rates.

python benchmarks/coverage.py [--runs 10000] [--clustered-runs 10000]
"""

import argparse
from collections.abc import Callable

from turnwise.evals.coverage import (
    GRID,
    clustered_coverage,
    peeking_coverage,
    sequence_coverage,
    stopped_coverage,
    wilson_coverage,
)


def row(name: str, n: int, cover: Callable[[float], float]) -> None:
    found = [cover(p) for p in GRID]
    cells = " ".join(f"{100 * one:5.1f}" for one in found)
    print(f"{name:34} {n:4} {cells}  {100 * sum(found) / len(found):6.2f} {100 * min(found):6.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--clustered-runs", type=int, default=10_000)
    asked = parser.parse_args()
    head = " ".join(f"p={p:3.1f}" for p in GRID)
    print(f"{'interval':34} {'n':>4} {head}  {'mean':>6} {'least':>6}")
    for n in (30, 100, 300):
        row("Wilson, 1 sample a task", n, lambda p, n=n: wilson_coverage(p, n, asked.runs))  # type: ignore[misc]
    for quantity, name in (("success", "Wilson, effective number"), ("score", "clustered t"), ("pass@2", "pass@2")):
        for n in (50, 100, 300):
            row(
                f"{name}, 3 samples a task",
                n,
                lambda p, n=n, q=quantity: clustered_coverage(p, n, asked.clustered_runs, quantity=q),  # type: ignore[misc]
            )
    for n in (30, 100, 300):
        row("sequence, at every moment", n, lambda p, n=n: sequence_coverage(p, n, asked.runs))  # type: ignore[misc]
    for n in (30, 100, 300):
        row("Wilson, looked at every moment", n, lambda p, n=n: peeking_coverage(p, n, asked.runs))  # type: ignore[misc]
    row("sequence, stopped at ±0.1", 600, lambda p: stopped_coverage(p, 0.1, 600, max(asked.runs // 50, 20))[0])


if __name__ == "__main__":
    main()
