"""Pages in a real browser as an environment."""

import asyncio
import random
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue, ValidationError

from turnwise.envs.gui import acting, elements, rewards, textcalls
from turnwise.envs.gui.by_id import ById
from turnwise.envs.gui.by_point import ByPoint
from turnwise.envs.gui.dom import Dom
from turnwise.envs.gui.moving import Moving
from turnwise.envs.gui.settings import GuiConfig, GuiData
from turnwise.envs.gui.show import Showing
from turnwise.envs.gui.sites import GoldStep, GuiSite, Verdict, site_class
from turnwise.envs.tools import ToolOutput
from turnwise.envs.types import Action, Grade, Observation, Status, StepResult, StopReason, TextPart, ToolCall
from turnwise.errors import EnvError, TaskError
from turnwise.tasks.canonical import fingerprint

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Engine, EngineConfig

BY_ID = ("click", "fill", "select", "press", "hover", "focus", "drag", "scroll")
BY_POINT = (
    *("click_at", "hover_at", "drag_at", "scroll_at", "mouse_down", "mouse_up"),
    *("type_text", "press", "key_down", "key_up"),
)
NAVIGATING = ("goto", "back", "forward", "tab_new", "tab_close", "tab_focus")
FIRST_MS = 1000.0
"""How far the first page's clock moves before it is shown: what it animates at its start is over then."""
ENDING = ("wait", "answer", "infeasible")


