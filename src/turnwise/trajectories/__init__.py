"""What happened: the records, the store, export."""

if __name__ != "turnwise.trajectories":
    raise ImportError(f"import turnwise.trajectories, not {__name__}")
