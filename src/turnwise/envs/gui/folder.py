"""An author's own pages: a folder of files and a small JSON contract, ``gui.json``.

The folder is packed, the same bytes on every machine, and kept as an asset; the task names it by digest. The reward is
a JavaScript expression that is evaluated in an isolated world, where no script of the page can reach it, or a Python
function.
"""

import importlib
import inspect
import io
import mimetypes
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from turnwise.envs.gui.sites import GoldStep, GuiSite, Verdict
from turnwise.errors import EnvError, TaskError
from turnwise.tasks import assets
from turnwise.tasks.base import Task, TaskSet

if TYPE_CHECKING:
    from turnwise.envs.gui.engine import Session, Site, SiteRequest, SiteResponse

HOST = "page.test"
CONTRACT = "gui.json"
MOST_FILES, MOST_BYTES = 2000, 32 * 2**20
_TYPES = mimetypes.MimeTypes()
"""Python's own table: the system's files would make it another on each machine."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_SEEN = """() => ({url: location.href, title: document.title, html: document.documentElement.outerHTML,
  text: document.body?.innerText ?? '', fields: Object.fromEntries(
    [...document.querySelectorAll('input, select, textarea')].map((field, index) => [
      field.name || field.id || String(index),
      ['checkbox', 'radio'].includes(field.type) ? field.checked : field.value]))})"""
_TRIED = "() => {{ try {{ return {{value: ({expression})}} }} catch (error) {{ return {{error: String(error)}} }} }}"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Strict):
    """One step of a solution."""

    tool: str
    selector: str | None = None
    """CSS selector of the element the tool acts on."""
    to: str | None = None
    """CSS selector of the element a drag ends on."""
    args: dict[str, JsonValue] = {}


class Contract(_Strict):
    """What ``gui.json`` says."""

    goal: str = Field(min_length=1)
    """What the agent is asked."""
    start: str = "index.html"
    reward: str | None = None
    """JavaScript expression: a number in [0, 1] or a boolean. One that throws counts 0."""
    done: str | None = None
    """JavaScript expression: whether the episode is over; None: when the agent answers or a limit is reached."""
    verifier: str | None = None
    """``module:function`` instead of ``reward``: called with a ``PageState``, it returns a number or a boolean."""
    viewport: tuple[int, int] = (1024, 768)
    uploads: tuple[str, ...] = ()
    """Files of the folder that the agent may upload; they are not served."""
    gold: tuple[Step, ...] = ()
    difficulty: int | None = None
    tags: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    split: str = "test"


class FolderData(_Strict):
    """The data of a task of an author's pages."""

    site: Literal["folder"]
    pages: str
    """The packed folder: ``sha256:<hex>``."""
    start: str = "index.html"
    viewport: tuple[int, int] = (1024, 768)
    uploads: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PageState:
    """What a verifier is given of the page at the end."""

    url: str
    title: str
    html: str
    text: str
    fields: Mapping[str, str | bool]
    """What the form fields hold, by name, else id, else position."""
    answer: str | None
    """What the agent answered; None: nothing."""
    infeasible: bool
    """Whether the agent said that it cannot be done."""


class FolderSite(GuiSite):
    """Pages from a packed folder."""

    Data = FolderData

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self.data = FolderData.model_validate(task.data)
        self.start = f"https://{HOST}/{self.data.start}"
        self.viewport = self.data.viewport
        self._unpacked: Any = None

    async def sites(self) -> "Mapping[str, Site]":
        """Unpack the folder."""
        packed = assets.find(self.data.pages)
        self._files = await anyio.to_thread.run_sync(_unpack, packed)
        if self.data.uploads:
            self._unpacked = await anyio.to_thread.run_sync(_laid_out, self._files, self.data.uploads)
            self.uploads = {name: str(Path(self._unpacked.name) / name) for name in self.data.uploads}
        return {HOST: self._answer}

    async def begin(self, session: "Session") -> str:
        """Check that the expressions can be read."""
        for name in ("reward", "done"):
            await self._evaluated(session, name)
        return self.task.instruction

    async def verdict(self, session: "Session", *, final: bool) -> Verdict:
        """Evaluate the reward when the episode is over."""
        done = bool(await self._evaluated(session, "done"))
        if not (done or final):
            return Verdict()
        score = await self._score(session)
        return Verdict(done=done, score=score, success=score == 1.0)

    async def gold(self, session: "Session") -> GoldStep:
        """Return the next step of the contract's ``gold``."""
        steps = self.task.gold.get("steps")
        if not isinstance(steps, list) or self.turn >= len(steps):
            raise EnvError(f"task {self.task.id!r} has no gold step {self.turn + 1}")
        step = Step.model_validate(steps[self.turn])
        node = None if step.selector is None else await self._found(session, step.selector)
        to = None if step.to is None else await self._found(session, step.to)
        return GoldStep(tool=step.tool, node=node, to=to, args=step.args)

    async def close(self) -> None:
        """Remove the files for uploads."""
        if self._unpacked is not None:
            self._unpacked.cleanup()

    async def _answer(self, request: "SiteRequest") -> "SiteResponse":
        from turnwise.envs.gui.engine import SiteResponse

        path = request.path.lstrip("/") or self.data.start
        body = None if path in self.data.uploads else self._files.get(path)
        if body is None:
            return SiteResponse(404, {"content-type": "text/plain; charset=utf-8"}, b"There is no such page.")
        kind = _TYPES.guess_type(path)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        return SiteResponse(200, {"content-type": kind + charset}, body)

    async def _score(self, session: "Session") -> float:
        verifier = self.task.gold.get("verifier")
        value = (
            await self._verified(session, verifier)
            if isinstance(verifier, str)
            else await self._evaluated(session, "reward")
        )
        return _unit(value, self.task.id)

    async def _verified(self, session: "Session", verifier: str) -> object:
        seen = await session.active.isolated(_SEEN)
        ended = self.ended
        state = PageState(
            **seen,
            answer=ended.text if ended and ended.how == "answer" else None,
            infeasible=bool(ended and ended.how == "infeasible"),
        )
        function = _function(verifier, self.task.id)
        if inspect.iscoroutinefunction(function):
            return await function(state)
        return await anyio.to_thread.run_sync(function, state)

    async def _evaluated(self, session: "Session", name: str) -> JsonValue:
        """Return the value of an expression of the gold; None where there is none, or where it throws."""
        from turnwise.envs.gui.engine import ProtocolError

        expression = self.task.gold.get(name)
        if not isinstance(expression, str):
            return None
        try:
            result: Any = await session.active.isolated(_TRIED.format(expression=expression))
        except ProtocolError as error:
            raise TaskError(f"task {self.task.id!r}: gold.{name} is no JavaScript expression: {error}") from error
        value: JsonValue = result.get("value")
        return value

    async def _found(self, session: "Session", selector: str) -> int:
        node = await session.active.isolated_node("selector => document.querySelector(selector)", selector)
        if node is None:
            raise EnvError(f"task {self.task.id!r}: gold step {self.turn + 1}: no element is {selector!r}")
        return node


