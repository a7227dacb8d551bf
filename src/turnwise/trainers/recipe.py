"""A training recipe: one short document that says all that decides a run.

A key that no part of the chosen path reads is an error, never ignored.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from turnwise.errors import ConfigError
from turnwise.trainers.schedules import schedule
from turnwise.trainers.tiny import TinyModel


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorPart(_Part):
    """Tasks made for this run; training and evaluation tasks are of disjoint splits."""

    name: str
    knobs: dict[str, JsonValue] = {}
    seed: int = 0
    train: int = Field(ge=1)
    eval: int = Field(ge=1)


class EnvPart(_Part):
    """What is trained on, and what it is measured on."""

    name: str
    config: dict[str, JsonValue] = {}
    panel: str | None = None
    """By default the environment's own."""
    generator: GeneratorPart | None = None
    """Makes the tasks instead of a panel."""
    split: str = "train"
    max_difficulty: int | None = None
    """Keep tasks of at most this level."""
    tags: tuple[str, ...] = ()
    """Keep tasks that carry all of these."""
    tasks: int | None = None
    """How many to train on; None: all."""
    eval_split: str = "test"
    eval_tasks: int | None = None
    attempts: int = Field(default=3, ge=1)
    """Of an episode that failed for a reason that is not the agent's."""
    call_seconds: float = Field(default=300.0, gt=0)
    """Backstop of one call of the environment: what takes longer is a failure."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        names = ("panel", "max_difficulty", "tags", "tasks", "split", "eval_split", "eval_tasks")
        # By value, not by what was set: a recipe read back from a run's folder sets every key.
        chosen = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if self.generator is not None and chosen:
            raise ValueError(f"with a generator, {', '.join(sorted(chosen))} would not be read; leave it out")
        return self


class LoraPart(_Part):
    """Low-rank adapters instead of full weights."""

    rank: int = Field(default=16, ge=1)
    alpha: int = 32
    target_modules: str = "all-linear"


class ModelPart(_Part):
    """The policy: a name or folder that ``transformers`` loads, or a tiny one made on the spot."""

    path: str | None = None
    tiny: TinyModel | None = None
    lora: LoraPart | None = None
    gradient_checkpointing: bool = False
    remove_padding: bool = False
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.path is None) == (self.tiny is None):
            raise ValueError("give either path (a name or folder) or tiny (sizes), not both and not neither")
        return self


class AgentPart(_Part):
    """How the policy is prompted and read."""

    format: str = "brackets"
    """How calls are written: ``native`` (Hermes-style blocks), ``tags``, ``brackets``, ``json``."""
    context: str = "full"
    """What the policy is shown: ``full``, ``window:4``, ``summary:keep=4,every=8``, ``per-turn:1``."""
    system_prompt: str | None = None
    turn_tokens: int = Field(default=256, ge=1)
    """Most tokens of one message."""
    message_seconds: float = Field(default=600.0, gt=0)
    """Backstop of one message: a server that takes longer has failed."""
    temperature: float = Field(default=1.0, ge=0)
    eval_temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = -1


class SftPart(_Part):
    """Supervised start on stored or freshly made demonstrations; only the policy's own tokens are learnt."""

    source: str = "oracle"
    """``oracle``: gold actions; else a store whose episodes are filtered by ``min_score``."""
    min_score: float = 1.0
    skip_tools: tuple[str, ...] = ()
    """Calls that gold leaves out, for shorter episodes: looking around before answering, for example."""
    skip_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of the tasks whose gold leaves them out, the same tasks for a seed; None: all. So the policy learns both
    ways, and reinforcement learning may find out which one pays."""
    epochs: int = Field(default=1, ge=1)
    batch: int = Field(default=32, ge=1)
    micro_batch: int = Field(default=16, ge=1)
    lr: float = Field(default=1e-5, gt=0)
    steps: int | None = None
    """Stop after this many updates; None: all epochs."""

    @model_validator(mode="after")
    def _shared(self) -> Self:
        if self.skip_share is not None and not self.skip_tools:
            raise ValueError("skip_share is read with skip_tools; leave it out")
        return self


class StagePart(_Part):
    """One stage of the credit pipeline."""

    method: str
    params: dict[str, JsonValue] = {}


class CreditPart(_Part):
    """How episodes become advantages."""

    method: str = "turn_rloo"
    params: dict[str, JsonValue] = {}
    statistics: dict[str, JsonValue] | None = None
    """How values are centred and scaled, for methods that take it: centre, scale, ddof, eps and the rest."""
    reward_weights: dict[str, float] | None = None
    """Outcome made anew as the weighted sum of the environment's reward parts."""
    purify: tuple[StagePart, ...] = ()
    """Filters; what they drop keeps its rows, with credit 0."""
    modulate: tuple[StagePart, ...] = ()
    """Modulators, one after another."""
    whiten: Literal["none", "token", "turn"] = "none"
    clip: float | None = Field(default=None, gt=0)
    """Largest magnitude of an advantage."""


