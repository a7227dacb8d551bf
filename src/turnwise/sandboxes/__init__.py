"""Where untrusted code runs: the protocol, its providers, the pool, the doctor."""

if __name__ != "turnwise.sandboxes":
    raise ImportError(f"import turnwise.sandboxes, not {__name__}")
