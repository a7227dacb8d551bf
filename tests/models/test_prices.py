from pathlib import Path

import pytest

from turnwise.errors import ConfigError
from turnwise.models import ModelConfig, Price, price_of
from turnwise.models.prices import load


def test_cached_tokens_cost_their_own_rate() -> None:
    assert Price(input=2.0, output=8.0, cached=0.5).cost(1_000_000, 500_000, cached=400_000) == pytest.approx(5.4)
    assert Price(input=2.0, output=8.0).cost(1_000_000, 0, cached=400_000) == pytest.approx(2.0)


def test_names_are_found_with_date_and_router_prefix() -> None:
    assert price_of("openai/gpt-4o-2024-08-06") == price_of("gpt-4o")
    assert price_of("some-local-model") is None


def test_the_users_prices_come_first(tmp_path: Path) -> None:
    table = tmp_path / "prices.json"
    table.write_text('{"gpt-4o": {"input": 9, "output": 9}, "mine": {"input": 1, "output": 1}}')
    config = ModelConfig(model="m", price_file=table, prices={"mine": Price(input=3, output=3)})
    own = config.price_table()
    assert price_of("gpt-4o", own) == Price(input=9, output=9)
    assert price_of("mine", own) == Price(input=3, output=3)


@pytest.mark.parametrize("text", ["{", '{"m": {"input": "x", "output": 1}}', '{"m": {"inptu": 1}}'])
def test_a_wrong_table_names_file_and_field(tmp_path: Path, text: str) -> None:
    table = tmp_path / "prices.json"
    table.write_text(text)
    with pytest.raises(ConfigError, match=r"prices\.json"):
        load(table)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.json")
