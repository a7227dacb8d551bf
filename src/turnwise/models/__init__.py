"""Who answers: the chat client shared by agents, judges and summaries, and the fake server."""

if __name__ != "turnwise.models":
    raise ImportError(f"import turnwise.models, not {__name__}")
