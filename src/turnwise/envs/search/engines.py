"""From the settings to the retriever that answers: opened in a worker thread, shared by the whole process."""

import anyio.to_thread

from turnwise.envs.search.corpora import FileCorpus, WorldCorpus, open_index, opened
from turnwise.envs.search.retriever import LexicalRetriever, Retriever
from turnwise.envs.search.settings import SearchConfig
from turnwise.errors import ConfigError, TaskError
from turnwise.tasks import plugins

Corpus = WorldCorpus | FileCorpus | None


async def open_retriever(settings: SearchConfig, corpus: Corpus) -> Retriever:
    """Return the retriever that the settings name.

    Raises:
        ConfigError: They name none, or what they name makes no retriever.
        TaskError: The task names no corpus and the retriever needs one, or the corpus is not on this machine.
        MissingExtraError: The retriever needs a package that is not installed.
    """
    name = settings.retriever
    if "://" in name:
        from turnwise.envs.search.remote import shared_client

        return shared_client(name)
    if ":" in name:
        return await _made(name, corpus)
    if name not in ("bm25", "hybrid"):
        raise ConfigError(
            f"retriever {name!r}: use 'bm25', 'hybrid', the http:// address of a /retrieve server, or 'module:function'"
        )
    if corpus is None:
        raise TaskError("the task names no corpus: set retriever to the address of a /retrieve server")
    index = open_index(corpus) if opened(corpus) else await anyio.to_thread.run_sync(open_index, corpus)
    if name == "bm25":
        return LexicalRetriever(index)
    from turnwise.envs.search.dense import embedder_of, hybrid

    return await anyio.to_thread.run_sync(hybrid, index, embedder_of(settings.embedder))


async def _made(name: str, corpus: Corpus) -> Retriever:
    made: object = await anyio.to_thread.run_sync(plugins.load(name, kind="retriever"), corpus)
    if not isinstance(made, Retriever):
        raise ConfigError(f"retriever {name!r} made {type(made).__name__}, which is no Retriever")
    return made
