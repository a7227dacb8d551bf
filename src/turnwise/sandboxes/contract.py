"""What every provider must do, as checks that can be run on any of them, also one that was written elsewhere."""

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import anyio

from turnwise.errors import OutputLimitExceededError, SandboxClosedError, SandboxFileError, TurnwiseError
from turnwise.sandboxes.base import Sandbox, SandboxProvider, SandboxResources, SandboxSnapshot, SandboxSpec

_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()
"""
_COUNT_SLEEPERS = """
import os
def command(pid):
    try:
        return open(f"/proc/{pid}/stat").read()
    except OSError:
        return ""
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
others = [pid for pid in pids if pid not in (1, os.getpid())]
print(sum("(sleep)" in command(pid) or "(python" in command(pid) for pid in others))
"""

_CHANGES = (
    "touch b",
    "echo 1 > b",
    "echo 2 > b",
    "chmod 600 b",
    "ln -sfn b c",
    "ln -sfn nowhere c",
    "mkdir shut",
    "echo 3 > shut/in",
    "chmod 000 shut/in",
    "chmod 000 shut",
    "touch \"$(printf 'no text \\377')\"",
)
_MAPPED = """
import mmap
open("mapped", "wb").write(b"A" * 4096)
file = open("mapped", "r+b")
m = mmap.mmap(file.fileno(), 4096)
m[0]
"""

Check = Callable[[SandboxProvider, SandboxSpec], Awaitable[None]]
CHECKS: dict[str, Check] = {}
HANG_S = 0.4


def _check(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


def _must(holds: object, what: str) -> None:
    if not holds:
        raise AssertionError(what)


async def _must_raise(kind: type[TurnwiseError], call: Awaitable[object], what: str) -> None:
    try:
        await call
    except kind:
        return
    raise AssertionError(f"{what} must raise {kind.__name__}")


@_check
async def stateless_runs_are_alone(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """A run gives output, exit code and status, and leaves no variable behind."""
    async with await provider.create(spec) as box:
        first = await box.run_code("import sys\nx = 1\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(7)")
        _must((first.stdout, first.stderr, first.exit_code) == ("out\n", "err\n", 7), f"a run gave {first}")
        _must(first.status == "error" and not first.ok and not first.truncated, f"a run gave {first}")
        second = await box.run_code("print('x' in globals(), __name__)")
        _must(second.stdout == "False __main__\n" and second.ok, f"a variable outlived its run: {second}")
        third = await box.run_code("raise ValueError('why')")
        _must("ValueError: why" in third.stderr and third.exit_code == 1, f"an exception gave {third}")


@_check
async def sessions_keep_state(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Cells of a session share their variables, show the last expression, and survive an exception."""
    async with await provider.create(spec) as box:
        for language, cells in {
            "python": [("x = 20\nx + 1", "21\n"), ("x = x + 1\nraise KeyError(x)", ""), ("x", "21\n")],
            "bash": [("A=1; cd /tmp", ""), ("false", ""), ("echo $A $PWD", "1 /tmp\n")],
            "sql": [("CREATE TABLE t(a); INSERT INTO t VALUES (3)", ""), ("SELEKT", ""), ("SELECT a FROM t", "a\n3\n")],
        }.items():
            for code, expected in cells:
                result = await box.run_code(code, language=language, session="s")  # type: ignore[arg-type]
                _must(result.stdout == expected and not result.state_lost, f"{language} cell {code!r} gave {result}")
        other = await box.run_code("x", session="another")
        _must("NameError" in other.stderr, f"two sessions share variables: {other}")
        await box.close_session("s")
        fresh = await box.run_code("x", session="s")
        _must("NameError" in fresh.stderr, f"a closed session kept its variables: {fresh}")


