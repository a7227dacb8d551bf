"""The learning demo, repeated: ``recipes/cpu-demo.yaml``, and GRPO beside it from the same start.

    python benchmarks/train_demo.py run runs/demo --seeds 0 1 2      train, then report
    python benchmarks/train_demo.py report runs/demo                 report on finished runs only
    python benchmarks/train_demo.py report runs/demo --plot demo.svg

A seed decides the small model's first weights and the order of data and of training tasks; the tasks are the same for
all. For each seed the recipe runs as it stands; every other method then starts from that run's supervised model (with
``--start FOLDER`` all but the first run of all start from one model), with as many steps, tasks and episodes a task, so
that both sample about the same number of tokens (printed). Gains are paired by task of the held-out panel, from the
evaluation before the first step to the one after the last; the interval of the pooled gain is clustered by task.
Seconds are of this machine and of whatever else it does.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from turnwise.evals.intervals import Interval, mean, proportion
from turnwise.evals.metrics import measure
from turnwise.trajectories import Store
from turnwise.trajectories.tables import EpisodeRow

RECIPE = Path(__file__).parent.parent / "recipes" / "cpu-demo.yaml"
NAME = "cpu-demo"
TURN = "turn_rloo"
Curve = dict[int, list[EpisodeRow]]
COLOURS = {TURN: "#0072b2", "grpo": "#d55e00"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=[TURN, "grpo"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the recipe")
    parser.add_argument("--start", type=Path, help="a supervised model that runs start from")
    parser.add_argument("--plot", type=Path, help="where the learning curves are drawn")
    given = parser.parse_args()
    if given.what == "run":
        for seed in given.seeds:
            for method in given.methods:
                train(given.folder, method, seed, given.start, given.set)
    report(given.folder, given.methods, given.seeds, given.plot)


def train(folder: Path, method: str, seed: int, start: Path | None, overrides: list[str]) -> None:
    """Train one method with one seed, unless its folder holds a finished run."""
    root = folder / f"{method}-{seed}"
    if (root / "seconds.json").exists():
        return
    settings = [f"seed={seed}", f"rl.credit.method={method}", *overrides]
    if start is None and method == TURN:
        settings.append(f"model.tiny.seed={seed}")
    else:
        given = start or folder / f"{TURN}-{seed}" / "sft"
        settings += ["model.tiny=null", f"model.path={given.resolve()}", "sft=null"]
    command = [sys.executable, "-m", "turnwise.cli", "train", str(RECIPE), "--output", str(root)]
    if begun := (root / "recipe.json").exists():
        command.append("--resume")
    began = time.monotonic()
    subprocess.run([*command, *(word for each in settings for word in ("--set", each))], check=True)
    (root / "seconds.json").write_text(json.dumps(None if begun else time.monotonic() - began), encoding="utf-8")


def report(folder: Path, methods: list[str], seeds: list[int], plot: Path | None) -> None:
    """Print what each run and each method reached, and draw the curves."""
    curves: dict[str, list[Curve]] = {}
    print("| run | success before | success after | invalid before | gain | sampled tokens | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for method in methods:
        for root in (folder / f"{method}-{seed}" for seed in seeds):
            if (root / "seconds.json").exists():
                curves.setdefault(method, []).append(row(root))
    print()
    for method, found in curves.items():
        told = shown(pooled(found))
        print(f"{method}: gain pooled over {len(found)} seeds {told}")
    if plot is not None:
        plot.write_text(svg(curves), encoding="utf-8")
        print(f"curves: {plot}")


def row(root: Path) -> Curve:
    """Print one run and return the evaluations it made, by step."""
    with Store.open(root / "episodes.db") as store:
        prefix = f"{NAME}-eval-"
        runs = [str(each["run"]) for each in store.query("SELECT DISTINCT run FROM episodes")]
        names = [run for run in runs if run.startswith(prefix)]
        curve = {int(name.removeprefix(prefix)): list(store.rows(name)) for name in names}
        sampled = sum(each.completion_tokens for each in store.rows(NAME))
    before, after = curve[min(curve)], curve[max(curve)]
    seconds = json.loads((root / "seconds.json").read_text(encoding="utf-8"))
    took = "resumed" if seconds is None else f"{seconds:.0f}"
    cells = [root.name, *(shown(success(rows)) for rows in (before, after)), f"{invalid(before):.1%}"]
    print(f"| {' | '.join(cells)} | {shown(pooled([curve]))} | {sampled:,} | {took} |")
    return curve


def success(rows: list[EpisodeRow]) -> Interval:
    """Return the success rate with its Wilson interval."""
    scored = [each for each in rows if each.scored]
    return proportion([bool(each.success) for each in scored], [each.task_key for each in scored])


def invalid(rows: list[EpisodeRow]) -> float:
    """Return the share of turns whose call was wrong or could not be read."""
    measured = measure(rows)
    unread = measured.stop_reasons.get("unparsable", 0)
    return (measured.invalid.turns + unread) / (sum(each.n_turns for each in rows if each.scored) or 1)


def pooled(curves: list[Curve]) -> Interval:
    """Return the mean gain from the first to the last evaluation, paired by task and seed, clustered by task."""
    gains: list[float] = []
    tasks: list[str] = []
    for curve in curves:
        first = {each.task_key: float(bool(each.success)) for each in curve[min(curve)] if each.scored}
        later = {each.task_key: float(bool(each.success)) for each in curve[max(curve)] if each.scored}
        both = sorted(first.keys() & later.keys())
        gains += [later[key] - first[key] for key in both]
        tasks += both
    return mean(gains, tasks)


def shown(interval: Interval) -> str:
    """Write a mean with its interval."""
    if interval.mean is None or interval.low is None or interval.high is None:
        return "-"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


WIDTH, HEIGHT, LEFT, TOP = 560, 300, 70, 90


def svg(curves: dict[str, list[Curve]]) -> str:
    """Draw held-out success by training step, pooled over seeds, with 95 % intervals; each seed as a thin line."""
    last = max(step for found in curves.values() for curve in found for step in curve) or 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{TOP + HEIGHT + 60}" '
        'font-family="system-ui, \'DejaVu Sans\', sans-serif" role="img" aria-label="Learning curves">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="24" y="34" font-size="18" font-weight="600" fill="#1b1f24">The CPU demo learns to query</text>',
        '<text x="24" y="54" font-size="12" fill="#57606a">Success on the held-out panel, 95 % intervals; '
        "thin lines are single seeds.</text>",
    ]
    for tick in range(6):
        y = TOP + HEIGHT * (1 - tick / 5)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="#eaeef2"/>')
        parts.append(label(LEFT - 8, y + 4, f"{tick / 5:.1f}", "end"))
    steps = sorted({step for found in curves.values() for curve in found for step in curve})
    parts += [label(across(step, last), TOP + HEIGHT + 18, str(step), "middle") for step in steps]
    parts.append(label(LEFT + WIDTH / 2, TOP + HEIGHT + 40, "training step", "middle"))
    for place, (method, found) in enumerate(curves.items()):
        parts += lines(method, found, last, place)
    return "\n".join([*parts, "</svg>\n"])


def lines(method: str, found: list[Curve], last: int, place: int) -> list[str]:
    """Draw one method: seeds, pooled curve, intervals, and its entry in the legend."""
    colour = COLOURS.get(method, "#009e73")
    drawn = [
        polyline([(step, success(curve[step]).mean) for step in sorted(curve)], last, colour, 1) for curve in found
    ]
    shared = sorted(set.intersection(*(set(curve) for curve in found)))
    together = {step: success([each for curve in found for each in curve[step]]) for step in shared}
    drawn.append(polyline([(step, each.mean) for step, each in together.items()], last, colour, 3))
    for step, each in together.items():
        # Methods are set apart by a few points, so that their intervals can be read.
        x, low, high = across(step, last) + 6 * place - 3, down(each.low or 0), down(each.high or 0)
        drawn.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}"/>')
    x, y = LEFT + 150 * place, TOP - 16
    drawn.append(f'<line x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>')
    drawn.append(label(x + 28, y + 4, f"{method} ({len(found)} seeds)", "start"))
    return drawn


def polyline(points: list[tuple[int, float | None]], last: int, colour: str, width: int) -> str:
    told = " ".join(f"{across(step, last):.1f},{down(value):.1f}" for step, value in points if value is not None)
    faint = ' opacity="0.35"' if width == 1 else ""
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}"{faint} points="{told}"/>'


def across(step: int, last: int) -> float:
    return LEFT + WIDTH * step / last


def down(value: float) -> float:
    return TOP + HEIGHT * (1 - value)


def label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" fill="#57606a">{text}</text>'


if __name__ == "__main__":
    main()
