"""Branches of a sandbox: the quick way to try several continuations of one state.

The interpreter of each session is copied by the kernel (fork), the workspace by a copy of its files. Branches live in
the same sandbox: they share its limits and trust one another. `Sandbox.fork` gives sandboxes that do not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from turnwise.errors import SandboxError
from turnwise.sandboxes.base import ExecResult, Language
from turnwise.sandboxes.resident import ResidentSandbox

FOLDER = ".branches"
_COPY = (
    'mkdir -p "$1" && find . -mindepth 1 -maxdepth 1 ! -name ' + FOLDER + ' -exec cp -a {} "$1"/ \\;'
)  # fmt: skip


class Branch:
    """One continuation: its own sessions and files, addressed as those of a sandbox.

    Relative paths are below its own copy of the workspace; an absolute path that the code had built before names the
    origin's file.
    """

    def __init__(self, box: ResidentSandbox, number: int) -> None:
        self._box, self._number = box, number
        self.folder = f"{FOLDER}/{number}"

    def _named(self, session: str) -> str:
        return f"{session}@{self._number}"

    async def run_code(
        self, code: str, *, language: Language = "python", session: str, timeout_s: float = 30
    ) -> ExecResult:
        """Run the next cell of this branch's copy of a session."""
        if (language, self._named(session)) not in self._box.sessions:
            raise SandboxError(f"session {session!r} was not open when this branch was made, or was lost")
        return await self._box.run_code(code, language=language, session=self._named(session), timeout_s=timeout_s)

    async def exec(
        self, command: str | Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 30
    ) -> ExecResult:
        """Run a command in this branch's copy of the workspace."""
        return await self._box.exec(command, cwd=self.folder, env=env, timeout_s=timeout_s)

    async def read_file(self, path: str, *, max_bytes: int = 10 << 20) -> bytes:
        """Read a file of this branch."""
        return await self._box.read_file(f"{self.folder}/{path}", max_bytes=max_bytes)

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file of this branch."""
        await self._box.write_file(f"{self.folder}/{path}", data)

    async def download(self, source: str, target: Path) -> None:
        """Copy a file or folder of this branch to the host."""
        await self._box.download(f"{self.folder}/{source}", target)

    async def close(self) -> None:
        """End this branch's sessions and remove its files."""
        for language, session in sorted(self._box.sessions):
            if session.endswith(f"@{self._number}"):
                await self._box.close_session(session, language=language)
        await self._box.exec(["rm", "-rf", self.folder])


async def branches(box: ResidentSandbox, count: int) -> list[Branch]:
    """Copy the sessions and files of a sandbox ``count`` times inside it.

    Args:
        box: A sandbox with sessions in ``python`` or ``sql``; the threads of their code are not copied.
        count: How many; sessions and files count towards the sandbox's limits.

    Raises:
        SandboxError: A ``bash`` session is open (it cannot be copied: use `Sandbox.fork`), or a limit was reached.
    """
    open_now = sorted(box.sessions)
    if any(language == "bash" for language, _ in open_now):
        raise SandboxError("a bash session cannot be copied in place: close it, or use fork()")
    made = []
    for _ in range(count):
        branch = Branch(box, box.next_branch())
        copied = await box.exec(["bash", "-c", _COPY, "copy", branch.folder])
        if not copied.ok:
            raise SandboxError(f"the workspace could not be copied: {copied.stderr[-300:]}")
        for language, session in open_now:
            if "@" not in session:
                await box.copy_session(
                    language, session, f"{session}@{branch.folder.rpartition('/')[2]}", branch.folder
                )
        made.append(branch)
    return made
