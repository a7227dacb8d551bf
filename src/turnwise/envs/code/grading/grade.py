"""Runs a submission against hidden tests of each kind."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from turnwise.envs.code.boxes import Boxes
from turnwise.envs.code.grading.compare import same, same_output
from turnwise.envs.code.grading.host import MARK, Reply, SolutionProcess, bootstrap
from turnwise.envs.code.grading.report import Report, Verdict
from turnwise.envs.code.inside.wire import NotPlain, decode
from turnwise.envs.code.settings import Case, CasesGold, ProgramGold, ScoredGold, StdinGold
from turnwise.errors import TaskError
from turnwise.sandboxes.base import Sandbox

SLOW = 3
"""Tests that may run out of time before the rest is taken for failed."""
CALLS = 20_000
"""Calls that the tests of one task may make."""
CHECKER_S = 30.0


@asynccontextmanager
async def fresh(boxes: Boxes, files: dict[str, bytes] | None = None) -> AsyncIterator[Sandbox]:
    """Make a sandbox for the time of a block."""
    box = await boxes.grading(files)
    try:
        yield box
    finally:
        with anyio.CancelScope(shield=True):
            await box.close()


async def grade_cases(boxes: Boxes, source: str, gold: CasesGold, seconds: float) -> Report:
    """Call the solution for each case and compare what comes back, here."""

    async def judge(case: Case, reply: Reply) -> Verdict:
        want = decode(case.want)
        try:
            got = decode(reply.value)
        except NotPlain as error:
            return Verdict(0.0, f"the result is {error}")
        return Verdict(1.0) if same(want, got, gold.tolerance) else Verdict(0.0, "another result")

    return await _by_case(boxes, source, gold, seconds, judge)


async def grade_scored(boxes: Boxes, source: str, gold: ScoredGold, seconds: float) -> Report:
    """Call the solution for each case and let a scorer, in a sandbox of its own, value what comes back."""
    async with fresh(boxes) as box:
        scorer = SolutionProcess(boxes, box, gold.scorer, CHECKER_S)
        if not (begun := await scorer.start()).ok:
            raise TaskError(f"the scorer does not load: {begun.why}")

        async def judge(case: Case, reply: Reply) -> Verdict:
            told = await scorer.function("score", [case.args, reply.value])
            if not told.ok or not isinstance(told.value, int | float):
                return Verdict(0.0, f"the result is of no use: {told.why}")
            return Verdict(min(1.0, max(0.0, float(told.value))), "" if told.value >= 1 else f"valued {told.value:g}")

        report = await _by_case(boxes, source, gold, seconds, judge)
        report.scored = True
        return report


async def _by_case(boxes: Boxes, source: str, gold: CasesGold | ScoredGold, seconds: float, judge: Any) -> Report:
    report, replies, slow = Report(), list[bool](), 0
    async with fresh(boxes) as box:
        solution = SolutionProcess(boxes, box, source, seconds)
        begun = await solution.start()
        _note_start(report, solution, gold.entry)
        for case in gold.cases:
            if slow >= SLOW or not begun.ok:
                report.verdicts.append(Verdict(0.0, begun.why or "not run: too many tests ran out of time"))
                continue
            reply = await solution.function(gold.entry, case.args)
            slow += reply.timed_out
            replies.append(reply.ok)
            verdict = await judge(case, reply) if reply.ok else Verdict(0.0, reply.why, reply.timed_out)
            report.verdicts.append(verdict)
    report.note(replies)
    report.exec_s = solution.exec_s
    return report


def _note_start(report: Report, solution: SolutionProcess, entry: str) -> None:
    report.milestones["compiles"] = solution.compiled
    report.milestones["loads"] = solution.loaded
    report.milestones["defined"] = solution.loaded and (not entry or entry in solution.names)


async def grade_program(boxes: Boxes, source: str, gold: ProgramGold, seconds: float) -> Report:
    """Run test code in one sandbox and pass its calls to the solution in another."""
    report = Report()
    async with fresh(boxes) as theirs, fresh(boxes) as ours:
        solution = SolutionProcess(boxes, theirs, source, seconds)
        begun = await solution.start()
        _note_start(report, solution, gold.entry)
        if begun.ok:
            await _Tests(boxes, ours, solution, report, gold).run()
    missing = len(gold.tests) - len(report.verdicts)
    report.verdicts += [Verdict(0.0, begun.why or "not run")] * missing
    report.exec_s = solution.exec_s
    return report


class _Tests:
    """Test code under way: its cells, and the calls it asks for."""

    def __init__(
        self, boxes: Boxes, box: Sandbox, solution: SolutionProcess, report: Report, gold: ProgramGold
    ) -> None:
        self._boxes, self._box, self._solution, self._report, self._gold = boxes, box, solution, report, gold
        self._replies: list[bool] = []
        self._slow = 0

    async def run(self) -> None:
        """Run until all tests have a verdict, or the test code gives up."""
        await self._cell(bootstrap("checker"))
        names = [self._gold.entry] if self._gold.entry else []
        work = {"setup": self._gold.setup, "tests": self._gold.tests, "names": names}
        event = await self._cell(f"_turnwise.begin({json.dumps(work)!r})")
        slow_here = False
        for _ in range(CALLS):
            if event is None or event["op"] == "done" or self._slow >= SLOW:
                break
            if event["op"] == "verdict":
                why = event["why"]
                self._report.verdicts.append(Verdict(float(why is None), why or "", slow_here))
                slow_here, answer = False, "{}"
            else:
                reply = await self._solution.call(event)
                self._replies.append(reply.ok)
                self._slow += reply.timed_out
                slow_here = slow_here or reply.timed_out
                answer = reply.wire()
            event = await self._cell(f"_turnwise.answer({answer!r})")
        self._report.note(self._replies)

    async def _cell(self, code: str) -> Any:
        """Run the test code on; return what it asks for, or None where it got stuck on what the solution returned."""
        result = await self._boxes.run(lambda: self._box.run_code(code, session="checker", timeout_s=CHECKER_S))
        _, mark, rest = result.stdout.rpartition(MARK)
        if result.status != "ok" or not mark:
            return None
        return json.loads(rest.partition("\n")[0])


async def grade_stdin(boxes: Boxes, source: str, gold: StdinGold, seconds: float) -> Report:
    """Run the program on each input and compare what it prints, here."""
    report, ran, slow = Report(), list[bool](), 0
    async with fresh(boxes, {"solution.py": source.encode("utf-8", "replace")}) as box:
        compiled = await boxes.run(lambda: box.run_code(f"compile({source!r}, 'solution.py', 'exec')"))
        report.milestones["compiles"] = compiled.ok
        for case in gold.cases:
            if slow >= SLOW or not compiled.ok or getattr(box, "closed", False):
                report.verdicts.append(Verdict(0.0, "it does not compile" if not compiled.ok else "not run"))
                continue
            verdict, ended, seconds_used = await _run_program(boxes, box, case, gold.compare, seconds)
            report.exec_s += seconds_used
            slow += verdict.timed_out
            ran.append(ended)
            report.verdicts.append(verdict)
    report.milestones["loads"] = report.milestones["defined"] = any(ran)
    report.note(ran)
    return report


async def _run_program(boxes: Boxes, box: Sandbox, case: Case, how: str, seconds: float) -> tuple[Verdict, bool, float]:
    result = await boxes.run(lambda: box.exec(["python3", "solution.py"], stdin=case.stdin.encode(), timeout_s=seconds))
    if result.status == "timeout":
        return Verdict(0.0, f"not ended within {seconds:g} s", timed_out=True), False, result.duration_s
    if not result.ok or result.truncated:
        return Verdict(0.0, f"it ended with {result.status}"), False, result.duration_s
    passed = same_output(case.stdout, result.stdout, how)
    return Verdict(float(passed), "" if passed else "another output"), True, result.duration_s
