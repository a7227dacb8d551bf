"""An episode as a text to read: who said what, what came back, and what each turn earned."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import indent

from pydantic import JsonValue
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from turnwise.cli.output import console, number, safe
from turnwise.envs.types import RewardPart, Status, ToolCall
from turnwise.trajectories.records import Trajectory, Turn

CUT = 1200
"""Characters of one text that are shown unless everything is asked for."""

_STYLE = {Status.OK: "green", Status.FAILED: "yellow", Status.INVALID: "red", Status.SKIPPED: "dim"}


def print_transcript(episode: Trajectory, *, full: bool = False) -> None:
    """Print an episode."""
    out, cut = console(), None if full else CUT
    _head(out, episode)
    if episode.system_prompt:
        _say(out, "system", episode.system_prompt, "magenta", cut)
    _say(out, "task", episode.first_observation.text or episode.instruction, "blue", cut)
    for turn in episode.turns:
        _turn(out, turn, cut)
    _tail(out, episode)


def _head(out: Console, episode: Trajectory) -> None:
    who = episode.agent + (f" · {episode.model}" if episode.model else "")
    out.print(f"[bold]{safe(episode.env)}[/] · {safe(episode.task_id)} · {safe(who)}")
    attempt = f" · attempt {episode.attempt}" if episode.attempt else ""
    out.print(f"[dim]{episode.episode_id} · run {safe(episode.run)} · sample {episode.sample}{attempt}[/]")


def _turn(out: Console, turn: Turn, cut: int | None) -> None:
    cost = f"{turn.usage.prompt_tokens:,}+{turn.usage.completion_tokens:,} tokens" if turn.usage.calls else ""
    seconds = f"{turn.timings.generation_s:.2f} s" if turn.usage.calls and turn.timings.generation_s else ""
    facts = " · ".join(fact for fact in (cost, seconds) if fact)
    out.print(
        f"\n[bold]turn {turn.index + 1}[/]  [{_STYLE[turn.status]}]{turn.status.value}[/]  "
        f"reward {_signed(turn.reward)}{_parts(turn.reward_parts)}  [dim]{facts}[/]"
    )
    if turn.reasoning:
        _say(out, "thinks", turn.reasoning, "dim", cut)
    for attempt in turn.attempts:
        _say(out, f"discarded ({attempt.status})", attempt.text, "dim red", cut)
    if turn.text:
        _say(out, "agent", turn.text, "cyan", cut)
    for call in turn.calls:
        _say(out, "calls", _call(call), "cyan", cut)
    for result in turn.observation.results:
        _say(
            out, "gets" if result.status is Status.OK else result.status.value, result.text, _STYLE[result.status], cut
        )
    parts = turn.observation.model_copy(update={"results": ()})
    if parts.text:
        _say(out, "gets", parts.text, "green" if turn.status is Status.OK else _STYLE[turn.status], cut)


def _call(call: ToolCall) -> str:
    if isinstance(call.arguments, str):
        return f"{call.name}({call.arguments})"
    below = {name: value for name, value in call.arguments.items() if isinstance(value, str) and "\n" in value.strip()}
    head = f"{call.name}({', '.join(_arguments(call.arguments, below))})"
    return "\n".join((head, *(f"  {name}:\n{indent(value.strip(chr(10)), '    ')}" for name, value in below.items())))


def _arguments(arguments: Mapping[str, JsonValue], below: Collection[str]) -> Iterator[str]:
    """Write arguments in one line; a text of several lines stands below it."""
    for name, value in arguments.items():
        yield f"{name}=…" if name in below else f"{name}={json.dumps(value, ensure_ascii=False)}"


def _say(out: Console, who: str, text: str, style: str, cut: int | None) -> None:
    more = f" … ({len(text) - cut:,} more characters: --full)" if cut and len(text) > cut else ""
    out.print(f"  [{style}]{safe(who)}[/]")
    body = Text.from_markup(safe(text[:cut] if cut else text) + safe(more))
    out.print(Padding(body, (0, 0, 0, 4)))


def _tail(out: Console, episode: Trajectory) -> None:
    out.print()
    if episode.failure:
        failure = episode.failure
        out.print(f"[bold red]failed[/] ({failure.kind}): {safe(failure.error)}: {safe(failure.message)}")
        return
    if episode.final_reward_parts or episode.final_reward:
        out.print(f"at the end: reward {_signed(episode.final_reward)}{_parts(episode.final_reward_parts)}")
    verdict = "[bold green]success[/]" if episode.success else "[bold]no success[/]"
    out.print(
        f"{verdict} · ended by {episode.stop_reason.value} · score {number(episode.score)} · "
        f"reward {number(episode.reward)} · {len(episode.turns)} turns"
    )


def _signed(value: float) -> str:
    return f"[green]+{value:.3f}[/]" if value > 0 else (f"[red]{value:.3f}[/]" if value < 0 else "0")


def _parts(parts: Sequence[RewardPart]) -> str:
    if not parts:
        return ""
    told = (f"{part.name} {'–' if part.value is None else format(part.value, '.3g')}×{part.weight:g}" for part in parts)
    return f" [dim]({safe(', '.join(told))})[/]"
