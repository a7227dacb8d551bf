"""Draws programs to write: as functions, as programs that read an input, as bugs to find."""

import random
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from turnwise.envs.code.generate import optimisation, parsing, simulation, wrangling
from turnwise.envs.code.generate.bugs import with_bug
from turnwise.envs.code.generate.draft import Draft, Family
from turnwise.envs.code.inside.wire import encode
from turnwise.tasks.base import Task
from turnwise.tasks.canonical import digest
from turnwise.tasks.generate import Generator, Knobs

FAMILIES: dict[str, tuple[Family, ...]] = {
    "parsing": (parsing.pairs, parsing.ranges, parsing.calculate),
    "simulation": (simulation.robot, simulation.automaton, simulation.scheduler),
    "wrangling": (wrangling.report, wrangling.join),
    "optimisation": (optimisation.knapsack, optimisation.assignment, optimisation.tour),
}
REPAIRED = (parsing.pairs, parsing.ranges, simulation.robot, simulation.automaton, wrangling.report, wrangling.join)
"""Programs whose loops end whatever is changed in them."""
Kind = Literal["parsing", "simulation", "wrangling", "optimisation", "repair"]
KINDS: tuple[Kind, ...] = ("parsing", "simulation", "wrangling", "optimisation", "repair")


class CodeKnobs(Knobs):
    """What the generator can be told."""

    kinds: tuple[Kind, ...] = Field(default=KINDS, min_length=1)
    examples: int = Field(default=2, ge=0, le=4)
    """Examples that the instruction shows; they are among the hidden tests."""
    stdin: float = Field(default=0.4, ge=0, le=1)
    """Share, of the programs that take a text, which are to read it from standard input."""


class CodeGenerator(Generator):
    """Programs of several families with hidden tests and a proved reference."""

    name = "code"
    version = "1"
    env = "code"
    Knobs = CodeKnobs
    tries: ClassVar[int] = 400

    def draw(self, rng: random.Random) -> Task | None:
        """Draw one task."""
        kind: Kind = rng.choice(self.knobs.kinds)
        draft = rng.choice(REPAIRED if kind == "repair" else FAMILIES[kind])(rng)
        results = run_reference(draft.reference, draft.entry, draft.inputs)
        if _dull(results) and draft.scorer is None:
            return None
        if draft.scorer is not None:
            return self._scored(draft, results)
        if kind == "repair":
            return self._repair(draft, results, rng)
        if draft.as_text and rng.random() < self.knobs.stdin:
            return self._program(draft, results)
        return self._function(draft, results)

    def identity(self, task: Task) -> str:
        """Return the reference: one program in several dresses stays in one split."""
        return digest({"reference": task.gold["reference"]})

    def _function(self, draft: Draft, results: list[Any]) -> Task:
        words = draft.words + self._examples(draft, results)
        return _task(draft, words, {"entry": draft.entry}, _cases(draft, results), draft.reference)

    def _repair(self, draft: Draft, results: list[Any], rng: random.Random) -> Task | None:
        broken = with_bug(draft.reference, rng)
        try:
            got = run_reference(broken, draft.entry, draft.inputs)
        except (ArithmeticError, LookupError, TypeError, ValueError, NameError, AttributeError):
            return None
        if encode(got) == encode(results):
            return None
        words = (
            f"The file solution.py defines {draft.entry}, but it has a bug. Find it and hand in the repaired file. "
            f"This "
            f"is what it was to do. {draft.words}" + self._examples(draft, results)
        )
        data: dict[str, JsonValue] = {"entry": draft.entry, "files": {"solution.py": broken}}
        task = _task(draft, words, data, _cases(draft, results), draft.reference, look="cat solution.py")
        return task.model_copy(update={"tags": ("repair", draft.family), "difficulty": draft.difficulty})

    def _program(self, draft: Draft, results: list[Any]) -> Task:
        source = f"{draft.reference}\n\nimport sys\n\nprint({draft.entry}(sys.stdin.read().rstrip('\\n')))\n"
        words = (
            f"{draft.words} Make it a program: it reads the text from standard input (without the end of the line) and "
            "prints what the function returns, as Python's print shows it." + self._examples(draft, results)
        )
        cases: list[JsonValue] = [
            {"stdin": f"{args[0]}\n", "stdout": f"{result}\n"}
            for args, result in zip(draft.inputs, results, strict=True)
        ]
        tests: dict[str, JsonValue] = {"kind": "stdin", "cases": cases}
        return _task(draft, words, {"submit": "program"}, tests, source, try_with=draft.inputs[3][0])

    def _scored(self, draft: Draft, results: list[Any]) -> Task | None:
        space: dict[str, Any] = {}
        exec(draft.scorer or "", space)  # noqa: S102 - our own text
        bounds = {}
        for args, result in zip(draft.inputs, results, strict=True):
            low, high = space["base"](args), space["value"](args, result)
            if high <= low:
                return None
            bounds[repr(list(args))] = [low, high]
        scorer = f"{draft.scorer}\n\nBOUNDS = {bounds!r}\n{_SCORE}"
        cases: list[JsonValue] = [{"args": [encode(item) for item in args]} for args in draft.inputs]
        tests: dict[str, JsonValue] = {"kind": "scored", "entry": draft.entry, "cases": cases, "scorer": scorer}
        words = f"{draft.words} You are graded by how near you come to the best there is; the inputs are small."
        example = f"\n\nExample input: {', '.join(map(repr, draft.inputs[0]))}"
        return _task(draft, words + example, {"entry": draft.entry}, tests, draft.reference)

    def _examples(self, draft: Draft, results: list[Any]) -> str:
        pairs = list(zip(draft.inputs, results, strict=True))[3 : 3 + self.knobs.examples]
        shown = [f"{draft.entry}({', '.join(map(repr, args))}) returns {result!r}" for args, result in pairs]
        return "\n\nExamples:\n" + "\n".join(shown) if shown else ""


