"""A tiny chat model made on the spot, so that tests and demos train without a hub.

The tokenizer learns its merges from the texts given; the model is a small Qwen2 with random weights. Both are saved in
the Hugging Face layout, so every loader that takes real weights takes these.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from turnwise.errors import ConfigError, MissingExtraError

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SHARED_CHARS = 32
"""Shortest paragraph that becomes one token where most texts hold it."""
_BREAK = re.compile("|".join((*map(re.escape, SPECIAL), r"\n\n")))

CHAT_TEMPLATE = """\
{%- set system = messages[0].content if messages and messages[0].role == 'system' else '' -%}
{%- if tools -%}
<|im_start|>system
{% if system %}{{ system }}

{% endif -%}
# Tools
{% for tool in tools %}{{ tool | tojson }}
{% endfor -%}
<|im_end|>
{% endif -%}
{%- for message in (messages[1:] if tools and system else messages) -%}
<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% elif message.content %}\
{{ message.content | map(attribute='text') | join('') }}{% endif -%}
{%- for call in message.tool_calls or [] %}<tool_call>
{"name": "{{ call.function.name }}", "arguments": \
{{ call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}}
</tool_call>{% endfor -%}
<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
"""ChatML with Hermes' tool calls, append-only: a longer conversation never changes the tokens of its beginning."""


class TinyModel(BaseModel):
    """Sizes of the model; the default has about 1.5 million parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = 1024
    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    intermediate_size: int = 384
    max_positions: int = 2048
    seed: int = 0


def build_tiny(folder: Path, texts: Iterable[str], size: TinyModel | None = None) -> Path:
    """Make tokenizer and model and save them.

    Args:
        folder: Where to save; made if it is not there.
        texts: What the tokenizer learns its merges from, for example rendered episodes.
        size: Sizes and seed; the same texts and size give the same files.

    Returns:
        The folder, loadable by ``AutoModelForCausalLM`` and ``AutoTokenizer``.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    sizes = size or TinyModel()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(texts, sizes.vocab_size)
    tokenizer.save_pretrained(folder)
    _model(len(tokenizer), tokenizer, sizes).save_pretrained(folder)
    return folder


def tiny_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Learn a byte-level BPE tokenizer with a ChatML template; digits stay apart.

    A paragraph that at least half of the texts hold, such as the instructions, is one token: a small model learns the
    instructions by heart anyway, and spends its time on what differs between episodes.
    """
    try:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast
    except ImportError as error:
        raise MissingExtraError.of("train", "transformers") from error
    if vocab_size < 256 + len(SPECIAL):
        raise ConfigError(f"vocab_size must be at least {256 + len(SPECIAL)} (all bytes), got {vocab_size}")
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    shown = list(texts)
    shared = _shared(shown)
    inner.train_from_iterator((_without(text, shared) for text in shown), trainer)
    inner.add_tokens([AddedToken(paragraph, normalized=False) for paragraph in shared])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _shared(texts: Sequence[str]) -> list[str]:
    """Return the long paragraphs that at least half of the texts hold, in order."""
    held = Counter(part for text in texts for part in {part.strip("\n") for part in _BREAK.split(text)})
    return sorted(part for part, count in held.items() if 2 * count >= len(texts) > 1 and len(part) >= SHARED_CHARS)


def _without(text: str, shared: Sequence[str]) -> str:
    for paragraph in shared:
        text = text.replace(paragraph, "")
    return text


def _model(vocab_size: int, tokenizer: Any, size: TinyModel) -> Any:
    try:
        import torch
        from transformers import Qwen2Config, Qwen2ForCausalLM
    except ImportError as error:
        raise MissingExtraError.of("train", "torch") from error
    config = Qwen2Config(
        vocab_size=vocab_size,
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        intermediate_size=size.intermediate_size,
        max_position_embeddings=size.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(size.seed)
        return Qwen2ForCausalLM(config)
