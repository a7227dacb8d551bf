"""Programs to write, drawn from families with a seed; each comes with a reference that proves it can be done."""

from turnwise.envs.code.generate.generator import CodeGenerator, CodeKnobs

__all__ = ["CodeGenerator", "CodeKnobs"]
