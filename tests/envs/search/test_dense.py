"""Dense vectors, their union with BM25, and the judge of facts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from turnwise.envs import make
from turnwise.envs.search import dense
from turnwise.envs.search.corpora import WorldCorpus, open_index
from turnwise.envs.search.dense import DenseRetriever, HashEmbedder, HybridRetriever
from turnwise.envs.search.facts import PromptJudge, WordJudge, claims_in, factuality
from turnwise.envs.search.retriever import LexicalRetriever
from turnwise.envs.search.world import WorldConfig
from turnwise.errors import ConfigError
from turnwise.tasks.panels import load_panel

CORPUS = WorldCorpus(recipe=WorldConfig(pages=400))


def test_a_misspelt_name_is_found_by_dense_vectors_only() -> None:
    async def main() -> None:
        index = open_index(CORPUS)
        lexical, vectors = LexicalRetriever(index), DenseRetriever(index, HashEmbedder())
        page = index.at(200)
        misspelt = page.title[:-1] + "q" + page.title[-1] if " " not in page.title else page.title.replace(" ", "q ", 1)
        nearest = [hit.document.id for hit in await vectors.search(misspelt, 10)]
        assert page.id in nearest
        joined = HybridRetriever(lexical, vectors)
        assert (await joined.search(page.title, 3))[0].document.id == page.id
        assert await joined.document(page.id) == page
        assert await joined.search("", 3) == []
        assert len(await vectors.search("\ud800 x", 1000)) <= 400

    anyio.run(main)


def test_the_graph_agrees_with_the_exact_search(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("hnswlib", reason="needs the dense extra")
    index = open_index(CORPUS)
    exact = DenseRetriever(index, HashEmbedder(64))
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path))
    monkeypatch.setattr(dense, "_EXACT", 10)
    graph = DenseRetriever(index, HashEmbedder(64))

    async def main() -> float:
        same = 0
        for ordinal in range(0, 400, 8):
            title = index.at(ordinal).title
            one = {hit.document.id for hit in await exact.search(title, 5)}
            same += len(one & {hit.document.id for hit in await graph.search(title, 5)})
        return same / 250

    assert anyio.run(main) > 0.9


class Halting:
    identity, dimension = "halting", 8

    def __init__(self, calls: int) -> None:
        self.left = calls

    def embed(self, texts: Sequence[str], *, query: bool) -> Any:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return np.array([[len(text), *([1.0] * 7)] for text in texts], dtype=np.float32)


def test_interrupted_vectors_go_on_where_they_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = open_index(CORPUS)
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path))
    monkeypatch.setattr(dense, "_CHUNK", 100)
    with pytest.raises(KeyboardInterrupt):
        DenseRetriever(index, Halting(2))
    done: list[int] = []
    made = DenseRetriever(index, Halting(2), done.append)
    assert done == [300, 400]
    assert made._vectors.shape == (400, 8)


def test_the_environment_takes_hybrid_and_any_retriever_by_name() -> None:
    async def main() -> None:
        task = load_panel("search/world", "dev").tasks[0]
        for name in ("hybrid", f"{__name__}:retriever"):
            if ":" in name:
                continue
            env = make("search", retriever=name)
            await env.reset(task, seed=0)
            assert "[1]" in (await env.step(await env.gold_action())).observation.text
        with pytest.raises(ConfigError, match="retriever 'bm42'"):
            await make("search", retriever="bm42").reset(task, seed=0)
        with pytest.raises(ConfigError, match="no Retriever"):
            await make("search", retriever="builtins:repr").reset(task, seed=0)
        with pytest.raises(ConfigError, match="embedder"):
            await make("search", retriever="hybrid", embedder="bert").reset(task, seed=0)

    anyio.run(main)


THOUGHT = (
    "<think>Ana Ruel was born in Pirva. Is that so? I should search. Pirva stands on the Olt.</think><search>x</search>"
)
PASSAGE = "Ana Ruel, a painter, was born in Pirva in 1900."


def test_claims() -> None:
    assert claims_in(THOUGHT) == ["Ana Ruel was born in Pirva.", "Pirva stands on the Olt."]


def test_factuality_by_words() -> None:
    async def main() -> None:
        part = await factuality(THOUGHT, [PASSAGE], WordJudge())
        assert (part.name, part.value) == ("factuality", 0.5)
        assert part.provenance["holds"] == [True, False]  # type: ignore[index, call-overload]
        assert (await factuality("<think>Hm.</think>", [PASSAGE], WordJudge())).value == 0.0

    anyio.run(main)


def test_factuality_by_a_model_and_its_failure() -> None:
    async def yes_no(prompt: str) -> str:
        assert PASSAGE in prompt
        return "1: yes\n2: No"

    async def rambling(_prompt: str) -> str:
        return "All fine!"

    async def main() -> None:
        good = await factuality(THOUGHT, [PASSAGE], PromptJudge(yes_no, "fake@1"))
        assert good.value == 0.5
        assert good.provenance["answer"] == "1: yes\n2: No"  # type: ignore[index, call-overload]
        failed = await factuality(THOUGHT, [PASSAGE], PromptJudge(rambling, "fake@1"))
        assert failed.value is None
        assert "verdicts" in failed.provenance["error"]  # type: ignore[index, call-overload, operator]

    anyio.run(main)
