"""The policy's client: tokens in, tokens out, whatever the format and the context policy."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")

from turnwise.agents.chat import Chat, ChatConfig  # noqa: E402
from turnwise.agents.limits import Limits  # noqa: E402
from turnwise.agents.rollout import rollout  # noqa: E402
from turnwise.envs import ToolOutput  # noqa: E402
from turnwise.errors import ConfigError  # noqa: E402
from turnwise.trainers.credit import CreditBatch, get  # noqa: E402
from turnwise.trainers.probes.replay import acted  # noqa: E402
from turnwise.trainers.spread import spread  # noqa: E402
from turnwise.trainers.tiny import tiny_tokenizer  # noqa: E402
from turnwise.trainers.tokenchat import TokenChat, preflight  # noqa: E402
from turnwise.trainers.tokenmodel import Answer, TokenModel, message_of  # noqa: E402
from turnwise.trajectories import Trajectory  # noqa: E402
from word_env import TASK, Word, word_tokenizer  # noqa: E402

pytestmark = pytest.mark.train
TOKENIZER: Any = word_tokenizer()
QWEN3_LIKE = (
    "{%- for m in messages -%}<|im_start|>{{ m.role }}\n"
    "{%- if m.role == 'assistant' and not loop.last and '</think>' in m.content -%}"
    "{{ m.content.split('</think>')[-1] }}{%- else -%}{{ m.content }}{%- endif -%}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)


def play(words: list[str], env: Word | None = None, **config: Any) -> Trajectory:
    """Play an episode against a token server that samples the given messages."""
    waiting = [TOKENIZER.encode(f"{word}<|im_end|>") for word in words]

    async def generate(prompt: list[int], max_tokens: int, seed: int | None) -> Answer:
        ids = waiting.pop(0)[:max_tokens]
        return Answer(token_ids=ids, logprobs=[-0.5] * len(ids))

    async def main() -> Trajectory:
        client = TokenModel(TOKENIZER, generate, turn_tokens=40, context_tokens=2000)
        agent = Chat(ChatConfig(model="tiny", **config), client=client)
        return await rollout(env or Word(), agent, TASK, 0, Limits(turns=len(words)))

    return anyio.run(main)


def text_of(record: Trajectory, sequence: int = 0) -> str:
    return str(TOKENIZER.decode(record.sequences[sequence].token_ids))


def test_an_episode_is_one_sequence_and_reads_as_the_template_renders_it() -> None:
    record = play(["say[no]", "say[maybe]", "say[yes]"], format="brackets")
    assert record.success
    assert len(record.sequences) == 1
    spans = [turn.action_span for turn in record.turns if turn.action_span]
    sampled = [TOKENIZER.decode(record.sequences[0].token_ids[span.start : span.end]) for span in spans]
    assert sampled == ["say[no]<|im_end|>", "say[maybe]<|im_end|>", "say[yes]<|im_end|>"]
    messages = [{"role": "system", "content": record.system_prompt}, {"role": "user", "content": "Say the word."}]
    for turn in record.turns:
        messages += [{"role": "assistant", "content": turn.text}, {"role": "user", "content": turn.observation.text}]
    rendered = TokenChat(TOKENIZER).text(messages[:-1])
    assert text_of(record) == rendered.rstrip("\n")


@pytest.mark.parametrize(("context", "reason"), [("window:1", "window"), ("per-turn:1", "per_turn")])
def test_a_rewritten_context_opens_a_sequence_and_says_why(context: str, reason: str) -> None:
    record = play(["say[no]", "say[maybe]", "say[so]", "say[yes]"], format="brackets", context=context)
    assert record.sequences[-1].opened_by == reason
    assert sum(int(sequence.loss_mask.sum()) for sequence in record.sequences) == sum(
        turn.action_span.end - turn.action_span.start for turn in record.turns if turn.action_span
    )


def test_what_reaches_the_loss_is_what_the_estimator_said() -> None:
    records = [play(words, format="brackets") for words in (["say[no]", "say[yes]"], ["say[no]", "say[no]"])]
    for record, sample in zip(records, range(2), strict=True):
        record.episode_id, record.sample = f"e{sample}", sample
    batch = CreditBatch.from_trajectories(records)
    credit = get("turn_rloo").estimate(batch)
    laid = spread(records, batch, credit)
    at = 0
    for record, arrays in zip(records, laid, strict=True):
        for turn in record.turns:
            assert turn.action_span is not None
            span = arrays[0][turn.action_span.start : turn.action_span.end]
            assert set(span) == {credit.advantages[at]}
            at += 1
        assert not arrays[0][~record.sequences[0].loss_mask].any()


def test_a_message_cut_at_its_limit_is_closed_for_the_next_turn() -> None:
    chat = TokenChat(TOKENIZER)
    history = [{"role": "user", "content": "a"}]
    answers = [{"role": "user", "content": "b"}]
    whole = chat.between(history, answers, TOKENIZER.encode("x<|im_end|>"))
    cut = chat.between(history, answers, TOKENIZER.encode("x"))
    assert TOKENIZER.decode(cut) == "<|im_end|>" + TOKENIZER.decode(whole)


def test_preflight_tells_templates_apart() -> None:
    assert preflight(TOKENIZER).appends
    assert preflight(TOKENIZER).keeps_thinking
    dropping = tiny_tokenizer(["say"], 300)
    dropping.chat_template = QWEN3_LIKE
    assert not preflight(dropping).keeps_thinking
    rewriting = tiny_tokenizer(["say"], 300)
    rewriting.chat_template = "{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}"
    report = preflight(rewriting)
    assert not report.appends
    assert any("rewrites" in note for note in report.notes)
    bare = tiny_tokenizer(["say"], 300)
    bare.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        TokenChat(bare)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_native_calls(text: str) -> None:
    message = message_of(text, native=True)
    assert message["role"] == "assistant"
    assert "tool_calls" not in message_of(text, native=False)


def test_a_record_replays_what_the_environment_heard_blanks_and_all() -> None:
    class Hears(Word):
        async def on_text(self, text: str) -> ToolOutput:
            self.said.append(text)
            return ToolOutput.of("noted")

    record = play([" hm \n", "\x1d no\x0b", "yes"], Hears(), format="native")

    async def replay() -> list[str]:
        env = Hears()
        await env.reset(TASK, seed=record.seed)
        return [(await env.step(acted(turn))).info.state_key for turn in record.turns[:-1]]

    assert anyio.run(replay) == [turn.next_state_key for turn in record.turns[:-1]]


def test_native_calls_are_read_from_hermes_blocks() -> None:
    message = message_of('hm <tool_call>{"name": "say", "arguments": {"word": "yes"}}</tool_call>', native=True)
    assert message["content"] == "hm"
    assert message["tool_calls"] == [
        {"id": "call_0", "type": "function", "function": {"name": "say", "arguments": '{"word": "yes"}'}}
    ]


def test_the_tiny_model_and_its_files_need_no_hub(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again.encode("say[yes]") == TOKENIZER.encode("say[yes]")
