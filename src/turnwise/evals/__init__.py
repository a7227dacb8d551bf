"""How good: metrics, statistics, comparison, report, viewer."""

if __name__ != "turnwise.evals":
    raise ImportError(f"import turnwise.evals, not {__name__}")
