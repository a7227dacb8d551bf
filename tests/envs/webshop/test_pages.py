"""Page texts against pages that WebShop rendered.

Normalisation, as the guide documents it: empty text nodes are left out, each text is stripped.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

from turnwise.envs.webshop import pages
from turnwise.envs.webshop.catalogue import ListCatalogue
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.rules import Page, Shop, State

PAGES = Path(__file__).parents[2] / "data/webshop/rendered_pages"
HIDDEN = {"style", "script", "head", "title", "meta", "link"}


class Visible(HTMLParser):
    """The texts a browser shows, stripped, without empty ones."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.buttons: set[str] = set()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("link", "input", "img", "br", "meta"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not HIDDEN & set(self._open):
            self.texts.append(data.strip())
            if self._open[-1] == "button":
                self.buttons.add(data.strip())


def visible(name: str) -> Visible:
    parser = Visible()
    parser.feed((PAGES / name).read_text(encoding="utf-8"))
    return parser


def item(asin: str, title: str, tag: str, **changes: object) -> Product:
    plain = {
        "asin": asin, "title": title, "category": "fashion", "query": "", "product_category": "", "price": 1.0,
        "price_tag": tag, "bullets": (), "description": "", "options": {}, "attributes": (),
    }  # fmt: skip
    return Product(**(plain | changes))  # type: ignore[arg-type]


def split(text: str) -> list[str]:
    return text.split(pages.SEPARATOR)


def test_the_results_page_reads_as_webshops() -> None:
    seen = visible("parse_results_ws.html").texts
    instruction = seen[1]
    start = next(index for index, text in enumerate(seen) if re.fullmatch(r"B0\w{8}", text))
    rows = [seen[index : index + 3] for index in range(start, len(seen), 3)]

    class Fixed(ListCatalogue):
        def search(self, query: str) -> tuple[int, ...]:
            return tuple(range(50))

    listed = [item(*row) for row in rows]
    rest = [item(f"B0000000{n}", "x", "$1.0") for n in range(50 - len(listed))]
    shop = Shop(Fixed([*listed, *rest]), State(Page.RESULTS, "red basketball shoes"))
    assert len(rows) == 10
    assert split(pages.simple(shop, instruction)) == seen


def test_the_item_page_reads_as_webshops() -> None:
    fixture = visible("parse_item_page_ws.html")
    product = item(
        "B09P87V3LZ",
        fixture.texts[-7],
        "$100.0",
        options={"color": ("black", "purple", "red"), "size": ("6.5", "7.5", "8", "8.5", "9")},
    )
    shop = Shop(ListCatalogue([product]), State(Page.ITEM, "red basketball shoes", 1, 0))
    assert split(pages.simple(shop, fixture.texts[1])) == fixture.texts
    assert fixture.buttons == set(shop.buttons())


def test_the_sub_pages_read_as_webshops() -> None:
    description = visible("parse_item_page_ws_desc.html").texts
    features = visible("parse_item_page_ws_feat.html").texts
    product = item("B09P87V3LZ", "x", "$1.0", description=description[4], bullets=tuple(features[4:]))
    for name, seen in (("Description", description), ("Features", features)):
        shop = Shop(ListCatalogue([product]), State(Page.SUB, "red basketball shoes", 1, 0, name))
        assert split(pages.simple(shop, seen[1])) == seen


def test_rich_text_marks_buttons_and_what_was_clicked() -> None:
    product = item("B000000001", "Red Shoe", "$9.0", options={"color": ("red", "blue")})
    shop = Shop(ListCatalogue([product]))
    assert shop.search("shoe")
    assert "\n[button] B000000001 [button_]\n" in pages.rich(shop, "buy")
    assert shop.click("b000000001")
    assert shop.click("red")
    text = pages.rich(shop, "buy")
    assert text.startswith("You have clicked red.\nInstruction:\nbuy\n[button] Back to Search [button_]\n")
    assert "  [clicked button] red [clicked button_]\n  [button] blue [button_]\n" in text
    assert shop.click("< prev")
    assert "[clicked button] B000000001 [clicked button_]" in pages.rich(shop, "buy")


def test_the_plain_page_shows_what_is_chosen() -> None:
    product = item("B000000001", "Red Shoe", "$9.0", options={"color": ("red", "blue")})
    shop = Shop(ListCatalogue([product]))
    assert "search page" in pages.plain(shop)
    shop.search("shoe")
    assert "B000000001 | $9.0 | Red Shoe" in pages.plain(shop)
    shop.click("B000000001")
    assert "color: red | blue (none chosen)" in pages.plain(shop)
    shop.click("blue")
    assert "color: red | [blue]" in pages.plain(shop)
    shop.click("reviews")
    assert "There is nothing here" in pages.plain(shop)
