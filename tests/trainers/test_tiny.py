"""The tiny tokenizer: what it encodes it gives back, and what all texts share costs one token."""

import pytest

pytest.importorskip("transformers", reason="needs the train extra")

from turnwise.trainers.tiny import SHARED_CHARS, tiny_tokenizer

pytestmark = pytest.mark.train
RULES = "Call one tool in each message.\n- query(sql): run a statement.\n- submit(sql): hand in the answer."
HINT = "The database 'toys' holds the answer; «look» first, it costs nothing."


def text(question: str) -> str:
    return f"<|im_start|>system\n{RULES}<|im_end|>\n<|im_start|>user\n{question}\n\n{HINT}<|im_end|>\n"


TEXTS = [text(f"How many toys are {colour}?") for colour in ("red", "blue", "green", "white")]


def test_a_paragraph_that_most_texts_hold_is_one_token() -> None:
    tokenizer = tiny_tokenizer(TEXTS, 300)
    for paragraph in (f"system\n{RULES}", HINT):
        assert len(tokenizer.encode(paragraph, add_special_tokens=False)) == 1
    assert len(tokenizer.encode("How many toys are red?", add_special_tokens=False)) > 1


def test_text_comes_back_as_it_was() -> None:
    tokenizer = tiny_tokenizer(TEXTS, 300)
    for one in [*TEXTS, text("¿Qué? 1234"), f"{HINT}{HINT} and {RULES}", RULES[:-1]]:
        assert tokenizer.decode(tokenizer.encode(one, add_special_tokens=False)) == one


def test_what_few_texts_hold_or_what_is_short_is_no_token_of_its_own() -> None:
    rare = "This paragraph stands in one text only, long as it is."
    assert len(rare) > SHARED_CHARS
    tokenizer = tiny_tokenizer([*TEXTS, f"{rare}\n\nshort"], 300)
    assert len(tokenizer.encode(rare, add_special_tokens=False)) > 1


def test_one_text_alone_shares_nothing() -> None:
    assert len(tiny_tokenizer([text("How many?")], 300).encode(HINT, add_special_tokens=False)) > 1
