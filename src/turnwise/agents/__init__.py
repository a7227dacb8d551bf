"""Who acts: agents, action formats, context policies, rollout, collect."""

if __name__ != "turnwise.agents":
    raise ImportError(f"import turnwise.agents, not {__name__}")

from turnwise.agents.base import Agent, AgentConfig, AgentFactory, Conversation, Exchange, Generation, Stage
from turnwise.agents.collect import Collected, collect
from turnwise.agents.jobs import Job, check_resume, panel_ref, plan
from turnwise.agents.limits import Limits
from turnwise.agents.registry import agent_class, agent_names, make_agent
from turnwise.agents.rollout import Place, rollout
from turnwise.agents.tokens import TurnSpans, TurnTokens, build_sequences

__all__ = [
    "Agent",
    "AgentConfig",
    "AgentFactory",
    "Collected",
    "Conversation",
    "Exchange",
    "Generation",
    "Job",
    "Limits",
    "Place",
    "Stage",
    "TurnSpans",
    "TurnTokens",
    "agent_class",
    "agent_names",
    "build_sequences",
    "check_resume",
    "collect",
    "make_agent",
    "panel_ref",
    "plan",
    "rollout",
]