_SCORE = """

def score(args, result):
    low, high = BOUNDS[repr(args)]
    got = value(args, result)
    return 0.0 if got is None else max(0.0, (got - low) / (high - low))
"""


def run_reference(source: str, entry: str, inputs: tuple[tuple[Any, ...], ...]) -> list[Any]:
    """Run a program of ours on its inputs."""
    space: dict[str, Any] = {"__name__": "reference"}
    exec(compile(source, "reference.py", "exec"), space)  # noqa: S102 - our own text
    return [space[entry](*args) for args in inputs]


def _dull(results: list[Any]) -> bool:
    """Whether an answer that looks at nothing would be right too often."""
    shown = [repr(result) for result in results]
    return max(map(shown.count, shown)) > len(shown) // 2


def _cases(draft: Draft, results: list[Any]) -> dict[str, JsonValue]:
    cases: list[JsonValue] = [
        {"args": [encode(item) for item in args], "want": encode(result)}
        for args, result in zip(draft.inputs, results, strict=True)
    ]
    return {"kind": "cases", "entry": draft.entry, "cases": cases}


def _task(
    draft: Draft,
    words: str,
    data: dict[str, JsonValue],
    tests: dict[str, JsonValue],
    source: str,
    *,
    look: str = "ls",
    try_with: str | None = None,
) -> Task:
    args = draft.inputs[3 if len(draft.inputs) > 6 else 0]
    trial = f"from solution import {draft.entry}\n{draft.entry}({', '.join(map(repr, args))})"
    check = _call("python", code=trial) if try_with is None else _call("bash", command=_piped(try_with))
    actions: list[JsonValue] = [
        _call("bash", command=look),
        _call("write_file", path="solution.py", content=source),
        check,
        _call("submit", path="solution.py"),
    ]
    return Task(
        id="draft",
        env="code",
        instruction=words,
        data=data,
        gold={"tests": tests, "reference": draft.reference, "actions": actions},
        difficulty=draft.difficulty,
        tags=(draft.family,),
    )


def _piped(text: str) -> str:
    return f"python3 solution.py <<'END'\n{text}\nEND"


def _call(name: str, **arguments: JsonValue) -> JsonValue:
    return {"calls": [{"id": "gold", "name": name, "arguments": arguments}]}
