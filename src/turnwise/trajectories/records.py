"""What happened: the record of one episode, with all that any credit estimator needs.

Turn boundaries are explicit, never inferred from text or from rewards. Fields that nobody has filled are None. What
differs between two runs of the same episode (times, machine) is listed in ``VOLATILE``.
"""

import hashlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_serializer, field_validator

from turnwise.envs.types import Observation, RewardPart, Status, StopReason, ToolCall, ToolSpec
from turnwise.tasks.canonical import digest

SCHEMA_VERSION = 1

VOLATILE = frozenset({"timings", "exec_s", "queue_s", "started_at", "ended_at", "wall_s", "writer"})
"""Names of the fields that may differ between two runs of the same episode."""

Source = Literal["policy", "env", "self"]
"""Who wrote a token: the policy, the environment, or the policy in the environment's place."""

SOURCES: tuple[Source, ...] = ("policy", "env", "self")


class Record(BaseModel):
    """Base of the records: unknown fields are refused, so that a newer file is never half read."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Failure(Record):
    """Why an episode has no score: something broke that was not the agent's doing."""

    kind: Literal["env", "sandbox", "task", "model", "agent", "store", "internal"]
    error: str
    """Name of the exception's class."""
    message: str
    turn: int | None = None
    """Index of the turn it happened in; None: before the first."""
    detail: str | None = None


class Span(Record):
    """Half-open range of token offsets in one of the trajectory's sequences."""

    sequence: int
    start: int
    end: int


class Usage(Record):
    """Tokens and money of one or more model calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None
    """US dollars; None: no price is known."""
    calls: int = 0


class Timings(Record):
    """Seconds; volatile."""

    generation_s: float | None = None
    first_token_s: float | None = None
    model_queue_s: float | None = None
    exec_s: float | None = None
    env_queue_s: float | None = None
    started_at: float | None = None
    """Seconds since the episode began."""


class Attempt(Record):
    """A sample that was discarded: a message that could not be parsed, or one that was spliced out."""

    text: str
    status: str
    reason: str | None = None
    usage: Usage | None = None
    ratio: float | None = None
    """Similarity to the kept sample (CLEANER)."""


class Judgement(Record):
    """A judge's word on a turn (ReSeek, Reasoning-SQL)."""

    label: str | None = None
    score: float | None = None
    ideal: str | None = None
    version: str | None = None
    prompt: str | None = None
    answer: str | None = None


class CriticValues(Record):
    """Turn-level critic values (ArCHer)."""

    q1: float | None = None
    q2: float | None = None
    v1: float | None = None
    v2: float | None = None
    version: str | None = None


class ContextRecord(Record):
    """What the agent's context policy showed and what it dropped."""

    policy: str
    dropped_turns: tuple[int, ...] = ()
    summary: str | None = None
    prompt_tokens: int | None = None


class Turn(Record):
    """One agent message and the observation that answers it."""

    index: int
    """0 for the first."""
    text: str = ""
    """The message's text as the policy wrote it, calls included where the format writes them in text."""
    reasoning: str | None = None
    calls: tuple[ToolCall, ...] = ()
    message: dict[str, JsonValue] | None = None
    """The raw assistant message, as chat endpoints shape it."""
    attempts: tuple[Attempt, ...] = ()
    context: ContextRecord | None = None
    usage: Usage = Usage()
    timings: Timings = Timings()

    observation: Observation = Observation()
    observation_source: Literal["env", "retrieval", "self"] = "env"
    status: Status = Status.OK
    reward: float = 0.0
    reward_parts: tuple[RewardPart, ...] = ()
    terminated: bool = False
    truncated: bool = False
    metrics: dict[str, float] = {}

    state_key: str | None = None
    """Hash of the true state before the action: the anchor state of GiGPO."""
    next_state_key: str | None = None
    action_key: str | None = None
    """Hash of the calls, or of the text where there is none."""
    history_key: str | None = None
    """Hash of all that was shown and done before this turn."""
    policy_version: int | None = None
    """Global step of the policy that sampled this turn."""

    action_span: Span | None = None
    observation_span: Span | None = None
    reasoning_span: Span | None = None
    call_spans: tuple[Span, ...] = ()

    entropy: float | None = None
    """Mean token entropy of the action, nats; per-token values are on the sequence."""
    value_first: float | None = None
    value_last: float | None = None
    gold_mean_logprob_before: float | None = None
    """Mean log-prob of the gold answer's tokens, given the context before this turn (IGPO)."""
    progress: float | None = None
    """In [0, 1] (SPA)."""
    progress_version: str | None = None
    judge: Judgement | None = None
    milestones: tuple[str, ...] | None = None
    grader_score: float | None = None
    splice: Literal["none", "call_only", "full"] | None = None
    logprob_valid: bool | None = None
    critic: CriticValues | None = None
    probes: dict[str, JsonValue] = {}
    """Results of further probes by name, each with its policy version."""


def _array(dtype: str) -> Any:
    def validate(value: Any) -> npt.NDArray[Any] | None:
        return None if value is None else np.asarray(value, dtype=dtype)

    return validate


