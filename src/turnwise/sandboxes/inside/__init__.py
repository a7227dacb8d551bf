"""What runs inside a sandbox: sent there as text, so it may import only the standard library and its own siblings."""
