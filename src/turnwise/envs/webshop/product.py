"""A product, and the text by which it is found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Product:
    """One product of a catalogue, in WebShop's terms."""

    asin: str
    title: str
    category: str
    """One of WebShop's five departments: beauty, electronics, fashion, garden, grocery."""
    query: str
    """The shop shelf it belongs to; never searched, never shown."""
    product_category: str
    """The path of categories, joined by `` › ``."""
    price: float
    """What it costs, in dollars."""
    price_tag: str
    """What the pages show: ``$24.49``, or a range."""
    bullets: tuple[str, ...]
    description: str
    options: dict[str, tuple[str, ...]]
    """Option name → values, lower case, in the order shown."""
    attributes: tuple[str, ...]
    """What graders know of it; never shown as such."""

    def contents(self) -> str:
        """Return the searched text: title, description, first bullet and options, lower-cased (WebShop's rule)."""
        options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in self.options.items())
        first = self.bullets[0] if self.bullets else ""
        return f"{self.title} {self.description} {first} {options}".lower()

    def record(self) -> dict[str, object]:
        """Return plain data, for digests and files."""
        return {name: getattr(self, name) for name in self.__slots__}


def product_of(record: dict[str, object]) -> Product:
    """Rebuild a product from its record."""
    options = record["options"]
    assert isinstance(options, dict)
    plain = {
        **record,
        "options": {name: tuple(values) for name, values in options.items()},
        "bullets": tuple(record["bullets"]),  # type: ignore[arg-type]
        "attributes": tuple(record["attributes"]),  # type: ignore[arg-type]
    }
    return Product(**plain)  # type: ignore[arg-type]
