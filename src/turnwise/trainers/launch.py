"""A training run from recipe to report: tasks, model, supervised start, reinforcement learning, all in one folder."""

import fcntl
import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from turnwise.envs.registry import env_class
from turnwise.errors import ConfigError, TaskError, TrainerError
from turnwise.process import end_left_behind
from turnwise.tasks import Task, TaskSet, load_panel, make_generator
from turnwise.trainers.budget import SftLength, sft_length, spent_by
from turnwise.trainers.crediting import check_credit
from turnwise.trainers.probes.supply import check_supply
from turnwise.trainers.process import run_process
from turnwise.trainers.progress import Liveness, MetricsTail, forget_after
from turnwise.trainers.recipe import EnvPart, GeneratorPart, Recipe
from turnwise.trainers.runrecords import add_runs
from turnwise.trainers.verl.config import Paths, environment, rl_overrides, sft_overrides
from turnwise.trajectories import Store, Trajectory

Notice = Callable[[str], None]
Stage = Literal["sft", "rl"]


@dataclass
class Training:
    """A run in its folder.

    Attributes:
        recipe: What to do.
        root: The run's folder.
        notice: Told of each stage.
    """

    recipe: Recipe
    root: Path
    notice: Notice = field(default=lambda _line: None)

    @property
    def paths(self) -> Paths:
        """Where the run keeps its files."""
        return Paths(root=self.root.resolve())

    def prepare(self, *, resume: bool) -> None:
        """Write recipe and tasks.

        Raises:
            ConfigError: The folder holds another run, or nothing to resume.
        """
        text = self.recipe.model_dump_json(indent=2)
        if self.paths.recipe.exists():
            if not resume:
                raise ConfigError(f"{self.root} already holds a run; give --resume, or another output folder")
            if json.loads(self.paths.recipe.read_text(encoding="utf-8")) != json.loads(text):
                raise ConfigError(f"{self.root} holds a run of another recipe; a resumed run keeps its recipe")
            return
        if resume:
            raise ConfigError(f"there is no run to resume in {self.root}")
        self.root.mkdir(parents=True, exist_ok=True)
        train, evaluation = panels(self.recipe.env)
        if self.recipe.rl is not None:
            check_supply(self.recipe.rl, list(train))
        _write_tasks(self.paths.train_tasks, train)
        _write_tasks(self.paths.eval_tasks, evaluation)
        self.paths.recipe.write_text(text, encoding="utf-8")

    def run(self, *, resume: bool = False) -> Path:
        """Do all of it.

        Returns:
            The folder of the trained model, in the Hugging Face layout.
        """
        self.prepare(resume=resume)
        with self._alone_here():
            end_left_behind(self.paths.trace)
            model = self.start_model()
            if self.recipe.sft is not None:
                model = self.supervise(model)
            return Path(model) if self.recipe.rl is None else self.reinforce(model)

    def _write_agent_loop(self) -> None:
        """Tell verl's workers of the agent loop; anew each time, since a folder may have been moved."""
        loop = {
            "name": "turnwise",
            "_target_": "turnwise.trainers.verl.agent_loop.TurnwiseAgentLoop",
            "recipe": str(self.paths.recipe),
            "store": str(self.paths.store),
        }
        self.paths.agent_loop.write_text(json.dumps([loop]), encoding="utf-8")

    @contextmanager
    def _alone_here(self) -> Iterator[None]:
        """Refuse to work in a folder in which another process is at work; the kernel frees it when that one dies."""
        with (self.root / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(f"another process is training in {self.root}; wait for it, or stop it") from error
            yield

    def start_model(self) -> str:
        """Return the policy to start from; a tiny one is made where the recipe says so."""
        if self.recipe.model.path is not None:
            return self.recipe.model.path
        if not (self.paths.model / "config.json").exists():
            from turnwise.trainers.demonstrate import rendered_texts
            from turnwise.trainers.tiny import build_tiny

            self.notice("making the tiny model")
            texts = rendered_texts(self.recipe.agent, self.demonstrations)
            build_tiny(self.paths.model, texts, self.recipe.model.tiny)
        return str(self.paths.model)

    def supervise(self, model: str) -> str:
        """Train on demonstrations; a finished supervised start is kept."""
        if (self.paths.sft / "config.json").exists():
            return str(self.paths.sft)
        from transformers import AutoTokenizer

        from turnwise.trainers.demonstrate import write_demonstrations

        tokenizer = AutoTokenizer.from_pretrained(model)
        count = write_demonstrations(self.recipe, self.demonstrations, tokenizer, self.paths.demonstrations)
        sft = self.recipe.sft
        if sft is not None and count < sft.batch:
            raise TrainerError(f"{count} demonstrations do not fill one batch; set sft.batch to {count} or less")
        length = self._sft_length()
        self.notice(f"supervised start on {count} sequences" + (f", {length.steps} updates" if length else ""))
        self._verl("turnwise.trainers.verl.sft_main", sft_overrides(self.recipe, self.paths, model, length), "sft")
        steps = sorted((self.root / "sft-checkpoints").glob("global_step_*"), key=_step_of)
        if not steps or not (steps[-1] / "huggingface" / "config.json").exists():
            raise TrainerError(f"the supervised start left no model in {self.root / 'sft-checkpoints'}")
        part = self.root / "sft.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(steps[-1] / "huggingface", part)
        part.rename(self.paths.sft)
        return str(self.paths.sft)

    def _sft_length(self) -> SftLength | None:
        """Return how long the supervised start may be under the budget."""
        budget, sft = self.recipe.budget, self.recipe.sft
        if sft is None or budget is None or budget.sft_tokens is None:
            return None
        from pyarrow import parquet

        masks = parquet.read_table(self.paths.demonstrations, columns=["loss_mask"])["loss_mask"].to_pylist()
        return sft_length(budget.sft_tokens, sft.batch, [sum(mask) for mask in masks])

    def reinforce(self, model: str) -> Path:
        """Train by verl's trainer, from the last whole checkpoint on where there is one.

        Returns:
            The folder of the last checkpoint's model.
        """
        rl = self.recipe.rl
        assert rl is not None
        done = last_checkpoint(self.paths.checkpoints)
        spent = spent_by(self.paths.metrics, done).reached(self.recipe.budget)
        if done < rl.steps and not spent:
            began = f", from step {done} on" if done else ""
            self.notice(f"reinforcement learning: {rl.steps} steps, credit by {rl.credit.method}{began}")
            self._reinforce(model, rl.steps, done)
        if last_checkpoint(self.paths.checkpoints) < 1:
            raise TrainerError(f"training ended without a checkpoint in {self.paths.checkpoints}")
        spent = spent_by(self.paths.metrics, rl.steps).reached(self.recipe.budget)
        if spent:
            self.notice(f"the budget is spent after step {last_checkpoint(self.paths.checkpoints)}: {spent}")
        last = self.paths.checkpoints / f"global_step_{last_checkpoint(self.paths.checkpoints)}"
        model_folder = last / "actor" / "huggingface"
        if (lora := self.recipe.model.lora) is not None:
            from turnwise.trainers.adapters import merge_adapters

            merge_adapters(model_folder, lora.alpha / lora.rank)
        return model_folder

    def _reinforce(self, model: str, steps: int, done: int) -> None:
        self._write_agent_loop()
        told, kept = self.paths.verl_metrics, self.paths.metrics
        told.unlink(missing_ok=True)
        forget_after(kept, done)
        with Store.open(self.paths.store, "a") as store:
            overrides = rl_overrides(self.recipe, self.paths, model, done=done)
            tail = MetricsTail(told, store, self.recipe.name, steps, self.notice, kept=kept)
            alive = Liveness(self.recipe.stall_seconds)

            def watch() -> None:
                came, told = store.ingest(), tail()
                alive.saw(came + told)
                if told:
                    paths = self.paths
                    add_runs(store, self.recipe, train=paths.train_tasks, evaluation=paths.eval_tasks)

            try:
                self._verl("verl.trainer.main_ppo", overrides, "rl", watch=watch)
            finally:
                watch()

    @cached_property
    def demonstrations(self) -> list[Trajectory]:
        """The episodes that are learnt from and that a tiny tokenizer is made of."""
        from turnwise.trainers.demonstrate import demonstrations

        lines = self.paths.train_tasks.read_text(encoding="utf-8").splitlines()
        self.notice("gathering demonstrations")
        return demonstrations(self.recipe, [Task.model_validate_json(line) for line in lines], self.paths.store)

    def _verl(self, module: str, overrides: list[str], stage: Stage, watch: Callable[[], None] | None = None) -> None:
        metrics = self.paths.verl_metrics if stage == "rl" else self.paths.sft_metrics
        variables = environment(self.recipe, self.paths, stage) | {"VERL_FILE_LOGGER_PATH": str(metrics)}
        run_process(
            [sys.executable, "-m", module, *overrides],
            environment=variables | (_alone() if stage == "sft" else {}),
            log=self.root / f"{stage}.log",
            cwd=self.root,
            watch=watch,
            trace=self.paths.trace,
        )


def last_checkpoint(folder: Path) -> int:
    """Return the step of the last whole checkpoint; 0: there is none.

    verl writes the tracker last, so a checkpoint it names is whole. A tracker that was itself cut short is mended from
    the folders, the newest of which may be half written.
    """
    tracker = folder / "latest_checkpointed_iteration.txt"
    if not tracker.exists():
        return 0
    told = tracker.read_text(encoding="utf-8").strip()
    if told.isdecimal() and (folder / f"global_step_{told}").is_dir():
        return int(told)
    whole = sorted(_step_of(path) for path in folder.glob("global_step_*") if (path / "data.pt").exists())
    tracker.write_text(str(whole[-1]) if whole else "0", encoding="utf-8")
    return whole[-1] if whole else 0


def explained(recipe: Recipe, root: Path) -> list[str]:
    """Return the verl configuration a recipe becomes, one setting a line; nothing is run."""
    paths = Paths(root=root)
    if recipe.rl is not None:
        check_credit(recipe.rl)
    model = recipe.model.path or str(paths.model)
    lines: list[str] = []
    if recipe.sft is not None:
        lines += ["# supervised start: verl's SFT trainer", *_variables(recipe, paths, "sft")]
        lines += sft_overrides(recipe, paths, model)
        model = str(paths.sft)
    if recipe.rl is not None:
        lines += ["# reinforcement learning: verl.trainer.main_ppo", *_variables(recipe, paths, "rl")]
        lines += rl_overrides(recipe, paths, model, done=0)
    return lines


def _variables(recipe: Recipe, paths: Paths, stage: Stage) -> list[str]:
    return [f"{name}={value}" for name, value in environment(recipe, paths, stage).items()]


def panels(part: EnvPart) -> tuple[TaskSet, TaskSet]:
    """Return the tasks of training and the fixed panel of evaluation.

    Raises:
        ConfigError: The environment names no panel, or too few tasks are left.
    """
    if part.generator is not None:
        return _generated(part.generator)
    name = part.panel or env_class(part.name).default_panel
    if name is None:
        raise ConfigError(f"environment {part.name!r} has no default panel; set env.panel")
    panel = load_panel(name)
    return _chosen(panel, part, part.split, part.tasks), _chosen(panel, part, part.eval_split, part.eval_tasks)


def _generated(part: GeneratorPart) -> tuple[TaskSet, TaskSet]:
    generator = make_generator(part.name, **part.knobs)
    made = (generator.panel({split: n}, seed=part.seed) for split, n in (("train", part.train), ("test", part.eval)))
    train, evaluation = made
    return train, evaluation


def _chosen(panel: TaskSet, part: EnvPart, split: str, count: int | None) -> TaskSet:
    def fits(task: Task) -> bool:
        level = task.difficulty if task.difficulty is not None else 0
        easy = part.max_difficulty is None or level <= part.max_difficulty
        return easy and set(part.tags) <= set(task.tags)

    kept = panel.split(split).filter(fits)
    wanted = len(kept) if count is None else count
    if not len(kept) or wanted > len(kept):
        raise ConfigError(f"panel {panel.name!r}, split {split!r}: {wanted or 'some'} tasks asked for, {len(kept)} fit")
    try:
        return kept.sample(wanted, 0)
    except TaskError as error:
        raise ConfigError(str(error)) from error


def _write_tasks(path: Path, tasks: TaskSet) -> None:
    path.write_text("".join(task.model_dump_json() + "\n" for task in tasks), encoding="utf-8")


def _alone() -> dict[str, str]:
    """Return what torch's process group asks of a process that has no launcher."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _step_of(folder: Path) -> int:
    return int(folder.name.rpartition("_")[2])
