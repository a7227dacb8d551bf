"""The doctor: which protection holds on this machine, found by trying, and what to do about those that do not."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

from turnwise.errors import TurnwiseError
from turnwise.sandboxes.base import ExecResult, Sandbox, SandboxProvider, SandboxResources, SandboxSpec
from turnwise.sandboxes.registry import provider
from turnwise.sandboxes.resident import ResidentSandbox

Verdict = Literal["holds", "broken", "not limited", "not checked"]
RESOURCES = SandboxResources(memory_mib=128, disk_mib=16, pids=32, max_files=1024)
TIMEOUT_S = 20
GATEWAY = "for code that may attack the kernel use docker with runtime='runsc' (gVisor) or a virtual machine"


@dataclass(frozen=True)
class Finding:
    """One protection of one backend."""

    protection: str
    verdict: Verdict
    seen: str
    advice: str = ""


@dataclass(frozen=True)
class BackendReport:
    """What the doctor found out about one backend."""

    backend: str
    available: bool
    reason: str = ""
    capabilities: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether it is there and every protection holds."""
        return self.available and all(finding.verdict == "holds" for finding in self.findings)


@dataclass(frozen=True)
class DoctorReport:
    """What the doctor found out about this machine."""

    backends: tuple[BackendReport, ...]
    advice: tuple[str, ...] = field(default=(GATEWAY,))

    @property
    def sound(self) -> bool:
        """Whether at least one backend is sound."""
        return any(backend.sound for backend in self.backends)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        data = asdict(self)
        for content, backend in zip(data["backends"], self.backends, strict=True):
            content["sound"] = backend.sound
        return {**data, "sound": self.sound}


# Each program prints nothing if the protection holds, else what it could do. None harms the machine if it does not.
HARMLESS: dict[str, str] = {
    "own process namespace": """
pids = [int(name) for name in __import__("os").listdir("/proc") if name.isdigit()]
if len(pids) > 8: print(len(pids), "processes visible")
""",
    "no network interface": """
import socket
names = [name for _, name in socket.if_nameindex() if name.startswith(("eth", "en", "wl", "docker", "veth"))]
if names: print("sees", names)
""",
    "no route": """
rows = [line.split() for line in open("/proc/net/route").read().splitlines()[1:]]
if any(int(row[3], 16) & 1 for row in rows): print("has routes")
""",
    "host's loopback out of reach": """
import socket
s = socket.socket(); s.settimeout(1)
try: s.connect(("127.0.0.1", @PORT@)); print("reached a service of the host")
except OSError: pass
""",
    "no AF_VSOCK": """
import socket
try: socket.socket(40, socket.SOCK_STREAM); print("made an AF_VSOCK socket")
except OSError: pass
""",
    "no new privileges": """
d = dict(l.split(":\\t") for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
bad = [k for k, v in {"NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16}.items() if d[k] != v]
if bad: print("not as it should be:", bad)
""",
    "system call filter": """
import ctypes, platform
l = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": (250, 321, 425), "aarch64": (219, 280, 425)}[platform.machine()]
open_calls = []
for number in numbers:
    ctypes.set_errno(0)
    if l.syscall(number, 99, 0, 0) >= 0 or ctypes.get_errno() not in (1, 38): open_calls.append(number)
if open_calls: print("reachable system calls:", open_calls)
""",
    "no user namespace": """
import ctypes
if ctypes.CDLL(None).unshare(0x10000000) == 0: print("made a user namespace")
""",
    "no mount": """
import ctypes
if ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0: print("mounted a file system")
""",
    "system read-only": """
import os
for folder in ("/", "/etc", "/usr", "/dev", "/var", "/opt"):
    try: open(folder + "/probe", "w").close(); os.unlink(folder + "/probe"); print("wrote in", folder)
    except OSError: pass
""",
    "host's secrets out of reach": """
import glob, os
for path in ("/etc/shadow", "/root/.ssh", "/var/run/docker.sock"):
    if os.access(path, os.R_OK): print("can read", path)
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if b"TURNWISE_DOCTOR=" in open(path, "rb").read(): print("saw the caller's environment")
    except OSError: pass
""",
}


@dataclass(frozen=True)
class Exhaustion:
    """A limit: how it is read back, what it must not exceed, and a program that runs into it where it stands."""

    read: Callable[[dict[str, Any]], int]
    most: int
    program: str
    advice: str


def _smallest(*names: str) -> Callable[[dict[str, Any]], int]:
    def read(limits: dict[str, Any]) -> int:
        return min((limits[name] for name in names if limits.get(name, -1) >= 0), default=-1)

    return read


