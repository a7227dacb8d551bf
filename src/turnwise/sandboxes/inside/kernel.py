"""What the supervisor asks of the kernel before any foreign code runs, and what each worker gives up."""

from __future__ import annotations

import ctypes
import os
import resource
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_CAP_AMBIENT = 4, 22, 24, 36, 47
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT_CLEAR_ALL, SECCOMP_MODE_FILTER = 38, 4, 2
MS_NOSUID_NODEV_REMOUNT = 2 | 4 | 32
UNLIMITED = 1 << 60

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Call ``prctl(option, value, 0, 0, 0)``; raises OSError."""
    unsigned = ctypes.c_ulong
    _check(_libc.prctl(option, unsigned(value), unsigned(0), unsigned(0), unsigned(0)), f"prctl({option})")


def limit_mounts(mounts: list[list[str]]) -> None:
    """Remount each ``[path, options]`` tmpfs, which is how it gets its number of inodes."""
    for path, options in mounts:
        source = ctypes.c_char_p(b"tmpfs")
        flags = ctypes.c_ulong(MS_NOSUID_NODEV_REMOUNT)
        _check(_libc.mount(source, path.encode(), source, flags, options.encode()), f"remount {path}")


def forbid_user_namespaces() -> None:
    """Allow no user namespace below this one, for every process of the sandbox."""
    with open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as file:
        file.write("0")


def drop_capabilities() -> None:
    """Empty the bounding, ambient, effective, permitted and inheritable sets."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == 0:
        capability += 1
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def install_filter(program: bytes) -> None:
    """Install a seccomp filter for this process and all that it forks."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer)))
    result = _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), header, 0, 0)
    _check(result, "prctl(PR_SET_SECCOMP)")


def standing() -> dict[str, str]:
    """Read back from ``/proc/self/status`` what this process may still do."""
    wanted = ("NoNewPrivs", "CapEff", "CapBnd", "Seccomp")
    with open("/proc/self/status", encoding="ascii") as file:
        lines = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    return {key: lines[key] for key in wanted if key in lines}


def confine(config: dict[str, Any], program: bytes) -> None:
    """Bring the supervisor, and with it all workers, to the rights they will live with.

    Raises:
        OSError: A protection could not be put up; the sandbox must not be used.
    """
    if config["confine"]:
        limit_mounts(config["mounts"])
        forbid_user_namespaces()
        drop_capabilities()
        install_filter(program)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_DUMPABLE, 0)
    found = standing()
    expected = {"NoNewPrivs": "1", "CapEff": "0" * 16, "CapBnd": "0" * 16, "Seccomp": "2"}
    wrong = {key: value for key, value in found.items() if value != expected[key]}
    if config["verify"] and wrong:
        raise OSError(1, f"protections do not stand: {wrong}")


def release_worker(limits: dict[str, int]) -> None:
    """Make a forked process a worker: an own session, resource limits, the first choice of the OOM killer.

    Args:
        limits: Hard limits by the name of their ``resource`` constant without the prefix (``"NOFILE"``).
    """
    os.setsid()
    prctl(PR_SET_DUMPABLE, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, value))
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, b"1000")
    os.close(fd)


def _group_limit(*paths: str) -> int:
    """Read a limit of this process's control group where it is visible; -1 if there is none."""
    for path in paths:
        try:
            with open("/sys/fs/cgroup/" + path, encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < UNLIMITED else -1
    return -1


def read_limits(workdir: str) -> dict[str, int]:
    """Read back the limits that hold for this process and its workspace; -1 is none."""
    stat = os.statvfs(workdir)
    names = ("NPROC", "NOFILE", "AS", "DATA", "FSIZE", "CORE")
    limits = {name.lower(): resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in names}
    group = {
        "group_memory": _group_limit("memory/memory.limit_in_bytes", "memory.max"),
        "group_pids": _group_limit("pids/pids.max", "pids.max"),
    }
    return {**limits, **group, "disk_bytes": stat.f_blocks * stat.f_frsize, "files": stat.f_files}
