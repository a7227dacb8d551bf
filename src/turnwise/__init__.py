"""Turnwise: a gym for LLM agents that gives every turn its credit."""

__version__ = "0.1.0"
