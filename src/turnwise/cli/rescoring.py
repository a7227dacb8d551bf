"""``turnwise rescore``: new rewards for episodes that were run already."""

from pathlib import Path
from typing import Annotated

import typer

from turnwise.cli import options
from turnwise.trajectories.store import Store


def rescore(
    run: Annotated[str, typer.Argument(help="The run whose episodes are taken.")],
    *,
    reward: Annotated[
        str, typer.Option(metavar="HOW", help="part=weight,…; a preset of the environment; or module:function.")
    ],
    new: Annotated[str | None, typer.Option("--run", help="Name of the new run; default: RUN-rescored.")] = None,
    store: options.StorePath = options.DEFAULT_STORE,
    into: Annotated[Path | None, typer.Option(metavar="FILE", help="Store of the new run; default: the same.")] = None,
    json: options.Json = False,
) -> None:
    """Give stored episodes new rewards, as a new run; the source stays as it is.

    A function takes the trajectory and returns a reward, or a Grade(score, success).

    Examples:
        turnwise rescore baseline --reward outcome=1,format=0.1

        turnwise rescore baseline --reward my_rewards:strict --run baseline-strict
    """
    from turnwise.cli.evaluate import show_report
    from turnwise.evals.metrics import report
    from turnwise.evals.rescore import Rescoring
    from turnwise.evals.rescore import rescore as apply

    target = into or store
    name = new or f"{run}-rescored"
    with Store.open(store) as source:
        how = Rescoring.parse(reward, source.run(run).env)
        with Store.open(target, "a") as opened:
            apply(source, run, how, opened, name)
            made = report(opened, name)
    if json:
        options.print_json({"schema": 1, "run": name, "source": run, "reward": reward, "eval": made.document()})
    else:
        show_report(made, target)
