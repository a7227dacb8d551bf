"""The worlds: contract, registry, wrappers, proof of tasks, and the environments."""

if __name__ != "turnwise.envs":
    raise ImportError(f"import turnwise.envs, not {__name__}")
