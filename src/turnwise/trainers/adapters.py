"""Low-rank adapters in a saved model: merged into its weights, so that the folder loads like any other.

verl writes the adapted model with the names that ``peft`` gives its parts, which ``transformers`` would not recognise.
"""

import json
import os
from pathlib import Path
from typing import Any

from turnwise.errors import TrainerError

_OUTER, _BASE, _DOWN, _UP = "base_model.model.", ".base_layer.", ".lora_A.default.", ".lora_B.default."


def merge_adapters(folder: Path, scale: float) -> int:
    """Add each adapter to the weight it adapts, and give every weight its own name back.

    Args:
        folder: A model in the Hugging Face layout; one without adapters is left as it is.
        scale: alpha / rank.

    Returns:
        How many weights were adapted.

    Raises:
        TrainerError: The folder holds no weights, or an adapter without its other half.
    """
    from safetensors import safe_open

    shards = sorted(folder.glob("*.safetensors"))
    if not shards:
        raise TrainerError(f"{folder} holds no model.safetensors")
    found: dict[str, Any] = {}
    for shard in shards:
        with safe_open(shard, "pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys() if _DOWN in name or _UP in name}  # noqa: SIM118
    if not found:
        return 0
    merged = [_merge(shard, found, scale) for shard in shards]
    _rename_index(folder)
    return sum(merged)


def _merge(shard: Path, adapters: dict[str, Any], scale: float) -> int:
    from safetensors.torch import load_file, save_file

    weights, count = {}, 0
    for name, tensor in load_file(shard).items():
        if name in adapters:
            continue
        if _BASE in name and name.endswith(".weight"):
            down, up = (name.replace(_BASE, half) for half in (_DOWN, _UP))
            if down not in adapters or up not in adapters:
                raise TrainerError(f"{shard}: {name} has no adapter; the checkpoint is not whole")
            delta = adapters[up].float() @ adapters[down].float() * scale
            weights[_plain(name)] = (tensor.float() + delta).to(tensor.dtype).contiguous()
            count += 1
        else:
            weights[_plain(name)] = tensor
    aside = shard.with_suffix(".part")
    save_file(weights, aside, metadata={"format": "pt"})
    os.replace(aside, shard)
    return count


def _rename_index(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    told = json.loads(index.read_text(encoding="utf-8"))
    kept = {name: shard for name, shard in told["weight_map"].items() if _DOWN not in name and _UP not in name}
    told["weight_map"] = {_plain(name): shard for name, shard in kept.items()}
    index.write_text(json.dumps(told, indent=2), encoding="utf-8")


def _plain(name: str) -> str:
    return name.removeprefix(_OUTER).replace(_BASE, ".")
