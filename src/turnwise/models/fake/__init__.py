"""A chat endpoint for tests, demonstrations and benchmarks: real HTTP, no model, nothing left to chance."""

from turnwise.models.fake.faults import FAULTS, Faults
from turnwise.models.fake.rules import ByTask, ChatRequest, RandomTools, Reply, Rule, Script, call, say
from turnwise.models.fake.server import FakeServer

__all__ = [
    "FAULTS",
    "ByTask",
    "ChatRequest",
    "FakeServer",
    "Faults",
    "RandomTools",
    "Reply",
    "Rule",
    "Script",
    "call",
    "say",
]
