"""MiniWoB++: 130 small pages with a question each, from the installed ``miniwob`` distribution."""
