"""Shoppers who try to earn without reading: below the floor under the hardened reward."""

import json
import random
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.webshop import WebShopEnv
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.vocabulary import vocabulary
from turnwise.tasks import TaskSet, load_panel

FLOOR_SCORE, FLOOR_SUCCESS = 0.15, 0.05
Choice = Callable[[list[Product], random.Random], Product]


def cheapest(products: list[Product], _rng: random.Random) -> Product:
    return min(products, key=lambda product: (product.price, product.asin))


def first(products: list[Product], _rng: random.Random) -> Product:
    return products[0]


def wordiest(products: list[Product], _rng: random.Random) -> Product:
    return max(products, key=lambda product: (len(product.title), product.asin))


def any_of(products: list[Product], rng: random.Random) -> Product:
    return rng.choice(products)


async def play(tasks: TaskSet, choose: Choice, grading: str) -> tuple[float, float]:
    """Search the kind asked for, buy one by a rule with the first of each option; return mean score and success."""
    env: Any = make("webshop", grading=grading)
    assert isinstance(env, WebShopEnv)
    scores = []
    for task in tasks:
        await env.reset(task, seed=0)
        goal: Any = task.gold["goal"]
        # The right noun is given away: a stronger attacker than one who must guess it.
        noun = next(kind.noun for kind in vocabulary().kinds if kind.query == goal["query"])
        await env.step(f"search[{noun}]")
        hits = [env.shop.catalogue.product(number) for number in env.shop.hits()]
        listed = [product for product in hits if product.query == goal["query"]]
        wanted = choose(listed, random.Random(task.id))
        while wanted.asin not in [env.shop.catalogue.product(number).asin for number in env.shop.listed()]:
            await env.step("next_page[]")
        await env.step(f"open[{wanted.asin}]")
        for name, values in wanted.options.items():
            await env.step(f"choose[{json.dumps({'option': name, 'value': values[0]})}]")
        scores.append((await env.step("buy[]")).info.score or 0.0)
    return sum(scores) / len(scores), sum(score == 1.0 for score in scores) / len(scores)


@pytest.mark.parametrize("choose", [cheapest, first, wordiest, any_of])
def test_buying_by_the_noun_alone_stays_below_the_floor_when_hardened(choose: Choice) -> None:
    tasks = load_panel("webshop/adversarial", "test")
    score, success = anyio.run(lambda: play(tasks, choose, "hardened"))
    assert score <= FLOOR_SCORE
    assert success <= FLOOR_SUCCESS


def test_the_shortcut_is_real_under_webshops_own_formula() -> None:
    tasks = load_panel("webshop/adversarial", "test")
    score, _ = anyio.run(lambda: play(tasks, cheapest, "webshop"))
    assert score >= 0.35


def test_the_adversarial_panel_is_solved_by_its_gold_under_both_gradings() -> None:
    async def main(grading: str) -> None:
        env = make("webshop", grading=grading)
        for task in load_panel("webshop/adversarial"):
            await env.reset(task, seed=0)
            while not (result := await env.step(await env.gold_action())).terminated:
                pass
            assert result.info.score == 1.0

    for grading in ("webshop", "hardened"):
        anyio.run(main, grading)
