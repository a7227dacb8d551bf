"""The search environment: ask, read, judge, answer; by tools or by tags, over the same state."""

import random
from collections.abc import Sequence
from typing import ClassVar

from pydantic import JsonValue

from turnwise.envs.base import EnvConfig
from turnwise.envs.search import prompts, rewards, scoring, tags, view
from turnwise.envs.search.documents import Document
from turnwise.envs.search.engines import open_retriever
from turnwise.envs.search.episode import Episode
from turnwise.envs.search.harness import gold_actions, random_action
from turnwise.envs.search.retriever import Retriever
from turnwise.envs.search.settings import SearchConfig, SearchData
from turnwise.envs.toolenv import ToolEnv
from turnwise.envs.tools import InvalidCall, ToolOutput, tool
from turnwise.envs.types import Action, Grade, Snapshot, Status, StepResult, StopReason
from turnwise.errors import ConfigError, EnvError
from turnwise.tasks.base import Task

MAX_RESULTS = 20


class SearchEnv(ToolEnv):
    """Questions over a document collection."""

    name = "search"
    version = "2"
    default_panel = "search/world"
    Data = SearchData
    Config = SearchConfig
    PRESETS: ClassVar[dict[str, dict[str, float]]] = rewards.PRESETS

    def __init__(self, config: EnvConfig | None = None) -> None:
        super().__init__(config)
        self.settings = config if isinstance(config, SearchConfig) else SearchConfig()
        if self.settings.engine == "self" and not self.settings.tagged:
            raise ConfigError("engine='self' needs the tag interface: set interface='tags'")
        self.observation_source = "self" if self.settings.engine == "self" else "retrieval"
        self.episode = Episode()
        self._retriever: Retriever | None = None

    # The episode.

    async def begin(self) -> str:
        """Open the corpus and ask the question."""
        self.episode = Episode()
        self._retriever = (
            None if self.settings.engine == "self" else await open_retriever(self.settings, self.data.corpus)
        )
        return prompts.first_message(self.settings, self.task.instruction)

    def state(self) -> JsonValue:
        """Return which documents were shown, and what waits to be judged."""
        return self.episode.key()

    def offered(self) -> tuple[str, ...]:
        """Return the tools of the interface."""
        names = ("search", "answer") if self.settings.tagged else ("search", "open", "find", "answer")
        return names if self.settings.judge == "off" else (*names[:-1], "judge", "answer")

    def metrics(self) -> dict[str, float]:
        """Count searches, documents, faults, and what smuggled texts achieved."""
        now = self.episode
        counts = {"searches": now.searches, "opens": now.opens, "documents": len(now.seen), "faults": now.faults}
        if self.settings.judge != "off":
            counts |= {"judgements": now.judgements, "dropped": now.dropped}
        if self.data.injections:
            counts |= {"injection_seen": now.injected, "injection_followed": self._followed()}
        return {name: float(value) for name, value in counts.items()}

    async def step(self, action: Action | str) -> StepResult:
        """Take one turn."""
        self.episode.dropped = False
        result = await super().step(action)
        self.episode.faults += result.info.status is Status.INVALID
        return result

    # The tools.

    @tool
    async def search(self, query: str, top_k: int | None = None) -> str:
        """Search the document collection and list the best documents with their ids.

        Args:
            query: Words to look for.
            top_k: How many documents to list, at most 20.
        """
        if self.settings.engine == "self":
            self.episode.searches += 1
            return prompts.GO_ON
        if not query.strip():
            raise InvalidCall("The query is empty. Give words to look for.")
        return await self._search(query, min(max(top_k or self.settings.results, 1), MAX_RESULTS))

    @tool(name="open")
    async def open_page(self, doc_id: str, page: int = 1) -> str:
        """Read a document, one page at a time.

        Args:
            doc_id: Id of the document, as the results show it.
            page: Which page, 1 for the first.
        """
        document = await self._document(doc_id)
        text, pages = view.page_of(document.text, page, self.settings.page_chars)
        if not 1 <= page <= pages:
            raise InvalidCall(f"{document.id} has {pages} page{'s'[: pages > 1]}, there is no page {page}.")
        self._show([document])
        self.episode.opens += 1
        return f"{document.title} ({document.id}), page {page} of {pages}\n\n{text}"

    @tool
    async def find(self, doc_id: str, text: str) -> str:
        """Find where a document says something.

        Args:
            doc_id: Id of the document, as the results show it.
            text: What to look for, letter by letter; upper and lower case are alike.
        """
        document = await self._document(doc_id)
        if not text.strip():
            raise InvalidCall("The text to find is empty.")
        found = view.passages(document.text, text, self.settings.page_chars)
        self._show([document])
        return found or f"{document.title} ({document.id}) does not say that."

    @tool
    def judge(self, useful: bool) -> str:
        """Judge the results of the last search. After a no, search again before you answer.

        Args:
            useful: Whether they help to answer the question.
        """
        self._judge(useful=useful)
        return "Noted." if useful else "Noted. Search again."

    @tool
    def answer(self, text: str, evidence: tuple[str, ...] = ()) -> str:
        """Answer the question; this ends the episode.

        Args:
            text: The shortest exact answer, or "unanswerable".
            evidence: Ids of the documents it rests on.
        """
        self._answer_with(text, evidence)
        return "" if self.settings.tagged else "The answer is recorded."

    async def on_text(self, text: str) -> ToolOutput:
        """Read the tags of a message; with the tool interface a message without a call is invalid."""
        if not self.settings.tagged:
            return await super().on_text(text)
        try:
            return self._on_self(text) if self.settings.engine == "self" else await self._on_tags(text)
        except InvalidCall as error:
            return ToolOutput.of(str(error), Status.INVALID)

    def parse(self, text: str) -> Action:
        """Leave tags in the text, where ``on_text`` reads them; else ``tool[argument]``."""
        return Action(text=text) if self.settings.tagged else super().parse(text)

    # How the two interfaces do it.

    async def _on_tags(self, text: str) -> ToolOutput:
        message = tags.read(text, judge=self.settings.judge != "off")
        self.episode.faults += message.misjudged
        exact = self.settings.interface == "search-r1"
        if message.judged is not None:
            self._judge(useful=message.judged)
        if message.verb is None and message.judged is None:
            return ToolOutput.of(prompts.SEARCH_R1_NEITHER if exact else prompts.NEITHER, Status.INVALID)
        if message.verb is None:
            return ToolOutput.of("Noted.")
        if message.verb == "search":
            return ToolOutput.of(await self._search(message.content, self.settings.results))
        self._answer_with(message.content, message.evidence)
        return ToolOutput.of("")

    def _on_self(self, text: str) -> ToolOutput:
        """Take a message in which the policy also plays the search engine; its information blocks do nothing."""
        own = tags.without(text, tags.self_written(text))
        found = tags.blocks(own, ("search", "answer"))
        answers = [block.inside.strip() for block in found if block.tag == "answer"]
        self.episode.searches += sum(block.tag == "search" for block in found)
        if answers:
            self._answer_with(answers[0], ())
            return ToolOutput.of("")
        if found or tags.self_written(text):
            return ToolOutput.of(prompts.GO_ON)
        return ToolOutput.of(prompts.NEITHER, Status.INVALID)

    async def _search(self, query: str, k: int) -> str:
        documents = [hit.document for hit in await self._engine().search(query, k)]
        documents = [self._smuggled(document) for document in documents]
        now = self.episode
        fresh = [doc.id for doc in documents if doc.id not in now.seen and doc.id in self._golds("evidence")]
        now.searches += 1
        now.last, now.to_judge, now.must_search = tuple(doc.id for doc in documents), True, False
        now.obeyed = now.obeyed or query.strip() == self._injected("query")
        if self._remote:
            now.known.update({doc.id: doc for doc in documents})
        self.pay("retrieval_hit", float(bool(fresh)))
        self._show(documents)
        if self.settings.tagged:
            ids = self.settings.interface == "tags"
            return view.information(documents, self.settings.information_chars, ids=ids)
        return view.results(documents, query)

    def _judge(self, *, useful: bool) -> None:
        if not self.episode.to_judge:
            raise InvalidCall(prompts.NOT_TO_JUDGE)
        ideal = bool(set(self.episode.last) & set(self._golds("evidence")))
        said: dict[str, JsonValue] = {
            "label": _yes(useful),
            "ideal": _yes(ideal),
            "version": "gold evidence among the results",
        }
        self.pay("judge", rewards.judge_reward(useful, ideal), provenance=said)
        self.episode.to_judge, self.episode.must_search = False, not useful
        self.episode.judgements += 1
        self.episode.dropped = not useful and self.settings.judge == "drop"

    def _answer_with(self, text: str, evidence: Sequence[str]) -> None:
        if self.episode.must_search:
            raise InvalidCall(prompts.MUST_SEARCH)
        self.episode.answer, self.episode.cited = text, tuple(dict.fromkeys(evidence))
        self.finish(StopReason.SOLVED if self._right() else StopReason.ENDED)

    def _show(self, documents: Sequence[Document]) -> None:
        self.episode.seen.update(dict.fromkeys(document.id for document in documents))
        smuggled = {injection.doc_id for injection in self.data.injections}
        self.episode.injected = self.episode.injected or any(document.id in smuggled for document in documents)

    async def _document(self, doc_id: str) -> Document:
        found = await self._engine().document(doc_id) or self.episode.known.get(doc_id)
        if found is None:
            raise InvalidCall(f"There is no document {doc_id[:80]!r}. Use an id that a search has listed.")
        return self._smuggled(found)

    def _smuggled(self, document: Document) -> Document:
        added = [injection.text for injection in self.data.injections if injection.doc_id == document.id]
        return Document(document.id, document.title, "\n\n".join([document.text, *added])) if added else document

    # Grading.

    async def grade(self) -> Grade:
        """Grade the answer and pay every part of the reward."""
        answer, golds = self.episode.answer, self._golds("answers")
        right = self._right()
        exact, f1 = float(right), self._f1()
        form = float(answer is not None and not self.episode.faults)
        evidence = rewards.relevance(self.episode.cited, self._golds("evidence")) if answer is not None else 0.0
        self.pay("em", exact)
        self.pay("f1", f1)
        self.pay("format", form)
        self.pay("relevance", evidence)
        self.pay("bonus", rewards.bonus(form, exact, evidence))
        self.pay("evidence_recall", rewards.recall(self.episode.seen, self._golds("evidence")))
        abstained = answer is not None and scoring.abstains(answer)
        self.pay("abstention", rewards.abstention(abstained=abstained, unanswerable=self._unanswerable))
        if self.settings.tagged:
            self.pay("ssrl_format", rewards.ssrl_format("".join(action.text for action in self._log)))
        inside = answer is not None and not self._unanswerable and scoring.sub_match(answer, golds)
        return Grade({"em": exact, "f1": f1, "contains": float(right or inside)}[self.settings.grader], right)

    def _right(self) -> bool:
        answer = self.episode.answer
        if answer is None:
            return False
        return scoring.abstains(answer) if self._unanswerable else scoring.exact_match(answer, self._golds("answers"))

    def _f1(self) -> float:
        if self.episode.answer is None or self._unanswerable:
            return float(self._right())
        return scoring.token_f1(self.episode.answer, self._golds("answers"))

    @property
    def _unanswerable(self) -> bool:
        return bool(self.task.gold.get("unanswerable"))

    def _golds(self, name: str) -> list[str]:
        listed = self.task.gold.get(name)
        return [str(item) for item in listed] if isinstance(listed, list) else []

    def _injected(self, name: str) -> str | None:
        injected = self.task.gold.get("injected")
        return str(injected[name]) if isinstance(injected, dict) and name in injected else None

    def _followed(self) -> bool:
        wrong = self._injected("answer")
        answered = self.episode.answer is not None and wrong is not None
        return self.episode.obeyed or (answered and scoring.exact_match(self.episode.answer or "", [wrong or ""]))

    # Snapshots, and what the harness asks for.

    async def snapshot(self) -> Snapshot:
        """Copy the state; nothing is replayed."""
        over = self._over.value if self._over else None
        state: JsonValue = {"episode": self.episode.dump(), "over": over}
        return (await super().snapshot()).model_copy(update={"state": state})

    async def restore(self, snapshot: Snapshot, task: Task) -> None:
        """Continue from a copied state; a snapshot without one is replayed."""
        state = snapshot.state
        if not isinstance(state, dict):
            await super().restore(snapshot, task)
            return
        try:
            over, episode = StopReason(str(state["over"])) if state["over"] else None, Episode.load(state["episode"])
        except (LookupError, TypeError, ValueError) as error:
            raise EnvError(f"search: the snapshot's state cannot be read: {error!r}") from error
        self.resume(snapshot, task, over)
        self.episode = episode
        self._retriever = await self._opened()

    async def gold_action(self) -> Action:
        """Return the next action of a right solution, in the words of the interface."""
        actions = gold_actions(self.task, self.settings)
        if self._turn >= len(actions):
            raise EnvError(f"search: task {self.task.id!r} has no gold action for turn {self._turn + 1}")
        return actions[self._turn]

    async def sample_action(self, rng: random.Random) -> Action:
        """Return a random legal action."""
        return random_action(rng, self.settings, self.task.instruction, self.episode)

    async def progress(self) -> float:
        """Return which part of the gold evidence was shown; 1 after the right answer."""
        if self._right():
            return 1.0
        part = rewards.recall(self.episode.seen, self._golds("evidence"))
        return 0.0 if part is None else 0.9 * part

    def self_spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return the character ranges of a message that the policy wrote in the environment's place."""
        return tags.self_written(text) if self.settings.engine == "self" else ()

    # Retrievers.

    @property
    def _remote(self) -> bool:
        return "://" in self.settings.retriever

    async def _opened(self) -> Retriever | None:
        return None if self.settings.engine == "self" else await open_retriever(self.settings, self.data.corpus)

    def _engine(self) -> Retriever:
        if self._retriever is None:
            raise EnvError("search: there is no search engine before reset()")
        return self._retriever


def _yes(said: bool) -> str:
    return "yes" if said else "no"
