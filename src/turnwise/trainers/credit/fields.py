"""The fields a method may ask for: one table that the reader, the error messages and the documentation share."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["trajectory", "turn", "token"]
Kind = Literal["number", "flag", "key", "text", "special"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One named field of a batch."""

    level: Level
    """What one value belongs to; ``token`` means one value per action token."""
    kind: Kind
    doc: str
    aliases: tuple[str, ...] = ()
    """Other names a row may use."""


def _number(level: Level, doc: str, *aliases: str) -> Field:
    return Field(level=level, kind="number", doc=doc, aliases=aliases)


def _key(doc: str, *aliases: str) -> Field:
    return Field(level="turn", kind="key", doc=doc, aliases=aliases)


FIELDS: dict[str, Field] = {
    "baseline_reward": _number("trajectory", "reward of the greedy rollout of the same task (ReMax)"),
    "bootstrap_value": _number("trajectory", "value of the state in which a limit cut the episode"),
    "truncated": Field(level="trajectory", kind="flag", doc="whether a limit ended the episode"),
    "base_advantage": _number("trajectory", "advantage that an earlier stage of the pipeline made"),
    "components": Field(level="trajectory", kind="special", doc="named reward parts, unweighted (GDPO, DERL)"),
    "coalitions": Field(level="trajectory", kind="special", doc="[{turns: [...], value}] of the Shapley probe"),
    "permutations": Field(
        level="trajectory", kind="special", doc="[{order: [...], values: [...]}] of the Shapley probe"
    ),
    "state_key": _key("hash of the true state before the action", "anchor_state"),
    "next_state_key": _key("hash of the true state after the action"),
    "action_key": _key("hash of the action"),
    "history_key": _key("hash of all that was shown and done before the turn"),
    "observation": Field(
        level="turn", kind="text", doc="text shown before the action", aliases=("anchor_obs", "observation_text")
    ),
    "valid_action": Field(level="turn", kind="flag", doc="whether the action was well formed"),
    "grounded": Field(level="turn", kind="flag", doc="whether the action had an effect (SPA)"),
    "turn_entropy": _number("turn", "mean entropy of the turn's action tokens, nats"),
    "value_first": _number("turn", "critic's value at the turn's first action token"),
    "value_last": _number("turn", "critic's value at the turn's last action token"),
    "gold_logprob": _number(
        "turn", "mean log-prob of the gold answer before the turn (IGPO)", "gold_mean_logprob_before"
    ),
    "info_gain": _number("turn", "information gain of the turn; the final turn's is not read (IGPO)", "ig"),
    "progress": _number("turn", "estimated contribution of the turn to the reward (SPA)"),
    "q1": _number("turn", "first critic's Q of a fresh action (ArCHer)"),
    "q2": _number("turn", "second critic's Q of a fresh action (ArCHer)"),
    "v1": _number("turn", "first critic's V (ArCHer)"),
    "v2": _number("turn", "second critic's V (ArCHer)"),
    "fork_value": _number("turn", "mean return of branches from the state before the turn (fork_value)"),
    "duration": _number("turn", "seconds the action's execution took", "duration_exec_s"),
    "action_tokens": _number("turn", "how many action tokens the turn has"),
    "observation_tokens": _number("turn", "how many observation tokens follow the turn's action"),
    "logprobs": _number("token", "log-prob of each action token as sampled", "old_logprob", "old_logprobs"),
    "entropy": _number("token", "entropy at each action token, nats", "entropies"),
    "values": _number("token", "critic's value at each action token", "value"),
    "sum_pi_sq": _number("token", "sum of squared probabilities at each action token", "sum_pi_squared"),
    "token_rewards": _number("token", "rewards on single action tokens, added to the turn's"),
    "thr": _number("token", "influence of each action token on the right answers (THR)", "thr_scores"),
}
"""Every field but the ones all batches have: uids, group, outcome, reward, turn boundaries."""

ALIASES: dict[str, str] = {alias: name for name, field in FIELDS.items() for alias in (name, *field.aliases)}
