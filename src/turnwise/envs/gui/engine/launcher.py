"""Becomes Chromium: hands the DevTools pipe to the engine, leaves the network and root, then executes the browser.

Runs by itself (``python -I -S launcher.py SOCKET EXECUTABLE UID ARGUMENTS…``) as the executable that Playwright
starts, so it may import the standard library only. Playwright's ends of the pipe are file descriptors 3 and 4; they go
to the engine over ``SOCKET``, together with one end of a new socket pair whose other end Chromium gets as its pipe.
"""

import contextlib
import ctypes
import os
import socket
import sys

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_FEATURES = "--disable-features="
_ERRORS, _PIPE_IN, _PIPE_OUT = 2, 3, 4


def main(path: str, executable: str, uid: int, arguments: list[str]) -> None:
    """Hand over the pipe, drop what a browser does not need, become it."""
    ours, chromiums = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)
        isolated = _leave_network()
        profile = _profile(arguments)
        word = f"{os.getpid()} {int(isolated)}".encode()
        # What Chromium says when it cannot start is read by the engine.
        os.dup2(os.open(f"{path}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), _ERRORS)
        if os.getuid() == 0:
            _leave_root(uid, profile)
        socket.send_fds(channel, [word], [_PIPE_IN, _PIPE_OUT, ours.fileno()])
    os.dup2(chromiums.fileno(), _PIPE_IN)
    os.dup2(chromiums.fileno(), _PIPE_OUT)
    os.execve(executable, [executable, *_merged(arguments)], _environment(profile))  # noqa: S606


def _merged(arguments: list[str]) -> list[str]:
    """Make one list of features of several: Chromium heeds only the last."""
    turned_off = [word.removeprefix(_FEATURES) for word in arguments if word.startswith(_FEATURES)]
    others = [word for word in arguments if not word.startswith(_FEATURES)]
    return [*others, _FEATURES + ",".join(turned_off)]


def _profile(arguments: list[str]) -> str:
    return next(word.partition("=")[2] for word in arguments if word.startswith("--user-data-dir="))


def _leave_network() -> bool:
    """Move to a network namespace without interfaces; tell whether that worked."""
    libc = ctypes.CDLL(None)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_NET) == 0:
        return True
    if user == 0 or libc.unshare(_NEW_USER | _NEW_NET) != 0:
        return False
    with contextlib.suppress(OSError):
        _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    return True


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _leave_root(uid: int, profile: str) -> None:
    os.chown(profile, uid, uid)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def _environment(profile: str) -> dict[str, str]:
    """Return an environment that says nothing of this machine, so that pages cannot read or depend on it."""
    kept = {"PATH": "/usr/bin:/bin", "HOME": profile, "TMPDIR": profile, "TZ": "UTC", "LANG": "C.UTF-8"}
    return kept | {"LANGUAGE": "en_US", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
