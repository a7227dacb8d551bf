"""What is learnt: credit, the credit lab, probes, losses, the verl adapter."""

if __name__ != "turnwise.trainers":
    raise ImportError(f"import turnwise.trainers, not {__name__}")
