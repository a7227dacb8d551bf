"""Settings of the environment, what a task tells it, and what a task's gold holds."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from turnwise.envs.base import EnvConfig

ToolName = Literal["python", "bash", "write_file", "read_file", "submit"]
TOOLS: tuple[ToolName, ...] = ("python", "bash", "write_file", "read_file", "submit")


class CodeConfig(EnvConfig):
    """Settings of the ``code`` environment."""

    provider: str = "local"
    """Where code runs: a sandbox provider's name."""
    accept: tuple[str, ...] = ("memory_sum",)
    """Protections that may be missing on this machine. The sum of memory needs a cgroup, which a plain user often
    cannot make; each process is limited in any case."""
    packages: tuple[str, ...] = ()
    """Distributions of this environment that the code may import."""
    turn_s: float = Field(default=10.0, gt=0)
    """Seconds that one tool call may run."""
    memory_mib: int = Field(default=256, ge=64)
    pids: int = Field(default=32, ge=8)
    output_chars: int = Field(default=4000, ge=200)
    """Characters of a program's output that the agent is shown."""


class CodeData(BaseModel):
    """What a task tells the environment; the agent may see all of it."""

    model_config = ConfigDict(extra="forbid")

    submit: Literal["function", "program", "workspace"] = "function"
    """What is handed in: a module that defines ``entry``, a program that reads its input, or the whole workspace."""
    entry: str = ""
    """The name that a module must define."""
    tools: tuple[ToolName, ...] = TOOLS
    files: dict[str, str] = {}
    """Files of the workspace at the start, by path."""
    test_s: float = Field(default=5.0, gt=0, le=120)
    """Seconds that one test may run."""


class Case(BaseModel):
    """One call or run of a hidden test."""

    model_config = ConfigDict(extra="forbid")

    args: list[JsonValue] = []
    """Arguments as tagged JSON."""
    want: JsonValue = None
    """What must come back, as tagged JSON."""
    stdin: str = ""
    stdout: str = ""


class CasesGold(BaseModel):
    """Calls, compared outside any sandbox with what must come back."""

    kind: Literal["cases"]
    entry: str
    cases: list[Case]
    tolerance: float = 1e-6
    """Relative and absolute, where either value is a float."""


class ProgramGold(BaseModel):
    """Test code, run in a sandbox of its own; the names it does not define are the solution's."""

    kind: Literal["program"]
    entry: str = ""
    setup: str = ""
    tests: list[str]


class StdinGold(BaseModel):
    """Runs of a program, compared by what it prints."""

    kind: Literal["stdin"]
    cases: list[Case]
    compare: Literal["tokens", "lines", "exact"] = "lines"
    """``lines``: white space at the ends of lines and of the output does not count; ``tokens``: no white space does."""


class ScoredGold(BaseModel):
    """Calls whose results a scorer values, in a sandbox of its own."""

    kind: Literal["scored"]
    entry: str
    cases: list[Case]
    scorer: str
    """Python that defines ``score(args, result)``: a number in [0, 1]."""


class RepositoryGold(BaseModel):
    """Hidden test files, laid over a copy of the workspace and run there by unittest: weaker, as they import it."""

    kind: Literal["repository"]
    tests: dict[str, str]
    """Test files by path; they replace what the agent put there."""
    targets: list[str]
    """Dotted names of the tests that must pass."""
    seconds: float = 60.0


Gold = Annotated[CasesGold | ProgramGold | StdinGold | ScoredGold | RepositoryGold, Field(discriminator="kind")]


class Hidden(BaseModel):
    """The tests in ``task.gold["tests"]``."""

    tests: Gold
