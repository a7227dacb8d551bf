"""Search engines side by side on one generated world: index time, query latency, processor time, memory, concurrency.

Run:  python benchmarks/search_engines.py [--pages 10000 100000] [--queries 320] [--engines turnwise tantivy]

Every engine indexes the same pages in one process and answers from another that only opens what was built, so that
memory is what serving takes. The engines are asked in turn, round by round, so that a busy machine hurts all alike.
Ours is asked through ``Retriever.search`` and returns whole documents; the others return ids: raw tantivy with the
very words that ours asks for (``tantivy``) and with every word of the query (``tantivy-all``), ``bm25s``
(memory-mapped) and SQLite FTS5 (porter, OR query, ``ORDER BY rank``). ``burst64`` asks 64 at once. ``cpu50`` is the
median of the processor time of a query, all threads together, which other work on the machine disturbs least.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import anyio

from turnwise.envs.search.documents import Document
from turnwise.envs.search.index import Index, analyser, asked_words, build_index
from turnwise.envs.search.pages import write_pages
from turnwise.envs.search.questions import FORMS, cut
from turnwise.envs.search.retriever import LexicalRetriever
from turnwise.envs.search.world import World, WorldConfig, make_world

Times = list[tuple[float, float]]
"""Seconds of each query: by the clock, and of the processor."""
Round = Callable[[list[str]], tuple[Times, float]]
"""From queries to the times of each, and the seconds of the first 64 asked at once."""


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    wall, processor = clocks()
    return wall - start[0], processor - start[1]


def read_texts(place: Path) -> Iterator[str]:
    with (place / "pages.jsonl").open() as stream:
        for line in stream:
            row = json.loads(line)
            yield f"{row['title']}\n{row['text']}"


def build_ours(place: Path) -> None:
    def documents() -> Iterator[Document]:
        with (place / "pages.jsonl").open() as stream:
            for line in stream:
                yield Document(**json.loads(line))

    (place / "index").mkdir()
    build_index(documents(), place / "index", place / "work")


def load_ours(place: Path) -> Round:
    retriever = LexicalRetriever(Index(place / "index"))

    async def asked(queries: list[str]) -> tuple[Times, float]:
        single = []
        for query in queries:
            begun = clocks()
            await retriever.search(query, 10)
            single.append(since(begun))
        start = time.perf_counter()
        async with anyio.create_task_group() as group:
            for query in queries[:64]:
                group.start_soon(retriever.search, query, 10)
        return single, time.perf_counter() - start

    return lambda queries: anyio.run(asked, queries)


def _plain(ask: Callable[[str], object]) -> Round:
    def asked(queries: list[str]) -> tuple[Times, float]:
        single = []
        for query in queries:
            begun = clocks()
            ask(query)
            single.append(since(begun))
        start = time.perf_counter()
        for query in queries[:64]:
            ask(query)
        return single, time.perf_counter() - start

    return asked


def build_tantivy(place: Path) -> None:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", tokenizer_name="words", index_option="freq")
    (place / "raw").mkdir()
    index = tantivy.Index(builder.build(), path=str(place / "raw"))
    index.register_tokenizer("words", analyser())
    writer = index.writer(heap_size=2_000_000_000, num_threads=1)
    for text in read_texts(place):
        writer.add_document(tantivy.Document(text=[text]))
    writer.commit()
    writer.wait_merging_threads()


def build_raw_once(place: Path) -> None:
    """Share the index of ``tantivy`` where that was built."""
    if not (place / "raw").is_dir():
        build_tantivy(place)


def every_word(query: str, _searcher: Any) -> list[str]:
    return list(dict.fromkeys(analyser().analyze(query)))


def load_tantivy(place: Path, words: Callable[[str, Any], list[str]] = asked_words) -> Round:
    import tantivy

    index = tantivy.Index.open(str(place / "raw"))
    index.register_tokenizer("words", analyser())
    schema, searcher, should = index.schema, index.searcher(), tantivy.Occur.Should

    def ask(query: str) -> object:
        terms = words(query, searcher)
        parts = [(should, tantivy.Query.term_query(schema, "text", term, index_option="freq")) for term in terms]
        return searcher.search(tantivy.Query.boolean_query(parts), 10, count=False).hits

    return _plain(ask)


def build_bm25s(place: Path) -> None:
    import bm25s

    engine = bm25s.BM25()
    engine.index(bm25s.tokenize(list(read_texts(place)), stopwords=None, show_progress=False), show_progress=False)
    engine.save(str(place / "bm25s"))


def load_bm25s(place: Path) -> Round:
    import bm25s

    engine = bm25s.BM25.load(str(place / "bm25s"), mmap=True)

    def ask(query: str) -> object:
        tokens = bm25s.tokenize(query, stopwords=None, show_progress=False)
        return engine.retrieve(tokens, k=10, show_progress=False)

    return _plain(ask)


def build_fts5(place: Path) -> None:
    database = sqlite3.connect(place / "fts.db")
    database.execute("CREATE VIRTUAL TABLE pages USING fts5(text, content='', tokenize='porter unicode61')")
    with database:
        database.executemany("INSERT INTO pages(rowid, text) VALUES (?, ?)", enumerate(read_texts(place)))
    database.close()


def load_fts5(place: Path) -> Round:
    database = sqlite3.connect(place / "fts.db")
    select = "SELECT rowid FROM pages WHERE pages MATCH ? ORDER BY rank LIMIT 10"

    def ask(query: str) -> object:
        words = " OR ".join('"' + word.replace('"', "") + '"' for word in query.split())
        return database.execute(select, (words,)).fetchall()

    return lambda queries: _plain(ask)(queries[:12])


ENGINES: dict[str, tuple[Callable[[Path], None], Callable[[Path], Round]]] = {
    "turnwise": (build_ours, load_ours),
    "tantivy": (build_tantivy, load_tantivy),
    "tantivy-all": (build_raw_once, partial(load_tantivy, words=every_word)),
    "bm25s": (build_bm25s, load_bm25s),
    "fts5": (build_fts5, load_fts5),
}


def questions(world: World, n: int) -> list[str]:
    """Return natural questions over the world: names and very common words alike."""
    rng, made, forms = random.Random(5), list[str](), sorted(FORMS)
    while len(made) < n:
        draft = cut(world, rng.choice(forms), rng)
        if draft is not None:
            made.append(draft.question.rstrip("?").replace(",", ""))
    return made


def rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def built(name: str, place: Path, pipe: Any) -> None:
    began = time.perf_counter()
    ENGINES[name][0](place)
    pipe.send(time.perf_counter() - began)


def answering(name: str, place: Path, pipe: Any) -> None:
    before = rss_mb()
    ask = ENGINES[name][1](place)
    while (queries := pipe.recv()) is not None:
        pipe.send((*ask(queries), rss_mb() - before))


def measure(pages: int, n: int, rounds: int, engines: list[str]) -> dict[str, dict[str, float]]:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as made:
        place, world = Path(made), make_world(WorldConfig(pages=pages))
        with (place / "pages.jsonl").open("w") as stream:
            for page in write_pages(world):
                stream.write(json.dumps({"id": page.id, "title": page.title, "text": page.text}) + "\n")
        asked = questions(world, n)
        del world
        index_s, pipes, workers = {}, {}, []
        for name in engines:
            mine, theirs = context.Pipe()
            worker = context.Process(target=built, args=(name, place, theirs))
            worker.start()
            index_s[name] = mine.recv()
            worker.join()
            pipes[name], theirs = context.Pipe()
            workers.append(context.Process(target=answering, args=(name, place, theirs)))
            workers[-1].start()
        single: dict[str, Times] = {name: [] for name in engines}
        burst: dict[str, list[float]] = {name: [] for name in engines}
        memory: dict[str, float] = {}
        for round_ in range(rounds + 1):
            part = list(islice(asked, round_ % rounds, None, rounds))
            for name, pipe in pipes.items():
                pipe.send(part)
                times, together, memory[name] = pipe.recv()
                if round_:  # the first round warms up
                    single[name] += times
                    burst[name].append(min(64, len(times)) / together)
        for pipe in pipes.values():
            pipe.send(None)
        for worker in workers:
            worker.join()
    return {name: summary(index_s[name], memory[name], single[name], burst[name]) for name in engines}


def summary(index_s: float, memory: float, single: Times, burst: list[float]) -> dict[str, float]:
    times = sorted(wall for wall, _ in single)
    at50 = sorted(processor for _, processor in single)[len(single) // 2]
    at = {f"p{p}_ms": 1e3 * times[min(len(times) - 1, len(times) * p // 100)] for p in (50, 95, 99)}
    return {
        "index_s": index_s,
        "rss_mb": memory,
        **at,
        "cpu50_ms": 1e3 * at50,
        "burst64_qps": sorted(burst)[len(burst) // 2],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    given = parser.parse_args()
    for pages in given.pages:
        found = measure(pages, given.queries, given.rounds, given.engines)
        print(f"{pages:,} pages, load {os.getloadavg()[0]:.1f}")
        for name, numbers in found.items():
            print(f"{name:>10} ", "  ".join(f"{key} {value:9.2f}" for key, value in numbers.items()))
        for key in ("p50_ms", "cpu50_ms"):
            base = found["turnwise"][key]
            print(f"{key} of ours / theirs:", {n: round(base / v[key], 2) for n, v in found.items() if n != "turnwise"})


if __name__ == "__main__":
    main()