@_check
async def a_time_out_is_a_result(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """A program that runs too long ends as `timeout`; a session that can be interrupted keeps its state."""
    async with await provider.create(spec) as box:
        run = await box.run_code("print('before')\nwhile True: pass", timeout_s=HANG_S)
        _must(run.status == "timeout" and run.exit_code is None and run.stdout == "before\n", f"a loop gave {run}")
        await box.run_code("x = 1", session="s")
        cell = await box.run_code("import time\ntime.sleep(1000)", session="s", timeout_s=HANG_S)
        _must(cell.status == "timeout" and not cell.state_lost, f"a sleeping cell gave {cell}")
        _must((await box.run_code("x", session="s")).stdout == "1\n", "an interrupted session lost its state")
        stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
        lost = await box.run_code(stubborn, session="s", timeout_s=HANG_S)
        _must(lost.status == "timeout" and lost.state_lost, f"a cell that cannot be interrupted gave {lost}")
        _must("NameError" in (await box.run_code("x", session="s")).stderr, "a lost session kept its state")
        shell = await box.run_code("sleep 1000", language="bash", session="s", timeout_s=HANG_S)
        _must(shell.status == "timeout", f"a sleeping shell gave {shell}")


@_check
async def endings_are_told_apart(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Death by signal, the end of a session by its own doing, output beyond the limit."""
    async with await provider.create(spec) as box:
        died = await box.run_code("import os\nos.kill(os.getpid(), 11)")
        _must((died.status, died.exit_code) == ("killed", -11), f"death by signal 11 gave {died}")
        ended = await box.run_code("import os\nos._exit(3)", session="s")
        _must(ended.state_lost and ended.exit_code == 3, f"a session that ended itself gave {ended}")
        keep = spec.resources.output_kib << 10
        long = await box.run_code(f"print('x' * {2 * keep})")
        _must(long.truncated and len(long.stdout) == keep and long.ok, "output must be cut at the limit")
        drain = spec.resources.drain_mib << 20
        flood = await box.run_code(f"for _ in range({drain} // 65536 + 50): print('x' * 65536)")
        _must(flood.status == "output_limit" and flood.truncated, f"a flood gave {flood.status}")
        raw = await box.run_code("import os\nos.write(1, bytes(range(256)))")
        _must(raw.ok and "\ufffd" in raw.stdout, "bytes that are no text must not raise")


@_check
async def commands_run(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """`exec` takes a string or a list, input, directory and variables."""
    async with await provider.create(spec) as box:
        await box.write_file("sub/in.txt", b"from the file\n")
        shell = await box.exec("cat; cat in.txt; echo $WHO", stdin=b"from stdin\n", cwd="sub", env={"WHO": "me"})
        _must(shell.stdout == "from stdin\nfrom the file\nme\n", f"a command gave {shell}")
        listed = await box.exec(["python3", "-c", "import sys; print(sys.argv[1:], sys.stdin.read())", "a b", "$WHO"])
        _must(listed.stdout == "['a b', '$WHO'] \n", f"a command as a list gave {listed}")
        none = await box.exec(["no-such-program"])
        _must(none.exit_code == 127 and none.status == "error", f"a missing program gave {none}")


@_check
async def nothing_outlives_a_run(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """A daemon is dead when its run is over; a child that holds the output does not hold up the call."""
    async with await provider.create(spec) as box:
        _must((await box.run_code(_DAEMON)).ok, "a program that leaves a daemon must end")
        held = await box.run_code("import subprocess\nsubprocess.Popen(['sleep', '1000'])\nprint('done')")
        _must(held.ok and held.stdout == "done\n" and held.duration_s < 20, f"a held pipe gave {held}")
        if "isolation" in provider.capabilities:
            left = await box.run_code(_COUNT_SLEEPERS)
            _must(left.stdout == "0\n", f"processes outlived their run: {left}")


@_check
async def files_go_in_and_out(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Bytes are exact, directories are made, the limit of size is kept, folders are copied."""
    async with await provider.create(spec) as box:
        data = bytes(range(256)) * 9000
        await box.write_file("deep/er/data.bin", data)
        _must(await box.read_file("deep/er/data.bin") == data, "a file changed on its way")
        _must(
            await box.read_file(f"{box.spec.workdir}/deep/er/data.bin") == data,
            "an absolute path in the workspace works",
        )
        await _must_raise(OutputLimitExceededError, box.read_file("deep/er/data.bin", max_bytes=10), "a large file")
        await box.write_file("deep/er/data.bin", b"")
        _must(await box.read_file("deep/er/data.bin") == b"", "an empty file replaces a longer one")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "up" / "a").mkdir(parents=True)
            (Path(folder) / "up" / "a" / "b.txt").write_bytes(b"b")
            await box.upload(Path(folder) / "up", "up")
            _must((await box.exec("cat up/a/b.txt")).stdout == "b", "a folder must arrive")
            await box.exec("ln -s /etc/passwd up/link; echo c > up/c.txt")
            await box.download("up", Path(folder) / "down")
            found = _names_below(Path(folder))
            _must(found == ["down/a", "down/a/b.txt", "down/c.txt"], f"a folder came back as {found}")


def _names_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in (folder / "down").rglob("*"))


