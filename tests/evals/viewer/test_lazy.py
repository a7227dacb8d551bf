"""The top of a page goes out before the rest of it is known."""

from jinja2 import DictLoader, Environment, Template

from turnwise.errors import StoreError
from turnwise.evals.viewer.lazy import TOP, Later, LazyContext, later, parts


def template(body: str) -> Template:
    loader = DictLoader(
        {"page.html": f"<title>{{{{ title }}}}</title>{TOP}{{% block main %}}{body}{{% endblock %}}</main>"}
    )
    environment = Environment(loader=loader, autoescape=True)
    environment.context_class = LazyContext
    return environment.get_template("page.html")


def test_the_top_is_sent_before_the_rest_is_asked_for() -> None:
    asked: list[str] = []

    def ask() -> dict[str, str]:
        asked.append("once")
        return {"a": "<b>", "c": "d"}

    sent = parts(template("{{ a }}{{ c }}{{ a }}"), {"title": "<t>", **later(("a", "c"), ask)})
    assert (next(sent), asked) == (f"<title>&lt;t&gt;</title>{TOP}", [])
    assert (next(sent), asked) == ("&lt;b&gt;d&lt;b&gt;</main>", ["once"])
    assert list(sent) == []


def test_what_goes_wrong_below_the_top_is_said_in_its_place() -> None:
    def broken() -> str:
        raise StoreError("no <table>")

    _, rest = parts(template("{{ a }}"), {"title": "t", "a": Later(broken)})
    assert "no &lt;table&gt;" in rest
    assert rest.endswith("</html>")
