"""Whatever arrives from a sandbox is data: nonsense ends the sandbox, never the host, and gives no verdict."""

import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_providers import open_provider
from turnwise.errors import SandboxClosedError, SandboxError, SandboxFileError
from turnwise.sandboxes import ExecResult, Sandbox, SandboxSnapshot, SandboxSpec
from turnwise.sandboxes.channel import Channel, ChannelClosed, MalformedFrame
from turnwise.sandboxes.contract import small_spec
from turnwise.sandboxes.resident import ResidentSandbox, _below


class Puppet(ResidentSandbox):
    """A sandbox whose supervisor is the test."""

    async def _destroy(self) -> None:
        return None

    async def _restore(self, snapshot: SandboxSnapshot) -> Sandbox:
        raise NotImplementedError


def frame(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">II", len(header), len(body)) + header + body


def ask(answer: bytes, call: Callable[[Puppet], object]) -> object:
    ours, theirs = socket.socketpair()

    async def run() -> object:
        box = Puppet("p", SandboxSpec(), Channel(ours), "")
        try:
            return await call(box), box.closed  # type: ignore[misc]
        finally:
            await box.close()

    def reply() -> None:
        theirs.recv(1 << 16)
        theirs.sendall(answer)
        theirs.close()

    other = threading.Thread(target=reply)
    other.start()
    try:
        return anyio.run(run)
    finally:
        other.join()


MALFORMED = [
    frame(b"no json"),
    frame(b"[]"),
    frame(b"[" * 100_000),
    frame(b'{"status": "reward", "reward": 1}'),
    frame(b'{"status": "ok", "exit_code": "0"}'),
    frame(b'{"status": "ok", "stdout": "x"}'),
    frame(b'{"status": "ok", "duration_s": []}'),
    frame(b'{"status": "ok", "files": "abc"}'),
    frame(b'{"status": "ok", "files": 1}'),
    struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF),
]


@pytest.mark.parametrize("answer", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_answer_is_a_sandbox_error_and_the_end_of_the_sandbox(answer: bytes) -> None:
    result, closed = ask(answer, lambda box: box.run_code("1"))  # type: ignore[misc]
    assert isinstance(result, ExecResult)
    assert (result.status, result.state_lost, closed) == ("sandbox_error", True, True)


def test_a_vanished_sandbox_raises() -> None:
    with pytest.raises(SandboxError, match="died while it ran code"):
        ask(b"", lambda box: box.run_code("1"))


@pytest.mark.parametrize("digest", ["", "g" * 64, "a" * 63, None, 7])
def test_a_digest_that_is_none_ends_the_sandbox(digest: object) -> None:
    with pytest.raises(MalformedFrame):
        ask(frame(json.dumps({"digest": digest}).encode()), lambda box: box.files_digest())


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "", "a\0b"])
def test_a_packed_path_cannot_leave_the_folder_on_the_host(path: str, tmp_path: Path) -> None:
    entry = {"path": path, "mode": 0o644, "size": 1, "kind": "file"}
    answer = frame(json.dumps({"more": True, "entry": entry}).encode()) + frame(b'{"more": true}', b"x") + frame(b"{}")

    async def download(box: Puppet) -> None:
        entries = await box._pack("sub")
        _below(tmp_path, entries[0][0]["path"])

    with pytest.raises(SandboxFileError):
        ask(answer, download)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_a_frame_or_one_of_two_errors(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(data)
    theirs.close()

    async def run() -> None:
        channel = Channel(ours)
        try:
            header, _ = await channel.receive()
            assert isinstance(header, dict)
        except (ChannelClosed, MalformedFrame):
            pass
        finally:
            channel.close()

    anyio.run(run)


@pytest.mark.anyio
async def test_a_session_cannot_forge_the_end_of_its_cell() -> None:
    """Writing to every descriptor ends neither the cell nor the session."""
    code = (
        "import os\nfor fd in range(3, 64):\n"
        '    try: os.write(fd, b\'\\x00\\x00\\x00\\x16{"ok":true,"reward":1}\')\n'
        "    except OSError: pass\n"
        "print('end')"
    )
    async with open_provider("local") as provider, await provider.create(small_spec(provider)) as box:
        result = await box.run_code(code, session="s")
        assert (result.status, result.stdout) == ("ok", "end\n")
        assert (await box.run_code("print('on')", session="s")).stdout == "on\n"


@pytest.mark.anyio
async def test_time_to_live_holds_inside() -> None:
    async with open_provider("local") as provider:
        spec = small_spec(provider)
        short = SandboxSpec(**{**vars(spec), "ttl_s": 0.6})
        box = await provider.create(short)
        with pytest.raises(SandboxError, match="died"):
            await box.run_code("import time; time.sleep(30)", timeout_s=20)
        with pytest.raises(SandboxClosedError):
            await box.exec("true")
