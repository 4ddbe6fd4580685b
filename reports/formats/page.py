"""One HTML page that holds everything and needs no network: tables, figure, manifest."""

from collections.abc import Iterable
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from reports.manifest import Manifest
from reports.table import Table


def to_page(tables: Iterable[Table], manifest: Manifest, summary: Iterable[str], figure: tuple[str, str] | None) -> str:
    """Return the page as HTML text.

    ``figure`` is our own SVG, which is put in as it is, and its caption; all else is escaped.
    """
    template = (resources.files("reports") / "templates" / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({"page.html": template}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Matplotlib's SVG begins with an XML declaration and a doctype, which have no place inside HTML.
    svg = None if figure is None else Markup(figure[0][figure[0].index("<svg") :])
    caption = "" if figure is None else figure[1]
    template_ = environment.get_template("page.html")
    return template_.render(tables=list(tables), manifest=manifest, summary=list(summary), figure=svg, caption=caption)
