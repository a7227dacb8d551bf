"""The words the environment says to the agent."""

from turnwise.envs.search.settings import SearchConfig

TOOLS = (
    "{question}\n\n"
    "Find the answer in the document collection with the tools. Where documents disagree, the one about the thing "
    "itself is right. Answer with the shortest exact text: a name, a date or a number. Cite the ids of the documents "
    "it rests on. If the documents do not hold the answer, answer: unanswerable"
)
TAGS = (
    "{question}\n\n"
    "Find the answer in the document collection. Think inside <think> and </think>. To search, write "
    "<search>your query</search>; the results come back between <information> and </information>. Search as often as "
    "you need. Where documents disagree, the one about the thing itself is right. To answer, write "
    "<answer>the shortest exact text</answer>; right before it you may cite documents: <evidence>id, id</evidence>. If "
    "the documents do not hold the answer, write <answer>unanswerable</answer>."
)
SEARCH_R1 = (
    "Answer the question. Each time you have new information, reason about it inside <think> and </think> first. If "
    "knowledge is missing, ask a search engine with <search> query </search>: its best results come back between "
    "<information> and </information>. Search as often as you like. Once nothing is missing, write the answer alone "
    "inside <answer> and </answer>. Question: {question}\n"
)
SELF = (
    "{question}\n\n"
    "Answer from what you know, as if you used a search engine. Write <think>…</think> first, then "
    "<search>query</search> followed at once by what the engine would return, <information>…</information>, as often "
    "as needed, and at the end <answer>the shortest exact text</answer>."
)
JUDGE = (
    " After each result, judge it: <judge>Yes</judge> if it helps, <judge>No</judge> if not; after No, search again."
)

NEITHER = (
    "Nothing was done: the message holds neither <search>query</search> nor <answer>text</answer>. Write one of them."
)
SEARCH_R1_NEITHER = (
    "\nMy previous action is invalid. If I want to search, I should put the query between <search> and </search>. If I "
    "want to give the final answer, I should put the answer between <answer> and </answer>. Let me try again.\n"
)
"""Search-R1's fixed correction, to the letter: policies trained with it expect it."""
GO_ON = "Write the result yourself between <information> and </information>, then go on."
MUST_SEARCH = "You judged the last results useless: search again before you answer."
NOT_TO_JUDGE = "There is no result to judge: search first; each result is judged once."


def first_message(config: SearchConfig, question: str) -> str:
    """Return the first user message."""
    if config.prompt is not None:
        return config.prompt.replace("{question}", question)
    template = {"tools": TOOLS, "tags": TAGS, "search-r1": SEARCH_R1}[config.interface]
    if config.engine == "self":
        template = SELF
    elif config.judge != "off" and config.tagged:
        template = template.replace("{question}", "{question}" + JUDGE) if config.interface != "tags" else TAGS + JUDGE
    return template.replace("{question}", question)
