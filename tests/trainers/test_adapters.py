"""A model with adapters, merged, gives the numbers it gave with them."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")
peft = pytest.importorskip("peft", reason="needs the train extra")

from turnwise.errors import TrainerError  # noqa: E402
from turnwise.trainers.adapters import merge_adapters  # noqa: E402

pytestmark = pytest.mark.train


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
def test_merged_weights_answer_as_the_adapted_model(tmp_path: Path, shard: str) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Qwen2Config(vocab_size=50, num_key_value_heads=2, **sizes)
    plain = transformers.Qwen2ForCausalLM(config)
    adapted = peft.get_peft_model(plain, peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    ids = torch.arange(10)[None]
    expected = adapted(ids).logits
    transformers.Qwen2ForCausalLM(config).save_pretrained(
        tmp_path, state_dict=adapted.state_dict(), max_shard_size=shard
    )
    assert (tmp_path / "model.safetensors.index.json").exists() == (shard == "20KB")
    assert merge_adapters(tmp_path, 2.0) == 14
    assert merge_adapters(tmp_path, 2.0) == 0
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(again(ids).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="holds no model"):
        merge_adapters(tmp_path, 1.0)
