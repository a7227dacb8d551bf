"""The SQL environment: questions about a database, graded by what a query returns."""

from turnwise.envs.sql.compare import PRESETS, Comparison, comparison, same
from turnwise.envs.sql.databases import CHINOOK, put_database
from turnwise.envs.sql.env import SqlConfig, SqlData, SqlEnv

__all__ = ["CHINOOK", "PRESETS", "Comparison", "SqlConfig", "SqlData", "SqlEnv", "comparison", "put_database", "same"]
