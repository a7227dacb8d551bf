"""Who acts: agents, action formats, context policies, rollout, collect."""

if __name__ != "turnwise.agents":
    raise ImportError(f"import turnwise.agents, not {__name__}")

from turnwise.agents.base import Agent, AgentConfig, AgentFactory, Conversation, Exchange, Generation, Stage
from turnwise.agents.registry import agent_class, agent_names, make_agent
from turnwise.agents.tokens import TurnSpans, TurnTokens, build_sequences

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentFactory",
    "Conversation",
    "Exchange",
    "Generation",
    "Stage",
    "TurnSpans",
    "TurnTokens",
    "agent_class",
    "agent_names",
    "build_sequences",
    "make_agent",
]
