"""What became of a program, in words an agent can act on."""

import re

from turnwise.sandboxes.base import ExecResult

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def result_text(result: ExecResult, limit: int, seconds: float) -> str:
    """Describe a finished run: its output, its errors, and what stopped it."""
    parts = [shorten(readable(result.stdout), limit)]
    if result.status in ("ok", "error"):
        parts.append(shorten(readable(result.stderr), limit))
    parts += [f"[{note}]" for note in _notes(result, seconds)]
    text = "\n".join(part.rstrip("\n") for part in parts if part.strip())
    return text or "[no output]"


def readable(text: str) -> str:
    """Show control characters as escapes; a carriage return before a line's end is dropped."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\r\n", "\n"))


def shorten(text: str, limit: int) -> str:
    """Keep the beginning and the end of a long text."""
    if len(text) <= limit:
        return text
    head, tail = text[: limit * 2 // 3], text[-(limit // 3) :]
    return f"{head}\n[... {len(text) - len(head) - len(tail)} characters left out ...]\n{tail}"


def _notes(result: ExecResult, seconds: float) -> list[str]:
    notes = []
    if result.status == "timeout":
        notes.append(f"stopped: it had not ended after {seconds:g} seconds")
    elif result.status == "memory_limit":
        notes.append("killed: it needed more memory than it may have")
    elif result.status == "output_limit":
        notes.append("stopped: it printed without end")
    elif result.status == "killed":
        notes.append(f"killed by signal {-(result.exit_code or 0)}; perhaps it used too much memory")
    elif result.status == "error" and not result.stderr.strip():
        notes.append(f"exit code {result.exit_code}")
    if result.truncated and result.status != "output_limit":
        notes.append("more was printed than is kept")
    if "EOFError" in result.stderr[-300:] and result.status == "error":
        notes.append("there is no one to type an input here: put values into the code")
    if result.state_lost:
        notes.append("the Python session has ended; its variables are gone and the next call begins a new one")
    return notes
