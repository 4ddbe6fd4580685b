"""One HTML page that holds everything and needs no network: tables, figure, manifest."""

from collections.abc import Iterable
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from reports.manifest import Manifest
from reports.table import Table


def to_page(tables: Iterable[Table], manifest: Manifest, figure_svg: str | None) -> str:
    """Return the page as HTML text. ``figure_svg`` is our own SVG and is put in as it is; all else is escaped."""
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
    svg = None if figure_svg is None else Markup(figure_svg[figure_svg.index("<svg") :])
    return environment.get_template("page.html").render(tables=list(tables), manifest=manifest, figure=svg)
