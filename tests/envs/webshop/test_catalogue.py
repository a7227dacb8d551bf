"""Catalogues: the same from the same seed, one segment, stable ties, files."""

from itertools import combinations
from pathlib import Path

import pytest

from turnwise.envs.webshop import catalogue
from turnwise.envs.webshop.catalogue import FileCatalogue, load
from turnwise.envs.webshop.draw import Draw
from turnwise.envs.webshop.generate import GeneratedProducts
from turnwise.envs.webshop.reward import similar
from turnwise.envs.webshop.vocabulary import vocabulary
from turnwise.errors import TaskError
from turnwise.tasks import assets


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path))
    load.cache_clear()


def test_the_shipped_catalogue_is_pinned() -> None:
    assert load("generated:1000:7").digest == DIGEST


DIGEST = "sha256:b0e36a71f2cb372d4bc6789ac37e009f4f40242132696669eb51752f0e904288"


def test_asins_are_a_bijection() -> None:
    products = GeneratedProducts(3, 1_000_000)
    for number in (*range(0, 1_000_000, 9973), 999_999):
        assert products.number(products.asin(number)) == number
    assert products.number(GeneratedProducts(3, 10**7).asin(1_000_000)) is None
    assert products.number("T00000000é") is None
    assert products.number("") is None


def test_a_product_does_not_depend_on_those_asked_before() -> None:
    one, two = GeneratedProducts(3, 1000), GeneratedProducts(3, 100_000)
    for number in range(999, 0, -37):
        assert one.product(number) == two.product(number)
    assert GeneratedProducts(4, 1000).product(5) != one.product(5)


def test_families_differ_in_little_and_every_product_is_whole() -> None:
    products = GeneratedProducts(7, 1000)
    for number in range(1000):
        made, first = products.product(number), products.product(number // 8 * 8)
        assert made.query == first.query
        assert len(set(made.attributes)) == len(made.attributes) >= 4
        assert len(set(made.attributes) & set(first.attributes)) >= 2
        values = [value for group in made.options.values() for value in group]
        assert len(set(values)) == len(values)
        assert all(len(group) >= 2 for group in made.options.values())
        text = " ".join((made.title, *made.bullets, made.description)).lower()
        assert all(attribute in text for attribute in made.attributes)


def test_no_attribute_of_a_kind_counts_for_another() -> None:
    for kind in vocabulary().kinds:
        for left, right in combinations([attribute.name for attribute in kind.attributes], 2):
            assert not similar(left, right), (kind.noun, left, right)


def test_paraphrases_share_little_with_the_name() -> None:
    for kind in vocabulary().kinds:
        for attribute in kind.attributes:
            assert len(attribute.paraphrases) >= 2
            assert attribute.name not in attribute.paraphrases


def test_an_index_on_disk_answers_like_one_in_memory_and_again_like_itself() -> None:
    large = load("generated:2008:5")
    again = catalogue.GeneratedCatalogue(2008, 5)
    memory = catalogue.ListCatalogue([large.product(number) for number in range(2008)])
    assert large.digest == again.digest == memory.digest
    for words in ("running shoes", "red sofa couch", "gluten free tea peppermint", "12 count"):
        assert large.search(words) == again.search(words) == memory.search(words)
        assert len(large.search(words)) == 50


def test_a_catalogue_file_is_read_like_the_products_it_was_written_from(tmp_path: Path) -> None:
    source = GeneratedProducts(5, 300)
    catalogue.write(map(source.product, range(300)), tmp_path / "shop.jsonl")
    digest = assets.put(tmp_path / "shop.jsonl")
    shop = FileCatalogue(digest)
    assert (shop.size, shop.digest) == (300, digest)
    for number in (0, 17, 299):
        assert shop.product(number) == source.product(number)
        assert shop.number(source.asin(number)) == number
    assert shop.number("nothing") is None
    assert shop.number("é") is None
    assert shop.search("running shoes") == catalogue.ListCatalogue([*map(source.product, range(300))]).search(
        "running shoes"
    )


@pytest.mark.parametrize("name", ["", "generated", "generated:0:1", "generated:-1:1", "generated:10", "file", "../x"])
def test_an_unknown_catalogue_is_refused(name: str) -> None:
    with pytest.raises(TaskError, match="no catalogue is named"):
        load(name)


def test_the_stream_of_numbers_is_the_published_one() -> None:
    """SplitMix64 seeded with 0 begins with these values (Vigna's reference implementation)."""
    draw = Draw()
    assert [draw.below(1 << 64) for _ in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert sorted(Draw(1).take(range(10), 20)) == list(range(10))
    assert Draw(2).subset("abcdef", 3) == tuple(sorted(Draw(2).subset("abcdef", 3)))
