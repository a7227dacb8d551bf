"""Who acts: agents, action formats, context policies, rollout, collect."""

if __name__ != "turnwise.agents":
    raise ImportError(f"import turnwise.agents, not {__name__}")
