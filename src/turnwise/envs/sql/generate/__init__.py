"""Questions cut from any database's schema and contents, each with its gold query and its proof."""

from turnwise.envs.sql.generate.generator import SqlGenerator, SqlKnobs

__all__ = ["SqlGenerator", "SqlKnobs"]