class CriticPart(_Part):
    """The critic that a method with values trains beside the policy; it starts from the policy's weights."""

    lr: float = Field(default=1e-5, gt=0)
    clip: float = Field(default=0.5, gt=0)
    """Furthest that a value may move in one update."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps that train the critic alone."""


class ProbePart(_Part):
    """How much a method that plays parts of episodes again may spend."""

    branches: int = Field(default=4, ge=1)
    """Continuations before each turn (fork_value)."""
    permutations: int = Field(default=20, ge=1)
    """Random orders of an episode with too many turns for all coalitions (shapley)."""


class HorizonPart(_Part):
    """Turn limits by training step (ScalingInter): from step ``at[i]`` on the limit is ``turns[i]``."""

    at: tuple[int, ...] = (0,)
    turns: tuple[int, ...]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.at) != len(self.turns) or self.at[0] != 0 or list(self.at) != sorted(set(self.at)):
            raise ValueError("at must start with 0, rise, and pair with turns")
        return self

    def limit(self, step: int) -> int:
        """Return the turn limit in force at a step."""
        return [turns for at, turns in zip(self.at, self.turns, strict=True) if at <= step][-1]


class LrPart(_Part):
    """The learning rate over the run."""

    kind: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    end_share: float | None = Field(default=None, ge=0, le=1)
    """What a cosine leaves of the rate at the last step."""

    @model_validator(mode="after")
    def _read(self) -> Self:
        if self.end_share is not None and self.kind == "constant":
            raise ValueError("end_share is read by kind 'cosine' alone; leave it out")
        return self


class BudgetPart(_Part):
    """What a run may take; at the end of the step that reaches it the run saves, evaluates and stops."""

    tokens: int | None = Field(default=None, ge=1)
    """Sampled tokens of reinforcement learning; with ``sft_share`` the trained ones of the supervised start too."""
    seconds: float | None = Field(default=None, gt=0)
    """Wall time of reinforcement learning, evaluations included."""
    sft_share: float | None = Field(default=None, gt=0, lt=1)
    """Share of the tokens that the supervised start gets."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.tokens is None and self.seconds is None:
            raise ValueError("give tokens, seconds or both")
        if self.sft_share is not None and self.tokens is None:
            raise ValueError("sft_share divides tokens; give tokens")
        return self

    @property
    def rl_tokens(self) -> float | None:
        """Tokens of reinforcement learning."""
        return None if self.tokens is None else self.tokens * (1 - (self.sft_share or 0.0))

    @property
    def sft_tokens(self) -> float | None:
        """Tokens of the supervised start; None: as its own settings say."""
        return None if self.tokens is None or self.sft_share is None else self.tokens * self.sft_share


class RlPart(_Part):
    """Reinforcement learning through verl's trainer."""

    steps: int = Field(ge=1)
    tasks_per_step: int = Field(default=8, ge=1)
    group: int = Field(default=8, ge=1)
    """Episodes per task."""
    credit: CreditPart = CreditPart()
    critic: CriticPart | None = None
    """Of methods that read values; None: the defaults."""
    probe: ProbePart | None = None
    """Of methods that play again; None: the defaults."""
    lr: float = Field(default=1e-6, gt=0)
    lr_schedule: LrPart = LrPart()
    schedules: dict[str, dict[str, JsonValue]] = {}
    """Numbers that change with the step, by name (``entropy_coeff``, ``kl_coeff``, ``credit.PARAMETER``): a schedule
    such as ``{kind: linear, start: 0.01, end: 0.0, steps: 100}``."""
    mini_batches: int = Field(default=1, ge=1)
    """Updates per step."""
    epochs: int = Field(default=1, ge=1)
    """Passes over a step's episodes."""
    micro_batch: int = Field(default=8, ge=1)
    clip: float = Field(default=0.2, gt=0)
    clip_high: float | None = None
    loss: str = "vanilla"
    """A policy loss that verl knows, or ``module:function`` of its signature."""
    aggregation: Literal["token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"] = (
        "token-mean"
    )
    entropy_coeff: float = 0.0
    kl_coeff: float = Field(default=0.0, ge=0)
    """Weight of the KL to the policy that training starts from; 0: no reference policy is held."""
    grad_clip: float = Field(default=1.0, gt=0)
    horizon: HorizonPart = HorizonPart(turns=(10,))
    eval_every: int = 0
    """Steps between evaluations on the fixed panel; 0: before and after only."""
    save_every: int = 0
    """Steps between checkpoints; 0: at the end only."""

    @model_validator(mode="after")
    def _scheduled(self) -> Self:
        for name, config in self.schedules.items():
            if name not in SCHEDULED and not name.startswith("credit."):
                raise ValueError(f"schedules.{name}: only {', '.join(SCHEDULED)} and credit.PARAMETER have schedules")
            plain = name.removeprefix("credit.")
            # Against the default, not against what was given: a run's folder holds the recipe with every key.
            held = plain in self.credit.params if name != plain else getattr(self, name) != _default(self, name)
            if held:
                raise ValueError(f"{name} is scheduled, so its own value would not be read; leave one out")
            schedule(config)
        return self

    def at(self, name: str, step: int) -> float:
        """Return ``entropy_coeff`` or ``kl_coeff`` at a step."""
        given = self.schedules.get(name)
        return float(getattr(self, name)) if given is None else schedule(given)(step)


