"""Commands for bash: once, or as a session that keeps directory, variables and functions."""

import os

LONGEST_ARGUMENT = 100_000

# Each request is two NUL-ended records, a token and the command; the answer is the token and the exit status as one
# byte. Both descriptors are closed while a command runs.
_LOOP = r"""
trap ':' INT
while IFS= read -r -d '' -u {request} __token && IFS= read -r -d '' -u {request} __command; do
  eval "$__command" {request}<&- {done}>&- </dev/null
  printf -v __code '%02x' "$?"
  printf "$__token\\x$__code" >&{done}
done
"""


def session_command(request: int, done: int) -> list[str]:
    """Return the command line of a session that reads from ``request`` and answers on ``done``."""
    return ["bash", "--norc", "--noprofile", "-c", _LOOP.format(request=request, done=done)]


def one_shot(command: str) -> list[str]:
    """Return the command line that runs ``command`` once; a text too long for an argument goes by an anonymous file."""
    if len(command.encode()) <= LONGEST_ARGUMENT:
        return ["bash", "--norc", "--noprofile", "-c", command]
    fd = os.memfd_create("command", 0)
    os.write(fd, command.encode())
    return ["bash", "--norc", "--noprofile", f"/proc/self/fd/{fd}"]
