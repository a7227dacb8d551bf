"""A report of runs as one HTML file that needs no network and runs no script."""

from turnwise.evals.report.page import Source, render, write_report

__all__ = ["Source", "render", "write_report"]
