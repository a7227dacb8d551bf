"""What is asked: tasks, hashed panels, importers of public data, generated worlds."""

if __name__ != "turnwise.tasks":
    raise ImportError(f"import turnwise.tasks, not {__name__}")

from turnwise.tasks.base import PublicTask, Task, TaskSet
from turnwise.tasks.canonical import canonical_json, digest, file_digest, fingerprint
from turnwise.tasks.files import load_tasks, save_tasks
from turnwise.tasks.generate import Generator, Knobs, generator_names, make_generator
from turnwise.tasks.importers import import_tasks, importer_names
from turnwise.tasks.panels import load_panel, panel_names

__all__ = [
    "Generator",
    "Knobs",
    "PublicTask",
    "Task",
    "TaskSet",
    "canonical_json",
    "digest",
    "file_digest",
    "fingerprint",
    "generator_names",
    "import_tasks",
    "importer_names",
    "load_panel",
    "load_tasks",
    "make_generator",
    "panel_names",
    "save_tasks",
]
