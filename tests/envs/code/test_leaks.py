"""Many episodes, with programs of every kind, leave nothing on the machine; together they score as one by one."""

import os
import random
import tempfile
from pathlib import Path

import anyio
import psutil
import pytest

from code_cheats import CHEATS
from code_tasks import RIGHT, call, doubling
from turnwise.envs import Action
from turnwise.envs.code import CodeConfig, CodeEnv
from turnwise.sandboxes import cgroups

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("local")]
AT_ONCE = 32
BAD = (
    "while True: pass",
    "import os\nwhile True: os.fork()",
    "x = 'a' * 10**10",
    "import os\nif os.fork() == 0: os.setsid(); os.execvp('sleep', ['sleep', '1000'])",
    "import os; os._exit(3)",
    "open('a', 'w').write('x' * 10**6); import os; os.mkfifo('b'); os.chmod('a', 0)",
    "def f(:",
    "for i in range(10**5): print(i)",
)


def played(number: int) -> tuple[list[Action], float]:
    """Return the actions of one episode and the score they must get."""
    rng = random.Random(number)
    actions = [call("python", code=rng.choice(BAD))] if number % 4 == 0 else []
    actions += [call("bash", command="sleep 1000 & echo on")] if number % 4 == 1 else []
    source, score = (RIGHT, 1.0) if number % 2 else (CHEATS[rng.choice(sorted(CHEATS))], 0.0)
    return [*actions, call("submit", code=source)], score


async def score(number: int) -> float | None:
    actions, _ = played(number)
    async with CodeEnv(CodeConfig(turn_s=0.5)) as env:
        await env.reset(doubling(test_s=0.5), seed=number)
        for action in actions[:-1]:
            await env.step(action)
        return (await env.step(actions[-1])).info.score


async def scores(numbers: range, at_once: int) -> list[float | None]:
    found: dict[int, float | None] = {}
    limiter = anyio.CapacityLimiter(at_once)

    async def one(number: int) -> None:
        async with limiter:
            found[number] = await score(number)

    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(one, number)
    return [found[number] for number in numbers]


def left() -> dict[str, int]:
    """Count what an episode could leave: child processes, descriptors, mounts, control groups, temporary files."""
    me, where = psutil.Process(), cgroups.hierarchy()
    name = f"turnwise-{os.getpid()}-*"
    groups = [path for parent in set(where.parents.values()) for path in parent.glob(name)] if where else []
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").count("\n")
    return {
        "processes": len(me.children(recursive=True)),
        "descriptors": me.num_fds(),
        "mounts": mounts,
        "groups": len(groups),
        "files": len(list(Path(tempfile.gettempdir()).glob(name))),
    }


async def nothing_is_left_by(episodes: int, warm: int) -> None:
    assert await scores(range(warm), AT_ONCE) == [played(number)[1] for number in range(warm)]
    before, memory = left(), psutil.Process().memory_info().rss
    for first in range(warm, episodes, 500):
        numbers = range(first, min(first + 500, episodes))
        assert await scores(numbers, AT_ONCE) == [played(number)[1] for number in numbers]
    assert left() == before
    # Allocators keep some of what they were given; what grows with the episodes would be far more.
    assert psutil.Process().memory_info().rss - memory < 64 << 20


async def test_episodes_leave_nothing_behind() -> None:
    await nothing_is_left_by(48, 16)


@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_five_thousand_episodes_leave_nothing_behind() -> None:
    await nothing_is_left_by(5000, 200)


async def test_thirty_two_at_once_score_as_one() -> None:
    together = await scores(range(AT_ONCE), AT_ONCE)
    assert together == await scores(range(AT_ONCE), 1)
