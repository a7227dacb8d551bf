"""Right and random actions of the search environment, for proofs and baselines only."""

import random

from turnwise.envs.search.episode import Episode
from turnwise.envs.search.settings import SearchConfig
from turnwise.envs.types import Action, ToolCall
from turnwise.tasks.base import Task


def call(name: str, turn: int, **arguments: object) -> Action:
    """Return an action of one tool call."""
    return Action(calls=(ToolCall.model_validate({"id": f"g{turn}", "name": name, "arguments": arguments}),))


def gold_actions(task: Task, settings: SearchConfig) -> list[Action]:
    """Return a right solution in the words of the interface.

    A task without a proved sequence is solved by one search for the question and its first gold answer.
    """
    listed = task.gold.get("actions")
    actions = [Action.model_validate(action) for action in listed] if isinstance(listed, list) else []
    if not actions:
        answers = task.gold.get("answers")
        answer = str(answers[0]) if isinstance(answers, list) and answers else "unanswerable"
        actions = [call("search", 1, query=task.instruction), call("answer", 2, text=answer)]
    if not settings.tagged:
        return actions
    spoken = [(c.name, c.arguments) for action in actions for c in action.calls if c.name in ("search", "answer")]
    written = [_tagged(name, arguments, settings) for name, arguments in spoken]
    return [Action(text="".join(written))] if settings.engine == "self" else [Action(text=text) for text in written]


def _tagged(name: str, arguments: object, settings: SearchConfig) -> str:
    given = arguments if isinstance(arguments, dict) else {}
    think = "<think>Look it up.</think>" if name == "search" else "<think>That is it.</think>"
    if name == "search":
        query = " ".join(str(given["query"]).split())
        made = "<information>Known.</information>" if settings.engine == "self" else ""
        return f"{think}<search>{query}</search>{made}"
    cited = ", ".join(str(item) for item in given.get("evidence") or ())
    evidence = f"<evidence>{cited}</evidence>" if cited and settings.interface == "tags" else ""
    evidence = "" if settings.engine == "self" else evidence
    return f"{think}{evidence}<answer>{given['text']}</answer>"


def random_action(rng: random.Random, settings: SearchConfig, question: str, episode: Episode) -> Action:
    """Return a random legal action: words of the question, documents that were shown, guesses."""
    words = question.rstrip("?").split()
    seen = sorted(episode.seen)
    verbs = ["search"] * 3 + (["open", "find"] if seen and not settings.tagged else [])
    verbs += ["judge"] if settings.judge != "off" and episode.to_judge else []
    verbs += [] if episode.must_search else ["answer"]
    verb = rng.choice(verbs)
    some = " ".join(rng.sample(words, min(len(words), rng.randint(1, 4))))
    given: dict[str, dict[str, object]] = {
        "search": {"query": some},
        "open": {"doc_id": rng.choice(seen or [""])},
        "find": {"doc_id": rng.choice(seen or [""]), "text": rng.choice(words)},
        "judge": {"useful": rng.random() < 0.5},
        "answer": {"text": rng.choice([some, str(rng.randint(1, 2000)), "unanswerable", *words, *seen[:5]])},
    }
    if not settings.tagged:
        return call(verb, 0, **given[verb])
    inside = {"search": some, "judge": "yes" if given["judge"]["useful"] else "no", "answer": given["answer"]["text"]}
    return Action(text=f"<{verb}>{inside[verb]}</{verb}>")