_CGROUP = "run where a memory cgroup can be made (as root, or delegated), or use docker"
EXHAUSTIONS: dict[str, Exhaustion] = {
    "number of processes": Exhaustion(
        _smallest("nproc", "group_pids"),
        RESOURCES.pids + 8,
        """
import os, time
count = 0
try:
    while count < 80:
        if os.fork() == 0: time.sleep(20); os._exit(0)
        count += 1
    print("started", count, "processes")
except OSError: pass
""",
        "use docker, or a kernel from 5.14 on, which counts processes per user namespace",
    ),
    "memory of one process": Exhaustion(
        _smallest("as", "data"),
        RESOURCES.total_mib << 20,
        """
blocks = []
try:
    for _ in range(64): blocks.append(bytearray(b"x") * (8 << 20))
    print("took 512 MiB")
except MemoryError: pass
""",
        "",
    ),
    "memory of all processes": Exhaustion(
        _smallest("group_memory"),
        RESOURCES.total_mib << 20,
        """
import os, time
r, w = os.pipe()
for _ in range(6):
    if os.fork() == 0:
        x = bytearray(b"x") * (60 << 20); os.write(w, b"1"); time.sleep(1); os._exit(0)
ended = [os.wait()[1] for _ in range(6)]
if not any(ended): print("six processes held 360 MiB")
""",
        _CGROUP,
    ),
    "disk": Exhaustion(
        _smallest("disk_bytes"),
        RESOURCES.disk_mib << 20,
        """
try:
    for number in range(8):
        with open(f"part{number}", "wb") as file: file.write(bytes(8 << 20))
    print("wrote 64 MiB")
except OSError: pass
""",
        "",
    ),
    "number of files": Exhaustion(
        _smallest("files"),
        RESOURCES.max_files,
        """
import os
try:
    for number in range(4000): os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
    print("made 4000 files")
except OSError: pass
""",
        "",
    ),
}


def _judge(protection: str, result: ExecResult, advice: str = "") -> Finding:
    if result.status in ("memory_limit", "killed") or (result.ok and not result.stdout):
        return Finding(protection, "holds", "tried")
    seen = result.stdout.strip() or f"{result.status}: {result.stderr.strip()[-200:]}"
    return Finding(protection, "broken" if result.stdout else "not checked", seen, advice)


async def _exhaust(box: Sandbox, protection: str, limit: Exhaustion, limits: dict[str, Any]) -> Finding:
    """Try to go past a limit, but only if the kernel says that it stands."""
    found = limit.read(limits)
    if not 0 <= found <= limit.most:
        return Finding(protection, "not limited", f"read back {found}, not tried", limit.advice)
    result = await box.run_code(limit.program, timeout_s=TIMEOUT_S)
    finding = _judge(protection, result, limit.advice)
    return Finding(protection, finding.verdict, f"{finding.seen}; the limit read back is {found}", finding.advice)


async def _files_refused(box: Sandbox) -> Finding:
    """Whether the host can be made to read through a link, or to write outside the workspace."""
    await box.exec("ln -s /etc/passwd link; ln -s /etc folder")
    for call in (
        partial(box.read_file, "link"),
        partial(box.read_file, "folder/passwd"),
        partial(box.write_file, "../x", b""),
    ):
        try:
            await call()
        except TurnwiseError:
            continue
        return Finding("files stay in the workspace", "broken", "a link or '..' was followed")
    return Finding("files stay in the workspace", "holds", "tried")


async def _examine(sandboxes: SandboxProvider, port: int) -> list[Finding]:
    spec = SandboxSpec(resources=RESOURCES)
    spec = spec.accept(*(spec.require - sandboxes.capabilities))
    findings = []
    async with await sandboxes.create(spec) as box:
        for protection, program in HARMLESS.items():
            result = await box.run_code(program.replace("@PORT@", str(port)), timeout_s=TIMEOUT_S)
            findings.append(_judge(protection, result))
        findings.append(await _files_refused(box))
        limits = await box.read_limits() if isinstance(box, ResidentSandbox) else {}
    for protection, limit in EXHAUSTIONS.items():
        async with await sandboxes.create(spec) as box:
            findings.append(await _exhaust(box, protection, limit, limits))
    return findings


async def _backend(name: str, port: int) -> BackendReport:
    try:
        async with provider(name) as sandboxes:
            findings = await _examine(sandboxes, port)
            return BackendReport(
                name, available=True, capabilities=tuple(sorted(sandboxes.capabilities)), findings=tuple(findings)
            )
    except TurnwiseError as error:
        return BackendReport(name, available=False, reason=str(error))


async def doctor(backends: Sequence[str] = ("local", "docker")) -> DoctorReport:
    """Try out the protections of each backend on this machine.

    Args:
        backends: Names of providers.

    Returns:
        What holds, what does not, and what to do; a backend that is missing is part of the report, not an error.
    """
    os.environ["TURNWISE_DOCTOR"] = "1"
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            return DoctorReport(tuple([await _backend(name, port) for name in backends]))
    finally:
        del os.environ["TURNWISE_DOCTOR"]