class GuiEnv(ById, ByPoint, Moving, Showing):
    """Do on web pages what an instruction asks: by element ids, by points of a screenshot, or by written calls."""

    name = "gui"
    version = "1"
    replay = "checked"
    default_panel = "gui/miniwob"
    luck = 0.4
    Config = GuiConfig
    Data = GuiData
    PRESETS: ClassVar[dict[str, dict[str, float]]] = rewards.PRESETS

    # The episode.

    async def begin(self) -> Observation:
        """Open a fresh browser context on the task's site."""
        from turnwise.envs.gui.engine import Engine

        engine = await Engine.shared(self.engine_config)
        async with engine.loading:
            return await self._opened(engine)

    async def _opened(self, engine: "Engine") -> Observation:
        site = self._made()
        self._site = site
        session = await engine.open(
            sites=await site.sites(),
            viewport=site.viewport,
            uploads=tuple(site.uploads.values()),
            init_scripts=site.init_scripts,
            library=elements.LIBRARY,
        )
        self._begin_pages(site, session)
        self._verdict: Verdict | None = None
        await session.active.goto(site.start, FIRST_MS)
        goal = await site.begin(session)
        # Now, or the first action would take twice as long.
        await session.active.heed()
        await self._go_ahead()
        parts = await self.page_parts()
        return Observation(parts=(TextPart(text=self._asked(goal)), *parts))

    async def _go_ahead(self) -> None:
        """Take the first steps of the solution where the task has the agent begin nearer to the goal."""
        for number in range(1, self.site.solved + 1):
            await self.page_parts()
            for call in (await acting.gold(self, await self.site.gold(self.session))).calls:
                output = await super()._run(call)
                if output.status is not Status.OK:
                    raise EnvError(f"task {self.task.id!r}: step {number} of its solution, {call.name!r}, failed")
            await self.session.active.settle()
            if (await self.site.verdict(self.session, final=False)).done:
                raise TaskError(f"task {self.task.id!r} is over after {number} steps; begin it with fewer taken")

    @property
    def engine_config(self) -> "EngineConfig":
        """What the settings say of the browser; environments that agree on it share one."""
        from turnwise.envs.gui.engine import EngineConfig

        names = ("executable", "chromium_sandbox", "restart_after")
        return EngineConfig(**{name: getattr(self.config, name) for name in names})

    def _made(self) -> GuiSite:
        cls = site_class(self.data.site)
        try:
            cls.Data.model_validate(self.task.data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "data"
            raise TaskError(f"task {self.task.id!r} does not fit gui: {where}: {first['msg']}") from error
        return cls(self.task, self.seed)

    def _asked(self, goal: str) -> str:
        said = self.task.instruction if goal in self.task.instruction else f"{self.task.instruction}\n{goal}"
        lines = [said]
        if self.site.uploads:
            lines.append(f"Files you may upload: {', '.join(self.site.uploads)}")
        if self.config.interface == "text":
            lines.append(
                "Act by writing one call or several, one a line. Texts are in quotes, element ids (bid) too.\n\n"
                f"{textcalls.vocabulary(self.tools)}"
            )
        return "\n\n".join(lines) + "\n"

    async def teardown(self) -> None:
        """Close the browser context and the site."""
        session, site, self._session, self._site = self._session, self._site, None, None
        try:
            if session is not None:
                session.leave()
        finally:
            if site is not None:
                await site.close()

    async def close(self) -> None:
        """Free what the episode holds; returns when the browser has thrown its context away."""
        session = self._session
        await super().close()
        if session is not None:
            await session.close()

    def offered(self) -> tuple[str, ...]:
        """Return the tools that the settings and the task's site make sense of."""
        names: list[str] = []
        if self.config.targets != "coordinates":
            names += [*BY_ID, *(("upload",) if self.site.uploads else ())]
        if self.config.targets != "id" or self.site.pointer:
            names += BY_POINT
        if self.site.navigates:
            names += NAVIGATING
        if self.config.page != "none":
            names.append("more")
        return tuple(dict.fromkeys([*names, *ENDING]))

    # Turns.

    async def step(self, action: Action | str) -> StepResult:
        """Take one turn."""
        self._gold_step = await self._reference() if self.compares and self._over is None else None
        if self._site is not None:
            self._site.turn = self._turn
        return await super().step(action)

    async def _run(self, call: ToolCall) -> ToolOutput:
        self._hit = None
        output = await super()._run(call)
        await self._compared(call)
        if self._over is None:
            await self.session.active.settle()
            await self._stopped_by_page(last=self._log[-1].calls[-1:] == (call,))
        return output

    async def _stopped_by_page(self, *, last: bool) -> None:
        asked = self.site.verdict(self.session, final=False)
        if last:
            # The page stands still, so that what the turn shows of it can be looked at meanwhile.
            verdict, self._ahead = await asyncio.gather(asked, self.session.active.snapshot(Dom))
        else:
            verdict = await asked
        if verdict.done:
            self._verdict = verdict
            self.finish(StopReason.SOLVED if verdict.success else StopReason.ENDED)

    async def beside(self, observation: Observation) -> Observation:
        """Show the page with the last answer."""
        if self._over is not None:
            return observation
        return acting.with_page(observation, await self.page_parts())

    def parse(self, text: str) -> Action:
        """Read written calls such as ``click('12')``; ``tool[argument]`` is understood too."""
        reading = textcalls.read(text, self.tools)
        if not reading.calls:
            return Action(text=text) if reading.error else super().parse(text)
        return Action(text=text, calls=acting.numbered(reading.calls, f"t{self._turn + 1}"))

    async def on_text(self, text: str) -> ToolOutput:
        """Run the calls that a message writes, or tell what is wrong with them."""
        reading = textcalls.read(text, self.tools)
        if reading.error:
            return ToolOutput.of(reading.error, Status.INVALID)
        if not reading.calls:
            return await self._nothing(text)
        results = [await self._answer(call) for call in acting.numbered(reading.calls, f"t{self._turn}")]
        parts = tuple(part for result in results for part in result.parts)
        return ToolOutput(parts=parts, status=Status.worst([result.status for result in results]))

    async def _nothing(self, text: str) -> ToolOutput:
        if self.config.interface == "tools":
            return await super().on_text(text)
        return ToolOutput.of(
            f"No action was found. Write one such as {acting.example(self.config.targets)}.", Status.INVALID
        )

    # State and grade.

    def state(self) -> JsonValue:
        """Return nothing: the state is the page's, which ``state_key`` asks for."""
        return None

    async def state_key(self) -> str:
        """Hash the live pages with what their fields hold, the addresses, and what the server behind them keeps."""
        page, self._fresh = self._fresh or await self._looked(), None
        tabs = [tab.url for tab in self.session.tabs]
        active = self.session.tabs.index(self.session.active)
        server = await self.site.state()
        return fingerprint(
            {"page": page, "tabs": [*tabs], "active": active, "server": server, "over": self._over is not None}
        )

    async def grade(self) -> Grade:
        """Ask the site."""
        verdict = self._verdict or await self.site.verdict(self.session, final=True)
        for name, value in verdict.parts.items():
            self.pay(name, value)
        self.pay("success", float(verdict.success))
        if self._weights.get("completion"):
            self.pay("completion", float(verdict.done or self.site.ended is not None))
        if self._weights.get("judge"):
            # A judge is asked after the episode, never within a step.
            self.pay("judge", None)
        return Grade(verdict.score, verdict.success)

    def metrics(self) -> dict[str, float]:
        """Count dialogs, refused requests and elements shown."""
        if self._session is None:
            return {}
        shown = len(self._tree.shown) if self._tree else 0
        return {
            "dialogs": float(self._told_dialogs),
            "blocked": float(self._told_blocked),
            "elements": float(shown),
        }

    # Comparison with the gold, turn by turn; only where a preset weighs it.

    async def _reference(self) -> GoldStep | None:
        try:
            return await self.site.gold(self.session)
        except EnvError:
            return None

    async def _compared(self, call: ToolCall) -> None:
        gold, self._gold_step = self._gold_step, None
        if gold is None or isinstance(call.arguments, str):
            return
        done = rewards.Done(tool=call.name, target=self._hit, text=rewards.text_of(call.name, call.arguments))
        around = () if self._hit is None else self._dom.around(self._hit)
        for name, value in rewards.step_parts(done, gold, around).items():
            self.pay(name, value)

    # For the harness.

    async def gold_action(self) -> Action:
        """Return the next action of the task's scripted solution."""
        self.site.turn = self._turn
        return await acting.gold(self, await self.site.gold(self.session))

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random action that makes sense on the page shown."""
        return acting.wander(self, rng)

    async def progress(self) -> float:
        """Return what ending now would earn."""
        return (await self.site.verdict(self.session, final=True)).score