@_check
async def paths_stay_inside(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Links, FIFOs, directories and paths that lead out are refused at once, for reading and writing."""
    async with await provider.create(spec) as box:
        await box.exec("ln -s /etc/passwd out.txt; mkdir sub; ln -s /etc sub/link; mkfifo fifo; ln -s sub alias")
        for path in ("out.txt", "sub/link/passwd", "fifo", "sub", "missing", "", "alias/x"):
            await _must_raise(SandboxFileError, box.read_file(path), f"reading {path!r}")
        for path in ("../../escape.txt", "/etc/cron.d/x", "a/../../b", "sub/link/x", "nul\0byte", "out.txt", "fifo"):
            await _must_raise(SandboxFileError, box.write_file(path, b"x"), f"writing {path!r}")
        _must(await box.is_alive(), "a refused path must not harm the sandbox")


@_check
async def files_have_a_digest(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """It tells workspaces apart by names, modes, links and contents, and by nothing else."""
    async with await provider.create(spec) as box, await provider.create(replace(spec, look=True)) as other:
        seen = {await box.files_digest()}
        for command in _CHANGES:
            _must((await box.exec(command)).ok, f"{command!r} must run")
            seen.add(await box.files_digest())
        _must(len(seen) == len(_CHANGES) + 1, "each change must give another digest")
        await other.exec("touch c b && sleep 0.01")
        last = await other.exec("; ".join(_CHANGES))
        _must(last.files == await box.files_digest(), "equal files, made otherwise, must give equal digests")


@_check
async def writes_through_a_mapping_count(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """A tmpfs does not date them: a digest that trusts times or inodes would miss them."""
    async with await provider.create(replace(spec, look=True)) as box:
        first = await box.run_code(_MAPPED, session="s")
        second = await box.run_code("m[0] = 66", session="s")
        _must(first.stdout == "65\n" and first.files != second.files, "a write through a mapping must be seen")
        third = await box.run_code("m[0] = 65", session="s")
        _must(first.files == third.files, "the digest must be of the files as they are")


@_check
async def restored_files_are_the_same(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Modes too, also where they shut their owner out; what a session holds open stays in its hands."""
    async with await provider.create(spec) as box:
        await box.exec("; ".join([*_CHANGES, "head -c 1500000 /dev/zero > big", "chmod 4444 big"]))
        bare = await box.snapshot()
        await box.run_code("import os\nos.mkdir('in'); os.chdir('in')\nlog = open('log', 'w')", session="s")
        for snapshot in (bare, await box.snapshot()):
            async with await provider.restore(snapshot, spec) as copy:
                _must(await copy.files_digest() == snapshot.files, "restored files must have the snapshot's digest")
                shut = await copy.exec("stat -c %a shut big")
                _must(shut.stdout == "0\n4444\n", f"modes came back as {shut.stdout!r}")
        held = "print('x', file=log, flush=True); open('log').read(), os.listdir('.')"
        async with await provider.restore(snapshot, spec) as copy:
            result = await copy.run_code(held, session="s")
            _must(result.stdout == "('x\\n', ['log'])\n", f"a session in a restored directory gave {result}")


@_check
async def snapshots_restore(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """A snapshot carries files and sessions through bytes; forks do not share what they do later."""
    async with await provider.create(spec) as box:
        await box.write_file("a.txt", b"1")
        await box.run_code("import random\nrandom.seed(1)\nx = [1]\nopen('log', 'a').write('once')", session="s")
        await box.exec("mkdir d; ln -s a.txt link; chmod 700 a.txt")
        snapshot = SandboxSnapshot.from_bytes((await box.snapshot()).to_bytes())
        _must(snapshot.digest == (await box.snapshot()).digest, "equal states must have equal digests")
        async with await provider.restore(snapshot, spec) as copy:
            result = await copy.run_code("x.append(2)\nprint(x, open('log').read(), open('link').read())", session="s")
            _must(result.stdout == "[1, 2] once 1\n", f"a restored session gave {result}")
            _must((await copy.exec("stat -c %a a.txt; ls -d d")).stdout == "700\nd\n", "modes and folders are kept")
        await _forks_are_apart(box)


async def _forks_are_apart(box: Sandbox) -> None:
    forks = await box.fork(2)
    try:
        for number, fork in enumerate(forks):
            await fork.write_file("a.txt", b"%d" % number)
            await fork.run_code(f"x.append({number})", session="s")
        _must(await box.read_file("a.txt") == b"1", "a fork wrote into its origin")
        _must((await forks[1].run_code("x", session="s")).stdout == "[1, 1]\n", "forks share variables")
    finally:
        for fork in forks:
            await fork.close()


@_check
async def reset_begins_anew(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """After `reset` the workspace holds the spec's files and no session."""
    async with await provider.create(spec) as box:
        await box.exec("echo 1 > other; mkdir -p locked/x; chmod 000 locked")
        await box.run_code("x = 1", session="s")
        await box.reset()
        _must((await box.exec("ls -A")).stdout.split() == sorted(spec.files), "reset must leave the spec's files only")
        _must("NameError" in (await box.run_code("x", session="s")).stderr, "reset must end the sessions")


@_check
async def closing_is_final(provider: SandboxProvider, spec: SandboxSpec) -> None:
    """`close` is idempotent, works under cancellation, and later calls say that the sandbox is closed."""
    box = await provider.create(spec)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await box.close()
    await box.close()
    _must(not await box.is_alive(), "a closed sandbox is not alive")
    await _must_raise(SandboxClosedError, box.exec("true"), "using a closed sandbox")
    cut = await provider.create(spec)
    with anyio.move_on_after(HANG_S):
        await cut.run_code("while True: pass")
    _must(not await cut.is_alive(), "a sandbox whose call was cancelled half-way is closed")


def small_spec(provider: SandboxProvider) -> SandboxSpec:
    """Return the spec the checks use: small limits, no capability required that the provider lacks."""
    resources = SandboxResources(output_kib=16, drain_mib=4)
    spec = SandboxSpec(resources=resources, files={"given.txt": b"given"})
    return spec.accept(*(spec.require - provider.capabilities))


async def check_sandbox(provider: SandboxProvider, spec: SandboxSpec | None = None) -> list[str]:
    """Run every check of the contract on a provider.

    Args:
        provider: It is not closed here.
        spec: What to create; a small one by default.

    Returns:
        The names of the checks, all of which passed.

    Raises:
        AssertionError: A check failed; the message says which and how.
    """
    for name, check in CHECKS.items():
        try:
            await check(provider, spec or small_spec(provider))
        except AssertionError as error:
            raise AssertionError(f"{provider.name}: {name}: {error}") from error
    return list(CHECKS)
