"""One HTML page that holds everything and needs no network: tables, figure, manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from reports.manifest import Manifest
from reports.table import Table


@dataclass(frozen=True)
class Picture:
    """A picture on the page: our own SVG, its heading, and what it shows in which mode. ``name`` is its anchor."""

    name: str
    title: str
    about: str
    svg: str

    @property
    def markup(self) -> Markup:
        """The SVG as it goes into HTML: without XML declaration and doctype, which have no place there."""
        return Markup(self.svg[self.svg.index("<svg") :])


def to_page(tables: Iterable[Table], manifest: Manifest, summary: Iterable[str], pictures: Iterable[Picture]) -> str:
    """Return the page as HTML text; the pictures are put in as they are, all else is escaped."""
    template = (resources.files("reports") / "templates" / "page.html").read_text(encoding="utf-8")
    environment = Environment(
        loader=DictLoader({"page.html": template}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template("page.html")
    return page.render(tables=list(tables), manifest=manifest, summary=list(summary), pictures=list(pictures))
