"""WebShop's own file formats, read from a folder made here in their form."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from turnwise.envs import make
from turnwise.envs.webshop import importer
from turnwise.envs.webshop.catalogue import load
from turnwise.errors import TaskError
from turnwise.tasks import import_tasks


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNWISE_HOME", str(tmp_path / "home"))
    load.cache_clear()


def record(number: int, **changes: Any) -> dict[str, Any]:
    base = {
        "asin": f"B{number:09d}",
        "name": f"Acme Lamp Number{number} Desk Light",
        "brand": "Acme",
        "category": "garden",
        "query": " Desk Lamps ",
        "product_category": "Home › Lighting › Lamps",
        "full_description": f"A lamp, model {number}.",
        "small_description": ["Dimmable light", "Solid wood foot"],
        "pricing": "$19.99",
        "images": ["https://example.invalid/x.jpg"],
        "customization_options": {
            "Color": [{"value": " Red/White ", "image": None}, {"value": "Green"}],
            "Size": None,
        },
        "page": 1,
    }
    return base | changes


def asked(text: str, attributes: list[str], options: list[str]) -> dict[str, Any]:
    return {"instruction": text, "instruction_attributes": attributes, "instruction_options": options}


def folder(tmp_path: Path, products: list[dict[str, Any]], **files: Any) -> Path:
    path = tmp_path / "webshop"
    path.mkdir()
    asins = [product["asin"] for product in products]
    synthetic = {
        asin: {"attributes": ["dimmable"], "instruction": "Find me lamps", "instruction_attributes": ["dimmable"]}
        for asin in asins
    }
    human = {
        asins[0]: [
            {
                "instruction": "i need a red lamp.",
                "instruction_attributes": ["dimmable"],
                "instruction_options": ["red"],
            },
            {"instruction": "nothing asked", "instruction_attributes": [], "instruction_options": []},
        ]
    }
    made = {"items_shuffle_1000": products, "items_ins_v2_1000": synthetic, "items_human_ins": human} | files
    for name, content in made.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (path / f"{name}.json").write_text(text, encoding="utf-8")
    return path


def test_a_folder_of_webshops_files_becomes_webshop(tmp_path: Path) -> None:
    products = [record(n) for n in range(12)]
    tasks = import_tasks("webshop", folder(tmp_path, products))
    (task,) = tasks
    assert task.instruction.startswith("i need a red lamp, and price lower than ")
    goal: Any = task.gold["goal"]
    assert goal["options"] == ["red"]
    assert goal["price_upper"] in (30.0, 40.0, 50.0)
    assert goal["query"] == "desk lamps"

    async def main() -> None:
        async with make("webshop", interface="webshop") as env:
            await env.reset(task, seed=0)
            while not (result := await env.step(await env.gold_action())).terminated:
                pass
            assert result.info.score == 1.0
            shop = env.shop  # type: ignore[attr-defined]
            assert shop.product.options == {"color": ("red | white", "green")}

    anyio.run(main)


def test_synthetic_goals_are_every_combination_of_options(tmp_path: Path) -> None:
    options = {"color": [{"value": "red"}, {"value": "blue"}], "size": [{"value": "s"}, {"value": "m"}, {"value": "l"}]}
    products = [record(0, customization_options=options), record(1, customization_options={})]
    tasks = import_tasks("webshop", folder(tmp_path, products), human=False)
    assert len(tasks) == 7
    assert any("Find me lamps with color: red, and size: s, and price lower than" in task.instruction for task in tasks)
    assert all(task.gold["weight"] == pytest.approx(1 / 7) for task in tasks)
    assert {task.split for task in tasks} == {"test"}


@pytest.mark.parametrize(
    ("pricing", "tag", "low", "high"),
    [("$19.99", "$19.99", 19.99, 19.99), ("$1,299.00", "$1299.0", 1299.0, 1299.0), (None, "$100.0", 100.0, 100.0),
     ("", "$100.0", 100.0, 100.0), ("$5.00 - $8.50", "$5.0 to $8.5", 5.0, 8.5)],
)  # fmt: skip
def test_prices(tmp_path: Path, pricing: str | None, tag: str, low: float, high: float) -> None:
    tasks = import_tasks("webshop", folder(tmp_path, [record(0, pricing=pricing)]))
    shop = load("file", str(tasks.tasks[0].data["digest"]))
    assert shop.product(0).price_tag == tag
    assert low <= shop.product(0).price <= high


def test_a_range_is_drawn_alike_on_every_machine_and_no_bound_is_named_above_the_table(tmp_path: Path) -> None:
    path = folder(tmp_path, [record(0, pricing="$5.00 - $800.00")])
    assert import_tasks("webshop", path).digest == import_tasks("webshop", path).digest
    dear = folder(tmp_path / "dear", [record(0, pricing="$985.00")]) if (tmp_path / "dear").mkdir() is None else path
    (task,) = import_tasks("webshop", dear)
    assert task.instruction == "i need a red lamp"
    assert task.gold["goal"]["price_upper"] == 1_000_000.0  # type: ignore[index,call-overload]


def test_the_split_is_webshops(tmp_path: Path) -> None:
    products = [record(n) for n in range(1600)]
    human = {
        product["asin"]: [
            {"instruction": f"lamp {n}", "instruction_attributes": ["dimmable"], "instruction_options": []}
        ]
        for n, product in enumerate(products)
    }
    tasks = import_tasks("webshop", folder(tmp_path, products, items_human_ins=human))
    assert {name: len(tasks.split(name)) for name in tasks.splits} == {"test": 500, "dev": 1000, "train": 100}
    numbers = [int(task.instruction.split(",")[0].split()[-1]) for task in tasks]
    assert numbers != sorted(numbers)
    assert len(import_tasks("webshop", tmp_path / "webshop", limit=30)) == 30


def test_repeated_and_broken_asins_are_skipped_as_webshop_does(tmp_path: Path) -> None:
    products = [record(0), record(0), record(1, asin="nan"), record(2, asin="B00000000012")]
    tasks = import_tasks("webshop", folder(tmp_path, products))
    assert load("file", str(tasks.tasks[0].data["digest"])).size == 1


def test_large_arrays_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "_CHUNK", 7)
    (tmp_path / "a.json").write_text(' [ {"a": "x]y,"} ,\n{"b": [1, {"c": 2}]}, {"é": 3.5} ] ', encoding="utf-8")
    assert list(importer.records(tmp_path / "a.json")) == [{"a": "x]y,"}, {"b": [1, {"c": 2}]}, {"é": 3.5}]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"items_shuffle_1000": "{}"}, "must be a JSON array"),
        ({"items_shuffle_1000": "[{"}, "no whole JSON array"),
        ({"items_shuffle_1000": "[1]"}, "no whole JSON array"),
        ({"items_shuffle_1000": "[{}"}, "product 0"),
        ({"items_shuffle_1000": '[{"asin": "B1"}]'}, "product 0: KeyError: 'name'"),
        ({"items_shuffle_1000": "[]"}, "no instruction belongs"),
        ({"items_ins_v2_1000": "[]"}, "must be a JSON object"),
        ({"items_human_ins": "nope"}, "cannot be read as JSON"),
        ({"items_shuffle_2": "[]"}, "say which by the option items"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, files: dict[str, str], match: str) -> None:
    with pytest.raises(TaskError, match=match):
        import_tasks("webshop", folder(tmp_path, [record(0)], **files))


def test_a_folder_without_the_files_says_which_are_needed(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="items_ins_v2"):
        import_tasks("webshop", tmp_path)
