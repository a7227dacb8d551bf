"""Pages as HTML: the ``html`` observation, and what the served shop shows. Everything a catalogue says is escaped."""

from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from turnwise.envs.webshop.picture import picture
from turnwise.envs.webshop.product import Product
from turnwise.envs.webshop.rules import Page, Shop


@cache
def templates() -> jinja2.Environment:
    """Return the compiled templates, once per process."""
    loader = jinja2.PackageLoader("turnwise.envs.webshop", "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)


def render(name: str, **values: Any) -> str:
    """Render one template."""
    defaults = dict.fromkeys(("here", "instruction", "query", "notice"), "")
    base: dict[str, Any] = {"draw": _no_picture, "root": "/", "page": name, "start": False, **defaults}
    return templates().get_template(f"{name}.html").render(base | values)


def page(shop: Shop, instruction: str, *, score: float | None = None, **values: Any) -> str:
    """Render the page that a shopper is on.

    Args:
        shop: Where the shopper is.
        instruction: Shown on every page.
        score: Shown on the last page.
        **values: ``here``, the address of the episode; ``root``; ``notice``; ``parts`` of the score; ``draw``, what
            makes a product's picture (``drawn``; by default none).
    """
    state = shop.state
    known = {
        "instruction": instruction,
        "query": state.query,
        "size": shop.catalogue.size,
        "number": state.number,
        "options": state.options,
        "chosen": " ".join(state.options.values()),
        "sub": state.sub,
        "product": shop.product,
        "score": score,
        "parts": (),
    }
    if state.page is Page.RESULTS:
        known["total"] = len(shop.hits())
        known["products"] = [(shop.catalogue.product(n), n in state.visited) for n in shop.listed()]
    return render(str(state.page), **(known | values))


def drawn(product: Product, chosen: str = "") -> Markup:
    """Return a product's picture as inline SVG; it holds nothing that a catalogue says."""
    return Markup(picture(product, chosen))  # noqa: S704


def _no_picture(_product: Product, _chosen: str = "") -> str:
    return ""