def _default(part: BaseModel, name: str) -> Any:
    return type(part).model_fields[name].default


SCHEDULED = ("entropy_coeff", "kl_coeff")


class Recipe(_Part):
    """All that decides a training run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    env: EnvPart
    model: ModelPart
    agent: AgentPart = AgentPart()
    sft: SftPart | None = None
    rl: RlPart | None = None
    budget: BudgetPart | None = None
    context_tokens: int = Field(default=2048, ge=16)
    """Longest episode in tokens, prompt included."""
    prompt_tokens: int = Field(default=1024, ge=8)
    """Longest first prompt in tokens."""
    device: Literal["cpu", "cuda"] = "cpu"
    rollout: Literal["transformers", "vllm"] = "transformers"
    gpus: int = Field(default=1, ge=1)
    threads: int | None = Field(default=None, ge=1)
    """Threads each process computes with on a CPU; None: one a core. One is best for a tiny model."""
    seed: int = 0
    deterministic: bool = False
    loggers: tuple[Literal["console", "tensorboard", "wandb", "file"], ...] = ("file",)
    stall_seconds: float = Field(default=7200.0, gt=0)
    """Backstop of the run: longest time in which no episode ends and no step is made."""
    output: str = "runs"

    @model_validator(mode="after")
    def _honoured(self) -> Self:
        if self.sft is None and self.rl is None:
            raise ValueError("nothing to do: give sft, rl or both")
        if self.device == "cpu" and self.rollout == "vllm":
            raise ValueError("rollout 'vllm' needs device 'cuda'; on a CPU use 'transformers'")
        if self.device == "cpu" and self.gpus != 1:
            raise ValueError("gpus has no meaning on device 'cpu'")
        if self.device != "cpu" and self.threads is not None:
            raise ValueError("threads is read on device 'cpu' only; leave it out")
        if self.prompt_tokens >= self.context_tokens:
            raise ValueError("prompt_tokens must be below context_tokens")
        if self.rl and (self.rl.tasks_per_step % self.rl.mini_batches):
            raise ValueError("rl.mini_batches must divide rl.tasks_per_step")
        return self

    @model_validator(mode="after")
    def _budgeted(self) -> Self:
        if self.budget is None:
            return self
        if self.rl is None:
            raise ValueError("budget is read by rl; a supervised start alone has sft.epochs and sft.steps")
        if self.budget.sft_share is not None and (
            self.sft is None or any(getattr(self.sft, name) != _default(self.sft, name) for name in ("steps", "epochs"))
        ):
            raise ValueError("budget.sft_share takes the place of sft.steps and sft.epochs; give sft without them")
        return self


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a YAML recipe.

    Args:
        path: The file.
        overrides: ``a.b=c`` settings; the value is read as YAML.

    Raises:
        ConfigError: The file is missing or no recipe; the message names the key.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        for override in overrides:
            _set(document, override)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the recipe {path}: {error}") from error
    return parse_recipe(document, str(path))


def parse_recipe(document: Any, where: str) -> Recipe:
    """Validate a recipe.

    Raises:
        ConfigError: Naming the first wrong key.
    """
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "recipe"
        hint = "; no part of this recipe reads that key" if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"{where}: {key}: {first['msg']}{hint}") from error


def _set(document: Any, override: str) -> None:
    import yaml

    key, sign, value = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set takes key=value, got {override!r}")
    node = document
    *parents, last = key.split(".")
    for name in parents:
        node = node.setdefault(name, {}) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise ConfigError(f"--set {override!r}: {'.'.join(parents)} is no section of the recipe")
    node[last] = yaml.safe_load(value)
