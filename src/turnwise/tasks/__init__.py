"""What is asked: tasks, hashed panels, importers of public data, generated worlds."""

if __name__ != "turnwise.tasks":
    raise ImportError(f"import turnwise.tasks, not {__name__}")

from turnwise.tasks.base import PublicTask, Task, TaskSet
from turnwise.tasks.canonical import canonical_json, digest, file_digest

__all__ = ["PublicTask", "Task", "TaskSet", "canonical_json", "digest", "file_digest"]
