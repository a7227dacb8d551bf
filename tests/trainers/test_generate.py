"""The batched engine: what it samples equals what the model says, whatever runs beside it."""

import asyncio
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")

from turnwise.errors import ConfigError, ModelError  # noqa: E402
from turnwise.trainers.generate import BatchedGenerator, Sampled, Sampling  # noqa: E402
from turnwise.trainers.tiny import TinyModel, build_tiny  # noqa: E402

pytestmark = pytest.mark.train
TEXTS = ["the red shoe is cheap", "select count(*) from Artist", "open the door and look"]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, object]:
    folder = build_tiny(tmp_path_factory.mktemp("tiny"), TEXTS, TinyModel(vocab_size=300, hidden_size=32, layers=2))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def run(loaded: tuple[object, object], prompts: list[list[int]], sampling: Sampling, **options: int) -> list[Sampled]:
    async def main() -> list[Sampled]:
        engine = BatchedGenerator(*loaded, **options)  # type: ignore[arg-type]
        try:
            return list(await asyncio.gather(*(engine.generate(prompt, sampling) for prompt in prompts)))
        finally:
            await engine.aclose()

    return asyncio.run(main())


def test_logprobs_are_the_models_own(loaded: tuple[object, object]) -> None:
    prompts = [[5, 6, 7], [9, 10, 11, 12, 13, 14], [8]]
    sampling = Sampling(max_tokens=7, temperature=0.7, seed=3)
    for prompt, got in zip(prompts, run(loaded, prompts, sampling), strict=True):
        ids = torch.tensor([prompt + got.token_ids])
        with torch.no_grad():
            logits = loaded[0](ids).logits[0].float() / 0.7  # type: ignore[operator]
        wanted = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1].gather(1, torch.tensor(got.token_ids)[:, None])
        assert torch.allclose(torch.tensor(got.logprobs), wanted[:, 0], atol=1e-4)


def test_a_seed_draws_the_same_alone_and_in_company(loaded: tuple[object, object]) -> None:
    sampling = Sampling(max_tokens=12, seed=11)
    alone = run(loaded, [[5, 6, 7]], sampling)[0]
    together = run(loaded, [[5, 6, 7], [9] * 20, [4, 4]], sampling)[0]
    assert alone.token_ids == together.token_ids


def test_stop_token_and_length_end_an_answer(loaded: tuple[object, object]) -> None:
    free = run(loaded, [[5, 6]], Sampling(max_tokens=5, temperature=0))[0]
    assert (len(free.token_ids), free.finish) == (5, "length")
    cut = run(loaded, [[5, 6]], Sampling(max_tokens=5, temperature=0, stop_token_ids=(free.token_ids[0],)))[0]
    assert (len(cut.token_ids), cut.finish) == (1, "stop")


def test_top_k_of_one_is_greedy(loaded: tuple[object, object]) -> None:
    greedy = run(loaded, [[5, 6]], Sampling(max_tokens=6, temperature=0))[0]
    narrow = run(loaded, [[5, 6]], Sampling(max_tokens=6, top_k=1, seed=1))[0]
    assert greedy.token_ids == narrow.token_ids
    assert run(loaded, [[5, 6]], Sampling(max_tokens=6, top_p=1e-6, seed=1))[0].token_ids == greedy.token_ids


def test_too_long_a_prompt_and_an_unknown_weight_are_refused(loaded: tuple[object, object]) -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        run(loaded, [[1] * 5000], Sampling())

    async def load() -> None:
        await BatchedGenerator(*loaded).load_weights([("nothing.weight", torch.zeros(1))])  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"nothing\.weight"):
        asyncio.run(load())


def test_the_tiny_model_is_the_same_each_time_and_its_template_appends(tmp_path: Path) -> None:
    size = TinyModel(vocab_size=300, hidden_size=32, layers=1)
    for name in ("a", "b"):
        build_tiny(tmp_path / name, TEXTS, size)
    for file in ("tokenizer.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "a")
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    short = tokenizer.apply_chat_template(messages[:1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert whole.startswith(short)


def test_neighbours_may_sample_by_other_settings(loaded: tuple[object, object]) -> None:
    settings = [
        Sampling(max_tokens=8, temperature=0),
        Sampling(max_tokens=8, seed=1, top_k=5),
        Sampling(max_tokens=8, seed=2, top_p=0.5, temperature=0.8),
    ]

    async def main() -> list[Sampled]:
        engine = BatchedGenerator(*loaded)  # type: ignore[arg-type]
        try:
            return list(await asyncio.gather(*(engine.generate([5, 6, 7], each) for each in settings)))
        finally:
            await engine.aclose()

    together = asyncio.run(main())
    alone = [run(loaded, [[5, 6, 7]], each)[0] for each in settings]
    assert [each.token_ids for each in together] == [each.token_ids for each in alone]


def test_draws_follow_the_distribution_that_is_left_after_truncation(loaded: tuple[object, object]) -> None:
    with torch.no_grad():
        logits = loaded[0](torch.tensor([[5, 6, 7]])).logits[0, -1].float()  # type: ignore[operator]
    likely = set(torch.topk(logits, 4).indices.tolist())

    async def main() -> list[Sampled]:
        engine = BatchedGenerator(*loaded, max_batch=512)  # type: ignore[arg-type]
        asked = [Sampling(max_tokens=1, seed=seed, top_k=4) for seed in range(1000)]
        try:
            return list(await asyncio.gather(*(engine.generate([5, 6, 7], each) for each in asked)))
        finally:
            await engine.aclose()

    drawn = [each.token_ids[0] for each in asyncio.run(main())]
    assert set(drawn) == likely
    wanted = torch.softmax(logits[sorted(likely)], -1)
    got = torch.tensor([drawn.count(token) / len(drawn) for token in sorted(likely)])
    # Five standard errors of a share of a thousand draws.
    assert torch.allclose(got, wanted, atol=5 * 0.016)
