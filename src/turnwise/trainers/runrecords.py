"""A training's runs as evaluations have them: one of its training episodes, one of each evaluation on the panel.

So ``turnwise runs``, ``report`` and ``compare`` read a training's store like any other.
"""

import re
from pathlib import Path

from turnwise.agents.chat import ChatConfig
from turnwise.agents.jobs import panel_ref
from turnwise.agents.limits import Limits
from turnwise.envs import make
from turnwise.tasks import Task, TaskSet
from turnwise.trainers.recipe import Recipe
from turnwise.trajectories import Store
from turnwise.trajectories.runs import RunRecord, circumstances


def add_runs(store: Store, recipe: Recipe, *, train: Path, evaluation: Path) -> None:
    """Describe the runs whose episodes the store holds and that it does not know yet.

    Args:
        store: The training's, open for writing.
        recipe: What was done.
        train: The tasks of training, one a line.
        evaluation: The panel, one task a line.
    """
    known = {record.run for record in store.runs()}
    name = re.escape(recipe.name)
    for row in store.query("SELECT DISTINCT run FROM episodes"):
        run = str(row["run"])
        found = re.fullmatch(rf"{name}(?:-eval-(\d+))?", run)
        if found and run not in known:
            step = None if found.group(1) is None else int(found.group(1))
            store.add_run(_record(recipe, run, step, evaluation if step is not None else train))


def _record(recipe: Recipe, run: str, step: int | None, tasks: Path) -> RunRecord:
    rl, part = recipe.rl, recipe.agent
    assert rl is not None
    env = make(recipe.env.name, **recipe.env.config)
    panel = _tasks(tasks, f"{recipe.name}-{tasks.stem}")
    spoken = ChatConfig(model=recipe.name, format=part.format, context=part.context, system=part.system_prompt)
    temperature = part.temperature if step is None else part.eval_temperature
    sampling = {"temperature": temperature, "top_p": part.top_p, "max_tokens": part.turn_tokens}
    return RunRecord(
        run=run,
        kind="train" if step is None else "eval",
        agent="chat",
        agent_config=spoken.model_copy(update={"sampling": spoken.sampling.model_copy(update=sampling)}).asked(),
        model=recipe.name,
        panel=panel_ref(panel),
        seed=recipe.seed,
        samples=rl.group if step is None else 1,
        episodes=None if step is None else len(panel),
        limits=Limits(turns=rl.horizon.limit(step or 0), context=recipe.context_tokens).model_dump(),
        config={"recipe": recipe.model_dump(mode="json", exclude_defaults=True), "step": step},
        **circumstances(env),
    )


def _tasks(path: Path, name: str) -> TaskSet:
    lines = path.read_text(encoding="utf-8").splitlines()
    return TaskSet(name=name, tasks=tuple(Task.model_validate_json(line) for line in lines))
