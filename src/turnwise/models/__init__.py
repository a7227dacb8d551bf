"""Who answers: the chat client shared by agents, judges and summaries, and the fake server."""

if __name__ != "turnwise.models":
    raise ImportError(f"import turnwise.models, not {__name__}")

from turnwise.models.client import ChatModel, endpoint
from turnwise.models.completion import Completion, Message
from turnwise.models.config import ModelConfig, Sampling
from turnwise.models.prices import FREE, Price, price_of

__all__ = [
    "FREE",
    "ChatModel",
    "Completion",
    "Message",
    "ModelConfig",
    "Price",
    "Sampling",
    "endpoint",
    "price_of",
]
