"""The system calls a sandbox may make: one allow-list, as BPF for `local` and as a JSON profile for `docker`.

``data/syscalls.csv`` holds every call of Linux 6.1 with its numbers and a rule. A call that is not in the table does
not exist for the sandbox (ENOSYS), so that a newer kernel brings no new way in; a denied one answers EPERM.
"""

import csv
import errno
import platform
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from turnwise.errors import SandboxUnavailableError

CLONE_NEW_NAMESPACES = 0x7E020000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCKET_FAMILIES = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_LOAD, _JUMP_EQ, _JUMP_GE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_OFFSET_NUMBER, _OFFSET_ARCH, _OFFSET_ARG0, _OFFSET_ARG1 = 0, 4, 16, 24


@dataclass(frozen=True)
class Syscall:
    """One row of the table: ``numbers`` maps a machine to the call's number there."""

    name: str
    numbers: dict[str, int]
    rule: str


@cache
def syscalls() -> tuple[Syscall, ...]:
    """Return the table of system calls, sorted by name."""
    text = files("turnwise.sandboxes").joinpath("data/syscalls.csv").read_text(encoding="utf-8")
    return tuple(
        Syscall(row["name"], {arch: int(row[arch]) for arch in AUDIT_ARCH if row[arch]}, row["rule"])
        for row in csv.DictReader(text.splitlines())
    )


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value & 0xFFFFFFFF)


def _deny(number: int) -> bytes:
    return _op(_RETURN, _ERRNO | number)


_ALLOW_OP = _op(_RETURN, _ALLOW)


def _check_clone() -> bytes:
    return _op(_LOAD, _OFFSET_ARG0) + _op(_JUMP_SET, CLONE_NEW_NAMESPACES, 0, 1) + _deny(errno.EPERM) + _ALLOW_OP


def _check_socket() -> bytes:
    count = len(SOCKET_FAMILIES)
    tests = b"".join(_op(_JUMP_EQ, family, count - index, 0) for index, family in enumerate(SOCKET_FAMILIES))
    return _op(_LOAD, _OFFSET_ARG0) + tests + _deny(errno.EAFNOSUPPORT) + _ALLOW_OP


def _check_ioctl() -> bytes:
    tests = _op(_JUMP_EQ, TIOCSTI, 1, 0) + _op(_JUMP_EQ, TIOCLINUX, 0, 1)
    return _op(_LOAD, _OFFSET_ARG1) + tests + _deny(errno.EPERM) + _ALLOW_OP


_LEAVES: dict[str, Callable[[], bytes]] = {
    "allow": lambda: _ALLOW_OP,
    "deny": lambda: _deny(errno.EPERM),
    "absent": lambda: _deny(errno.ENOSYS),
    "clone": _check_clone,
    "socket": _check_socket,
    "ioctl": _check_ioctl,
}


def _segments(arch: str) -> list[tuple[int, str]]:
    """Merge the rules into ``(first number, rule)`` runs that cover every number."""
    rules = {call.numbers[arch]: call.rule for call in syscalls() if arch in call.numbers}
    runs: list[tuple[int, str]] = []
    for number in range(max(rules) + 2):
        rule = rules.get(number, "absent")
        if not runs or runs[-1][1] != rule:
            runs.append((number, rule))
    return runs


def _tree(runs: list[tuple[int, str]]) -> bytes:
    """Compile the runs into a binary search on the call's number, which is in the accumulator."""
    if len(runs) == 1:
        return _LEAVES[runs[0][1]]()
    middle = len(runs) // 2
    low, high = _tree(runs[:middle]), _tree(runs[middle:])
    return _op(_JUMP_GE, runs[middle][0], len(low) // 8, 0) + low + high


def bpf(arch: str | None = None) -> bytes:
    """Return the filter as BPF instructions, ready for ``prctl(PR_SET_SECCOMP)``.

    Args:
        arch: Machine name as in ``platform.machine()``; this machine's by default.

    Raises:
        SandboxUnavailableError: There is no table for this architecture.
    """
    arch = arch or platform.machine()
    if arch not in AUDIT_ARCH:
        known = ", ".join(AUDIT_ARCH)
        raise SandboxUnavailableError(f"no system call table for the architecture {arch!r} (there is one for {known})")
    guard = _op(_LOAD, _OFFSET_ARCH) + _op(_JUMP_EQ, AUDIT_ARCH[arch], 1, 0) + _op(_RETURN, _KILL_PROCESS)
    return guard + _op(_LOAD, _OFFSET_NUMBER) + _tree(_segments(arch))


def _names(rule: str) -> list[str]:
    return [call.name for call in syscalls() if call.rule == rule]


def docker_profile() -> dict[str, Any]:
    """Return the same rules as a Docker seccomp profile (the JSON object of ``--security-opt seccomp=``)."""
    sockets = [
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": family, "op": "SCMP_CMP_EQ"}]}
        for family in SOCKET_FAMILIES
    ]
    no_namespaces = {"index": 0, "value": CLONE_NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    no_typing = {"index": 1, "value": TIOCSTI, "op": "SCMP_CMP_NE"}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": _names("allow"), "action": "SCMP_ACT_ALLOW"},
            {"names": _names("deny"), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
            {"names": _names("absent"), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [no_namespaces]},
            {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [no_typing]},
            *sockets,
        ],
    }
