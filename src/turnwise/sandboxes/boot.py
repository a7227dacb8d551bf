"""Starts a supervisor in any interpreter of 3.11 or later: a one-line loader, then the modules of `inside` as data."""

import importlib.util
import marshal
from functools import cache
from importlib.resources import files
from typing import Any

from turnwise.errors import SandboxCreateError
from turnwise.sandboxes.base import SandboxResources, SandboxSpec
from turnwise.sandboxes.channel import Channel, ChannelClosed

PACKAGE = "turnwise.sandboxes.inside"
MODULES = ("frames", "kernel", "processes", "python", "shell", "sql", "files", "supervisor")
MIB = 1 << 20

# Reads a length and that many bytes from descriptor 0, then runs the modules.
LOADER = """
import marshal, os, sys
from types import ModuleType as M
def read(n):
    b = b""
    while len(b) < n:
        c = os.read(0, n - len(b))
        if not c: os._exit(0)
        b += c
    return b
P = "turnwise.sandboxes.inside"
for p in ("turnwise", "turnwise.sandboxes", P):
    sys.modules[p] = M(p); sys.modules[p].__path__ = []
def load(name, code, marshalled):
    m = sys.modules[P + "." + name] = M(P + "." + name)
    m.__file__ = "<sandbox " + name + ">"
    setattr(sys.modules[P], name, m)
    exec(marshal.loads(code) if marshalled else compile(code, m.__file__, "exec"), m.__dict__)
for name, code, marshalled in marshal.loads(read(int.from_bytes(read(4), "big"))):
    load(name, code, marshalled)
sys.modules[P + ".supervisor"].main()
"""


@cache
def program(magic: str) -> bytes:
    """Return the supervisor's modules for an interpreter, compiled if its byte code is this interpreter's.

    Args:
        magic: The interpreter's ``importlib.util.MAGIC_NUMBER`` in hex, or an empty string if it is not known.
    """
    compiled = magic == importlib.util.MAGIC_NUMBER.hex()
    parts = []
    for name in MODULES:
        source = files(PACKAGE).joinpath(f"{name}.py").read_bytes()
        # The loader names the module's file, and python.py recognises its own frames by it.
        code = marshal.dumps(compile(source, f"<sandbox {name}>", "exec", optimize=2), 4) if compiled else source
        parts.append((name, code, compiled))
    data = marshal.dumps(parts, 4)
    return len(data).to_bytes(4, "big") + data


def worker_limits(resources: SandboxResources, *, memory_sum: bool, own_uid: bool) -> dict[str, int]:
    """Return the resource limits of each worker.

    Args:
        resources: What the spec allows.
        memory_sum: A cgroup bounds the sum; the limit of one process can then be on its data alone.
        own_uid: Processes are counted per sandbox, so that their number can be limited by RLIMIT_NPROC.
    """
    limits = {"CORE": 0, "NOFILE": resources.nofile, "FSIZE": resources.disk_mib * MIB}
    limits["DATA"] = resources.memory_mib * MIB
    if not memory_sum:
        limits["AS"] = (resources.memory_mib + 128) * MIB
    if own_uid:
        limits["NPROC"] = resources.pids
    return limits


def configuration(spec: SandboxSpec, **more: Any) -> dict[str, Any]:
    """Return the first frame's header; ``more`` is what the provider decides."""
    resources = spec.resources
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": spec.workdir,
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **spec.env,
    }
    return {
        "workdir": spec.workdir,
        "env": env,
        "keep": resources.output_kib << 10,
        "drain": resources.drain_mib * MIB,
        "max_sessions": resources.sessions,
        "ttl": spec.ttl_s,
        "look": resources.disk_mib * MIB if spec.look else 0,
        "paths": [],
        "mounts": [],
        "remove": "",
        **more,
    }


async def boot(channel: Channel, magic: str, config: dict[str, Any], seccomp: bytes = b"") -> dict[str, Any]:
    """Send the supervisor and its configuration, and wait until it is ready.

    Returns:
        What it says of itself: ``python``, its version.

    Raises:
        SandboxCreateError: It could not put up its protections.
        ChannelClosed: It died.
    """
    await channel.send_raw(program(magic))
    await channel.send_encoded(marshal.dumps(config, 4), seccomp)
    header, _ = await channel.receive()
    if "failed" in header:
        raise SandboxCreateError(f"the sandbox could not confine itself: {header['failed']}")
    if not header.get("ready"):
        raise ChannelClosed(f"the sandbox began with {header!r}")
    return header
