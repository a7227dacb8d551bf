"""Who owns a sandbox: a label that tells, after the owner's death, that what carries it can be removed."""

import os
import secrets
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PREFIX = "turnwise"


@cache
def host() -> str:
    """Return a name for this boot of this machine and this view of its processes."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{socket.gethostname()[:20]}.{boot}.{namespace}"


def start_time(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None if there is none (a zombie counts as none)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Owner:
    """A process of this machine, told apart from a later one with the same id by its start."""

    pid: int
    started: int

    @classmethod
    def current(cls) -> "Owner":
        """Return this process."""
        return cls(os.getpid(), start_time(os.getpid()) or 0)

    @classmethod
    def of(cls, sandbox_id: str) -> "Owner | None":
        """Read the owner from a sandbox's id; None if it is no such id."""
        parts = sandbox_id.split("-")
        if len(parts) != 4 or parts[0] != PREFIX or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return cls(int(parts[1]), int(parts[2]))

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return start_time(self.pid) == self.started

    def new_id(self) -> str:
        """Return a fresh name for a sandbox of this owner."""
        return f"{PREFIX}-{self.pid}-{self.started}-{secrets.token_hex(6)}"


def is_left_over(sandbox_id: str) -> bool:
    """Whether a name is a sandbox's whose owner is dead."""
    owner = Owner.of(sandbox_id)
    return owner is not None and not owner.alive
