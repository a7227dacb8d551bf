"""Random arguments that fit a tool's schema: what the random agent and the contract suite act with."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from turnwise.envs.types import ToolSpec


def sample_arguments(spec: ToolSpec, rng: random.Random, words: Sequence[str]) -> dict[str, JsonValue]:
    """Draw arguments for a tool: all required ones, and each optional one half of the time.

    Args:
        spec: The tool.
        rng: The only source of randomness.
        words: What texts are made of.
    """
    schema: Any = spec.parameters
    definitions = schema.get("$defs", {})
    required = schema.get("required", [])
    return {
        name: _value(prop, rng, words, definitions)
        for name, prop in schema.get("properties", {}).items()
        if name in required or rng.random() < 0.5
    }


def _value(schema: Mapping[str, Any], rng: random.Random, words: Sequence[str], defs: Mapping[str, Any]) -> JsonValue:
    if "$ref" in schema:
        return _value(defs[schema["$ref"].rpartition("/")[2]], rng, words, defs)
    if "const" in schema or "enum" in schema:
        choices: list[JsonValue] = schema.get("enum") or [schema["const"]]
        return rng.choice(choices)
    if "anyOf" in schema or "oneOf" in schema:
        return _value(rng.choice(schema.get("anyOf") or schema["oneOf"]), rng, words, defs)
    match schema.get("type"):
        case "integer":
            low = schema.get("minimum", 0)
            return rng.randint(low, schema.get("maximum", low + 10))
        case "number":
            low = schema.get("minimum", 0.0)
            return rng.uniform(low, schema.get("maximum", low + 10.0))
        case "boolean":
            return rng.random() < 0.5
        case "null":
            return None
        case "array":
            items = schema.get("items", {"type": "string"})
            return [_value(items, rng, words, defs) for _ in range(rng.randint(schema.get("minItems", 0), 3))]
        case "object":
            properties: Mapping[str, Any] = schema.get("properties", {})
            return {name: _value(prop, rng, words, defs) for name, prop in properties.items()}
        case _:
            text = " ".join(rng.choice(words or ["a"]) for _ in range(rng.randint(1, 3)))
            return text[: schema.get("maxLength", 200)]
