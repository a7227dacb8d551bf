"""The search environment: ask, read, judge, answer."""