def folders(path: Path) -> TaskSet:
    """Import tasks from a folder with a ``gui.json``, or from the folder of such folders.

    Raises:
        TaskError: No contract is there, it is malformed, or the folder cannot be packed.
    """
    found = [path] if (path / CONTRACT).is_file() else sorted(p for p in path.glob("*/") if (p / CONTRACT).is_file())
    if not found:
        raise TaskError(f"{path}: no {CONTRACT} is there, nor in a folder in it")
    return TaskSet(name=f"gui/{path.resolve().name}", tasks=tuple(folder_task(folder) for folder in found))


def folder_task(folder: str | Path) -> Task:
    """Make the task of one folder.

    Raises:
        TaskError: The contract is malformed, or the folder cannot be packed.
    """
    folder = Path(folder)
    try:
        contract = Contract.model_validate_json((folder / CONTRACT).read_bytes())
    except OSError as error:
        raise TaskError(f"{folder / CONTRACT}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise TaskError(f"{folder / CONTRACT}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    files = _read(folder)
    _require(contract, files, folder)
    return Task(
        id=folder.resolve().name,
        env="gui",
        split=contract.split,
        instruction=contract.goal,
        data={
            "site": "folder",
            "pages": _packed(files),
            "start": contract.start,
            "viewport": [*contract.viewport],
            "uploads": [*contract.uploads],
        },
        gold=_gold(contract),
        difficulty=contract.difficulty,
        hints=contract.hints,
        tags=contract.tags,
        source=f"folder {folder.resolve().name}",
    )


def _gold(contract: Contract) -> dict[str, JsonValue]:
    named = {"reward": contract.reward, "done": contract.done, "verifier": contract.verifier}
    gold: dict[str, JsonValue] = {name: value for name, value in named.items() if value is not None}
    if contract.gold:
        gold["steps"] = [step.model_dump(mode="json") for step in contract.gold]
    return gold


def _require(contract: Contract, files: Mapping[str, bytes], folder: Path) -> None:
    if (contract.reward is None) == (contract.verifier is None):
        raise TaskError(f"{folder / CONTRACT}: give either reward or verifier")
    for name in (contract.start.partition("?")[0].partition("#")[0], *contract.uploads):
        if name not in files:
            raise TaskError(f"{folder / CONTRACT}: the folder holds no {name!r}")


def _read(folder: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise TaskError(f"{path}: a link cannot be packed; put the file itself there")
        if path.is_file() and name != CONTRACT:
            files[name] = path.read_bytes()
        if len(files) > MOST_FILES or sum(map(len, files.values())) > MOST_BYTES:
            raise TaskError(f"{folder}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
    return files


def _packed(files: Mapping[str, bytes]) -> str:
    """Pack files, the same bytes for the same files, and keep the pack as an asset."""
    import tempfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as pack:
        for name, content in sorted(files.items()):
            pack.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "pages.zip"
        target.write_bytes(buffer.getvalue())
        return assets.put(target)


@lru_cache(maxsize=32)
def _unpack(packed: Path) -> Mapping[str, bytes]:
    try:
        with zipfile.ZipFile(packed) as pack:
            entries = pack.infolist()
            if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise TaskError(f"{packed}: more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
            return {entry.filename: pack.read(entry) for entry in entries}
    except zipfile.BadZipFile as error:
        raise TaskError(f"{packed}: is no pack of pages: {error}") from error


def _laid_out(files: Mapping[str, bytes], names: tuple[str, ...]) -> Any:
    """Write the files for uploads into a directory of their own, which the caller removes."""
    import tempfile

    directory = tempfile.TemporaryDirectory(prefix="turnwise-upload-")
    for name in names:
        target = Path(directory.name) / name
        if not target.resolve().is_relative_to(Path(directory.name).resolve()):
            raise TaskError(f"upload {name!r} leaves its folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files[name])
    return directory


def _function(spec: str, task: str) -> Any:
    module, _, name = spec.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskError(f"task {task!r}: verifier {spec!r} cannot be imported: {error}") from error


def _unit(value: object, task: str) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, bool | int | float) or not 0 <= value <= 1:
        raise TaskError(f"task {task!r}: the reward is {value!r}; it must be a number in [0, 1] or a boolean")
    return float(value)
