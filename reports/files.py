"""The files of a report, by name and format."""

from collections.abc import Iterable, Mapping

from reports.formats.page import Picture, to_page
from reports.report import Report

_FIGURE6 = "Figure 6. Energy and time to converge by processor"
_FIGURE6_ABOUT = "Bars are computed, diamonds are printed in Table 4."
FILE_FORMATS = ("markdown", "csv", "latex", "html", "svg", "png")


def report_files(report: Report, formats: Iterable[str]) -> Mapping[str, bytes]:
    """Return the files of a report in ``formats`` (of FILE_FORMATS) by name, and always ``manifest.json``.

    Figure 6 comes with Table 4, in its mode and first reading.
    """
    chosen = set(formats)
    files: dict[str, str | bytes] = {"manifest.json": report.manifest.to_json()}
    pictures: list[Picture] = []
    if "4" in report.request.tables and chosen & {"html", "svg", "png"}:
        from reports.figures import figure6, figure6_data
        from reports.formats.csv import frame_to_csv
        from reports.table4 import paper_rows

        reading, changes = report.request.wanted[0], report.request.changes
        mode = changes.mode("paper")
        data = figure6_data(paper_rows(reading, changes)).assign(mode=mode, reading=reading.name)
        caption = f"mode: {mode}, reading {reading.name}"
        svg, png = figure6(data, caption)
        pictures = [Picture("figure6", _FIGURE6, f"{caption}. {_FIGURE6_ABOUT}", svg.decode())]
        files["figure6.csv"] = frame_to_csv(data)
        files |= {"figure6.svg": svg} if "svg" in chosen else {}
        files |= {"figure6.png": png} if "png" in chosen else {}
    if "markdown" in chosen:
        from reports.formats.markdown import to_markdown

        files["tables.md"] = to_markdown(report.tables, report.manifest)
    if "latex" in chosen:
        from reports.formats.latex import to_latex

        files["tables.tex"] = to_latex(report.tables, report.manifest)
    if "html" in chosen:
        files["tables.html"] = to_page(report.tables, report.manifest, report.summary, pictures)
    if "csv" in chosen:
        from reports.formats.csv import to_csv

        files |= {f"{table.name}.csv": to_csv(table) for table in report.tables}
    return {name: text.encode() if isinstance(text, str) else text for name, text in sorted(files.items())}
