"""Gold solutions are run; forks take their places together and are closed whatever happens."""

import anyio
import pytest
from pydantic import JsonValue

from turnwise.envs import Env, Grade, Snapshot, StopReason, ToolEnv, tool
from turnwise.envs.fork import Slots, fork
from turnwise.envs.prove import prove
from turnwise.errors import EnvError
from turnwise.tasks import Task


class CountEnv(ToolEnv):
    """Count to the target, one by one."""

    name = "count"
    version = "1"
    alive = 0

    async def begin(self) -> str:
        self.count = 0
        self.held = True
        CountEnv.alive += 1
        return self.task.instruction

    async def teardown(self) -> None:
        if getattr(self, "held", False):
            CountEnv.alive -= 1
        self.held = False

    def state(self) -> JsonValue:
        return self.count

    async def grade(self) -> Grade:
        right = self.count == self.task.gold["target"]
        return Grade(float(right), right)

    @tool
    def more(self) -> str:
        """Count one further."""
        self.count += 1
        return str(self.count)

    @tool
    def stop(self) -> str:
        """Stop counting."""
        self.finish(StopReason.ENDED)
        return "Stopped."


def count_task(target: int, actions: list[JsonValue] | None) -> Task:
    gold: dict[str, JsonValue] = {"target": target} | ({} if actions is None else {"actions": actions})
    return Task(id=f"c{target}", env="count", instruction=f"Count to {target}.", gold=gold)


def test_prove_lists_what_does_not_reach_success_and_why() -> None:
    async def main() -> None:
        tasks = [
            count_task(1, ["more[]", "stop[]"]),
            count_task(2, ["more[]", "stop[]"]),
            count_task(3, None),
            count_task(4, ["more[]"]),
            count_task(5, [7]),
            count_task(6, ["more[]"] * 300),
        ]
        report = await prove(CountEnv, tasks)
        assert (report.solved, report.tasks, report.ok) == (1, 6, False)
        reasons = {entry.task: entry.reason for entry in report.unsolved}
        assert reasons == {"c2": "unsolved", "c3": "no_gold", "c4": "no_gold", "c5": "error", "c6": "never_ends"}
        assert "score 0.0 at turn 2" in str(report)
        assert (await prove(CountEnv, tasks[:1])).ok
        assert CountEnv.alive == 0

    anyio.run(main)


async def at_two() -> tuple[Task, Snapshot]:
    task = count_task(3, None)
    async with CountEnv() as env:
        await env.reset(task, seed=0)
        for _ in range(2):
            await env.step("more[]")
        return task, await env.snapshot()


def test_forks_go_their_own_ways_and_are_closed() -> None:
    async def main() -> None:
        task, snapshot = await at_two()
        async with fork(CountEnv, task, snapshot, 3) as (one, two, three):
            await one.step("more[]")
            assert (await one.step("stop[]")).info.success is True
            assert (await two.step("stop[]")).info.success is False
            assert (await three.step("more[]")).observation.text == "3"
            assert CountEnv.alive == 3
        assert CountEnv.alive == 0

    anyio.run(main)


def test_an_error_in_one_fork_closes_all() -> None:
    made: list[Env] = []

    class Third(CountEnv):
        async def restore(self, snapshot: Snapshot, task: Task) -> None:
            await super().restore(snapshot, task)
            if len(made) == 3 and self is made[2]:
                raise EnvError("the third broke")

    def make() -> Env:
        made.append(Third())
        return made[-1]

    async def main() -> None:
        task, snapshot = await at_two()
        slots = Slots(3)
        with pytest.raises(EnvError, match="the third broke"):
            async with fork(make, task, snapshot, 3, limiter=slots):
                pass
        assert (CountEnv.alive, slots.free) == (0, 3)
        with pytest.raises(ZeroDivisionError):
            async with fork(CountEnv, task, snapshot, 3, limiter=slots):
                raise ZeroDivisionError
        assert (CountEnv.alive, slots.free) == (0, 3)

    anyio.run(main)


def test_places_are_taken_together_so_that_forks_cannot_starve_each_other() -> None:
    async def main() -> None:
        slots, done = Slots(4), list[int]()

        async def holder(n: int) -> None:
            async with slots.take(n):
                await anyio.sleep(0)
                done.append(n)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for n in (3, 3, 4, 1, 2):
                    group.start_soon(holder, n)
        assert (sorted(done), slots.free) == ([1, 2, 3, 3, 4], 4)
        with pytest.raises(EnvError, match="cannot take 5 places"):
            async with slots.take(5):
                pass

    anyio.run(main)


def test_waiting_for_places_can_be_cancelled() -> None:
    async def main() -> None:
        slots = Slots(2)
        async with slots.take(2):
            with anyio.move_on_after(0.01):
                async with slots.take(1):
                    pytest.fail("there was no free place")
        assert slots.free == 2
        async with slots.take(2):
            pass

    anyio.run(main)
