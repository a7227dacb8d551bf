"""What runs in the worker process: the standard library only, so that a worker starts in milliseconds."""