class TokenSequence(Record):
    """One token sequence as the model saw it; a trajectory has more than one where its context was rewritten."""

    opened_by: Literal["start", "window", "summary", "per_turn", "drift", "purified"] = "start"
    """Why the sequence does not continue the one before."""
    token_ids: Any
    """int32, shape (L,)."""
    logprobs: Any = None
    """float32, shape (L,), as sampled; 0 where ``source`` is not policy; None: not known."""
    source: Any
    """uint8, shape (L,): index into ``SOURCES``."""
    loss_mask: Any
    """bool, shape (L,): the tokens that are trained."""
    entropy: Any = None
    """float32, shape (L,), nats."""
    values: Any = None
    """float32, shape (L,): a token-level critic's."""
    sum_pi_sq: Any = None
    """float32, shape (L,): sum of squared probabilities (optimal token baseline)."""
    ref_logprobs: Any = None
    """float32, shape (L,): a reference policy's."""
    tokenizer: str | None = None

    _ids = field_validator("token_ids", mode="before")(_array("int32"))
    _source = field_validator("source", mode="before")(_array("uint8"))
    _mask = field_validator("loss_mask", mode="before")(_array("bool"))
    _floats = field_validator("logprobs", "entropy", "values", "sum_pi_sq", "ref_logprobs", mode="before")(
        _array("float32")
    )

    @field_serializer(
        "token_ids",
        "logprobs",
        "source",
        "loss_mask",
        "entropy",
        "values",
        "sum_pi_sq",
        "ref_logprobs",
        when_used="json",
    )
    def _listed(self, value: npt.NDArray[Any] | None) -> list[Any] | None:
        return None if value is None else value.tolist()

    def __len__(self) -> int:
        return len(self.token_ids)


class PanelRef(Record):
    """Which panel a task was drawn from."""

    name: str
    version: str
    split: str | None = None
    digest: str


class Hint(Record):
    """Help given in the prompt (GHPO)."""

    ratio: float
    text: str


class Trajectory(Record):
    """The record of one episode."""

    schema_version: int = SCHEMA_VERSION
    episode_id: str
    """``episode_id(...)`` of run, task key, seed, sample and training step."""
    run: str
    attempt: int = 0
    """Retries of a failed episode are attempts of one id."""

    env: str
    env_version: str
    config_digest: str
    wrappers: tuple[str, ...] = ()
    agent: str
    model: str | None = None
    task_id: str
    task_key: str
    panel: PanelRef | None = None
    split: str = ""
    difficulty: int | None = None
    tags: tuple[str, ...] = ()
    seed: int
    """The environment's."""
    sample: int = 0
    """Index within the group; the agent's sampling seed comes from it."""
    agent_seed: int | None = None
    step: int | None = None
    """Training step; None: an evaluation."""
    epoch: int | None = None
    group_uid: str
    parent_uid: str | None = None
    """Episode id this one was branched from."""
    parent_turn: int | None = None

    instruction: str = ""
    first_observation: Observation = Observation()
    system_prompt: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    limits: dict[str, float | None] = {}
    turns: tuple[Turn, ...] = ()
    final_observation: Observation | None = None
    """What a limit's truncation showed."""
    final_state_key: str | None = None
    final_reward: float = 0.0
    """What a limit's truncation paid; it belongs to the last turn's return."""
    final_reward_parts: tuple[RewardPart, ...] = ()
    sequences: tuple[TokenSequence, ...] = ()

    stop_reason: StopReason
    score: float | None = None
    """None exactly where the episode failed or was cancelled."""
    success: bool | None = None
    reward: float | None = None
    """Sum over turns, the truncation's included."""
    components: dict[str, float | None] = {}
    """Reward parts summed by name, unweighted."""
    component_weights: dict[str, float] = {}
    failure: Failure | None = None
    horizon_in_force: int | None = None
    gold_answers: tuple[str, ...] | None = None
    """For the harness; never in a prompt."""
    hint: Hint | None = None
    exemplars: tuple[str, ...] | None = None
    prompt_behaviour: str | None = None
    prompt_train: str | None = None
    quality: dict[str, bool] | None = None
    """Flags: overlong, void, repetitive, unreadable (SPEAR)."""
    origin: Literal["on_policy", "replay", "demo", "hinted"] = "on_policy"
    role: str | None = None
    stage: str | None = None

    usage: Usage = Usage()
    state_key: str | None = None
    """Of the first state."""
    started_at: float | None = None
    """Unix seconds; volatile."""
    ended_at: float | None = None
    wall_s: float | None = None
    writer: dict[str, JsonValue] | None = None
    """Machine and process; volatile."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def scored(self) -> bool:
        """Whether the episode counts in averages."""
        return self.failure is None and self.stop_reason.scored

    @property
    def tool_calls_total(self) -> int:
        """How many tool calls the agent made."""
        return sum(len(turn.calls) for turn in self.turns)


def group_uid(*, run: str, step: int | None, task_key: str, seed: int, hint: float | None, horizon: int | None) -> str:
    """Hash what rollouts must share to be compared: they began in the same state under the same rules."""
    return digest({"run": run, "step": step, "task": task_key, "seed": seed, "hint": hint, "horizon": horizon})[:32]


def episode_id(*, run: str, step: int | None, task_key: str, seed: int, sample: int) -> str:
    """Hash what identifies an episode, so that a resumed run can neither repeat nor lose one."""
    return digest({"run": run, "step": step, "task": task_key, "seed": seed, "sample": sample})[:32]


def stable_seed(*parts: object) -> int:
    """Derive a 32-bit seed from anything printable, the same on every machine."""
    return int.from_bytes(hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()[:4], "big")


def without_volatile(value: Any) -> Any:
    """Return a dumped record without its volatile fields: what two runs of the same episode must share."""
    if isinstance(value, dict):
        return {name: without_volatile(item) for name, item in value.items() if name not in VOLATILE}
    return [without_volatile(item) for item in value] if isinstance(value, list) else value
