"""What runs inside the sandboxes; it is sent there as text and imports nothing of turnwise but its own modules."""
