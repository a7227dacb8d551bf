"""Runs the abuse probes on a provider and judges from the host's side what became of them."""

import json
import socket
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from turnwise import sandboxes
from turnwise.errors import OutputLimitExceededError, SandboxFileError
from turnwise.sandboxes import ExecResult, Sandbox, SandboxProvider, SandboxResources, SandboxSpec

PROBES: dict[str, dict[str, str]] = {
    probe["name"]: probe
    for probe in json.loads((Path(__file__).parents[1] / "data/sandboxes/probes.json").read_text(encoding="utf-8"))
}
PORT, ABSTRACT = 45991, "\0sbxprobe"
# Programs that must be ended by the clock: a short one, so that the list does not take minutes.
ENDLESS = {
    "infinite_loop", "sleep_forever", "catastrophic_regex", "ignore_signals", "close_stdout", "sql_recursive",
}  # fmt: skip
# What a process may try on an unisolated backend without harm to the machine; all must be reported as escaped there.
HARMLESS = [
    "read_secrets", "environ_secrets", "see_host_processes", "host_loopback", "abstract_socket", "user_namespace",
    "no_new_privs", "network_interfaces", "symlink_out",
]  # fmt: skip
SPEC = SandboxSpec(resources=SandboxResources(memory_mib=256, pids=64, disk_mib=64))


@dataclass
class Host:
    """What the probes look for on the machine."""

    secret: Path


@contextmanager
def host_traps() -> Iterator[Host]:
    """Open the services and the file that no probe may reach; SBX_SECRET must be in the caller's environment."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        secret = Path(folder, "secret")
        secret.write_text("secret", encoding="ascii")
        secret.chmod(0o600)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind(("127.0.0.1", PORT))
        tcp.listen()
        unix.bind(ABSTRACT)
        unix.listen()
        yield Host(secret)


async def refused(call: Awaitable[object], kinds: tuple[type[Exception], ...] = (SandboxFileError,)) -> bool:
    """Whether a call was refused, at once."""
    try:
        with anyio.fail_after(5):
            await call
    except kinds:
        return True
    return False


async def _symlink_out(box: Sandbox, _result: ExecResult) -> bool:
    """The download is refused, and there is no way past it: the host's own `open` does not find the link either."""
    if (Path(box.spec.workdir) / "out.txt").is_file():
        return False
    return await refused(box.read_file("out.txt")) and await refused(box.read_file("sub/link/passwd"))


async def _fifo_out(box: Sandbox, _result: ExecResult) -> bool:
    return await refused(box.read_file("out.txt"))


async def _sparse_file(box: Sandbox, _result: ExecResult) -> bool:
    return await refused(box.read_file("sparse"), (SandboxFileError, OutputLimitExceededError)) or (
        await box.read_file("sparse") == b""
    )


async def _daemon_survives(box: Sandbox, _result: ExecResult) -> bool:
    left = await box.run_code("import os\nprint(len([d for d in os.listdir('/proc') if d.isdigit()]))")
    return int(left.stdout) <= 2


def _is(**wanted: Any) -> Callable[[Sandbox, ExecResult], Awaitable[bool]]:
    async def judge(_box: Sandbox, result: ExecResult) -> bool:
        return all(getattr(result, name) == value for name, value in wanted.items())

    return judge


async def _cut(_box: Sandbox, result: ExecResult) -> bool:
    return result.truncated and len(result.stdout) <= 65536 and len(result.stderr) <= 65536


async def _early(_box: Sandbox, result: ExecResult) -> bool:
    return result.ok and result.duration_s < 3


async def _memory(_box: Sandbox, result: ExecResult) -> bool:
    return "CONTAINED" in result.stdout or result.status in ("memory_limit", "killed")


async def _no_reward(_box: Sandbox, result: ExecResult) -> bool:
    return result.ok and result.stdout == "done\n"


JUDGES: dict[str, Callable[[Sandbox, ExecResult], Awaitable[bool]]] = {
    **dict.fromkeys(ENDLESS, _is(status="timeout")),
    "stdin_hang": _is(ok=True),
    "bash_read_hang": _is(ok=True),
    "pipe_holder": _early,
    "crash_signal": _is(exit_code=-11, status="killed"),
    "exit_code_42": _is(exit_code=42, status="error"),
    "memory_bomb": _memory,
    "output_flood": _cut,
    "stderr_flood": _cut,
    "binary_output": _is(ok=True),
    "fake_protocol": _no_reward,
    "daemon_survives": _daemon_survives,
    "symlink_out": _symlink_out,
    "fifo_out": _fifo_out,
    "sparse_file": _sparse_file,
    "sql_attach": _is(status="error"),
    "sql_load_extension": _is(status="error"),
    "sql_blob_bomb": _is(ok=False),
}


async def _upload_traversal(box: Sandbox, paths: list[str]) -> bool:
    await box.run_code(PROBES["symlink_out"]["code"])
    return all([await refused(box.write_file(path, b"x")) for path in paths])


async def _still_usable(provider: SandboxProvider, box: Sandbox) -> bool:
    """After a probe the sandbox answers, or a new one does; and nothing of the probe is left in it."""
    if await box.is_alive():
        check = await box.run_code("import os\nprint(len([d for d in os.listdir('/proc') if d.isdigit()]))")
        return "isolation" not in provider.capabilities or check.stdout in ("1\n", "2\n")
    async with await provider.create(box.spec) as fresh:
        return (await fresh.run_code("print(1)")).stdout == "1\n"


async def contained(provider: SandboxProvider, name: str, host: Host, spec: SandboxSpec = SPEC) -> tuple[bool, str]:
    """Run one probe in a sandbox of its own and say whether it was contained, with what was seen."""
    probe = PROBES[name]
    async with await provider.create(spec) as box:
        if probe["language"] == "api":
            return await _upload_traversal(box, json.loads(probe["code"])), "paths"
        code = probe["code"].replace("@SECRET_FILE@", str(host.secret))
        seconds = 1.0 if name in ENDLESS else 3.0 if name == "fork_bomb_bash" else 20.0
        result = await box.run_code(code, language=probe["language"], timeout_s=seconds)  # type: ignore[arg-type]
        seen = f"{result.status} {result.exit_code} {result.stdout[:300]!r} {result.stderr[-300:]!r}"
        if "ESCAPED" in result.stdout + result.stderr or result.status == "sandbox_error":
            return False, seen
        judged = await JUDGES[name](box, result) if name in JUDGES else True
        return judged and await _still_usable(provider, box), seen


async def _harmless_on_unsafe_local() -> dict[str, str]:
    outcome: dict[str, str] = {}
    warnings.simplefilter("ignore")
    with host_traps() as host:
        async with sandboxes.provider("turnwise.sandboxes.unsafe:UnsafeLocalProvider") as provider:
            for name in HARMLESS:
                held, seen = await contained(provider, name, host, SPEC.accept("memory_sum"))
                outcome[name] = "" if held else seen
    return outcome


if __name__ == "__main__":
    sys.stdout.write(json.dumps(anyio.run(_harmless_on_unsafe_local)))
