"""The ``turnwise`` command: one thin function per command."""

if __name__ != "turnwise.cli":
    raise ImportError(f"import turnwise.cli, not {__name__}")
