"""``turnwise search``: build an index, ask it, serve it to others."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from turnwise.cli.options import print_json
from turnwise.errors import ConfigError

app = typer.Typer(help="Search engines: build an index, ask it, serve it.", no_args_is_help=True)

Corpus = Annotated[Path | None, typer.Option(help="A corpus file of BEIR's or Search-R1's shape (JSON Lines).")]
Pages = Annotated[int, typer.Option(help="Pages of the generated world, where no corpus is given.")]
Seed = Annotated[int, typer.Option(help="Seed of the generated world.")]
Hybrid = Annotated[bool, typer.Option("--hybrid", help="Join BM25 with dense vectors.")]


@app.command()
def index(corpus: Corpus = None, pages: Pages = 5000, seed: Seed = 7) -> None:
    """Build the index of a corpus, or go on with an interrupted build, and print what it is.

    Examples:
        turnwise search index --corpus wiki-18.jsonl

        turnwise search index --pages 100000
    """
    source, built = _open(corpus, pages, seed)
    print_json({"schema": 1, "documents": len(built), "digest": built.digest, "corpus": source.model_dump(mode="json")})


@app.command()
def ask(query: str, corpus: Corpus = None, pages: Pages = 5000, seed: Seed = 7, top_k: int = 5) -> None:
    """Search once and print the results as JSON.

    Examples:
        turnwise search ask "who founded the observatory" --top-k 3
    """
    _, built = _open(corpus, pages, seed)
    hits = [
        {"id": hit.document.id, "title": hit.document.title, "score": hit.score} for hit in built.search(query, top_k)
    ]
    print_json({"schema": 1, "query": query, "hits": hits})


@app.command()
def serve(
    corpus: Corpus = None,
    pages: Pages = 5000,
    seed: Seed = 7,
    hybrid: Hybrid = False,
    host: Annotated[str, typer.Option(help="Where to listen; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    token: Annotated[str | None, typer.Option(envvar="TURNWISE_SEARCH_TOKEN", help="Bearer token to ask for.")] = None,
    top_k: Annotated[int, typer.Option(min=1, max=100, help="Results where a request names no number.")] = 3,
) -> None:
    """Serve Search-R1's /retrieve protocol until interrupted.

    Examples:
        turnwise search serve --corpus wiki-18.jsonl --port 8000
    """
    import uvicorn

    from turnwise.envs.search.retriever import LexicalRetriever, Retriever
    from turnwise.envs.search.serve import make_app

    _, built = _open(corpus, pages, seed)
    retriever: Retriever = LexicalRetriever(built)
    if hybrid:
        from turnwise.envs.search.dense import hybrid as join

        retriever = join(built)
    application = make_app(retriever, host=host, token=token, topk=top_k)
    Console(stderr=True).print(f"serving {len(built)} documents at http://{host}:{port}/retrieve", highlight=False)
    uvicorn.run(application, host=host, port=port, log_level="warning")


def _open(corpus: Path | None, pages: int, seed: int) -> tuple[Any, Any]:
    from pydantic import ValidationError

    from turnwise.envs.search.corpora import FileCorpus, WorldCorpus, import_corpus, open_index
    from turnwise.envs.search.world import WorldConfig

    try:
        recipe = WorldConfig(pages=pages, seed=seed)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]}: {first['msg']}") from error
    source: FileCorpus | WorldCorpus = import_corpus(corpus) if corpus else WorldCorpus(recipe=recipe)
    with Console(stderr=True).status("opening the index") as status:
        return source, open_index(source, lambda done: status.update(f"{done:,} documents indexed"))
