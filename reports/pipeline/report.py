"""One run of ``fedjoule pipeline``: what is asked, what it shows, and its files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from costmodel.engine import Answer
from costmodel.paper_scenario import paper_scenario
from costmodel.scenario import Scenario
from costmodel.scenario_check import check_scenario
from costmodel.scenario_file import read_scenario, with_settings
from costmodel.sweep import Sweep, grid
from reports.manifest import Input, Manifest, input_of, manifest
from reports.pipeline.detail import claims_table, energy_table, parameter_table, use_table
from reports.pipeline.summary import mode_of, summary_table
from reports.pipeline.sweep import (
    How,
    Point,
    runs_of,
    sweep_points,
    sweep_table,
    tornado_bars,
    tornado_table,
    with_noise,
)
from reports.table import Table

FILE_FORMATS = ("markdown", "csv", "latex", "html", "svg", "png", "json")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PipelineRequest:
    """What a person asks of one scenario; ``settings`` are dotted names and texts."""

    scenario: str
    settings: Mapping[str, str] = field(default_factory=dict)
    cv: float | None = None
    overlap: bool = True
    sweeps: tuple[Sweep, ...] = ()
    tornado: bool = False
    how: How = field(default_factory=How)


@dataclass(frozen=True)
class PipelineReport:
    """Tables in the order they are shown, and what pictures and trace are made of.

    ``interrupted`` is whether a sweep was stopped before its last point.
    """

    request: PipelineRequest
    scenario: Scenario
    tables: tuple[Table, ...]
    manifest: Manifest
    answer: Answer | None
    interrupted: bool = False


def load_scenario(name: str) -> tuple[Scenario, tuple[Input, ...]]:
    """Return a shipped scenario by name, or the one in a TOML file, and the file's manifest entry."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        scenario, raw = read_scenario(path)
        return scenario, (input_of(path.name, raw),)
    return paper_scenario(name), ()


def build_pipeline_report(request: PipelineRequest, progress: Progress = lambda *_: None) -> PipelineReport:
    """Return the report on ``request``, nothing written; ``progress`` is called with (what, done, of).

    An interrupted sweep (KeyboardInterrupt) keeps the points it finished. Raises ValueError for bad input.
    """
    scenario, inputs = load_scenario(request.scenario)
    if request.settings:
        scenario = with_settings(scenario, request.settings, whole=not request.sweeps)
    if request.cv is not None:
        scenario = with_noise(scenario, request.cv)
    points = grid(scenario, request.sweeps) if request.sweeps else []
    if points and any(check_scenario(scenario)):  # what is swept makes it whole
        scenario = points[0][1]
    how, found = request.how, None
    tables: list[Table] = []
    interrupted = False
    if not points and not request.tornado:
        found = how.run(scenario, lambda done: progress("replications", done, how.replications or done))
        tables += [summary_table(found, runs_of(found), overlap=request.overlap)]
        tables += [use_table(found, overlap=request.overlap), claims_table(found)]
        energy = energy_table(found)
        tables += [] if energy is None else [energy]
    if request.tornado:
        base, bars = tornado_bars(scenario, how)
        tables.append(tornado_table(scenario, base, bars))
    if points:
        finished: list[Point] = []
        try:
            for point in sweep_points(points, how):
                finished.append(point)
                progress("points", len(finished), len(points))
        except KeyboardInterrupt:
            if not finished:
                raise
            interrupted = True
        tables.append(sweep_table(scenario, finished, len(points)))
    tables.append(parameter_table(scenario))
    return PipelineReport(
        request=request,
        scenario=scenario,
        tables=tuple(tables),
        manifest=manifest("fedjoule pipeline", _parameters(request), inputs),
        answer=found,
        interrupted=interrupted,
    )


def answer_of(report: PipelineReport) -> Answer:
    """Return the answer on the scenario itself, which a sweep or a tornado leaves out until a picture needs it."""
    return report.answer if report.answer is not None else report.request.how.run(report.scenario)


def report_pictures(report: PipelineReport) -> Mapping[str, tuple[bytes, bytes]]:
    """Return the pictures of a report by name, each (SVG, PNG): gantt, and what its tables hold."""
    from reports.pipeline import draw

    title = f"{report.scenario.title or report.scenario.name}\nmode: {mode_of(report.scenario)}"
    found = answer_of(report)
    pictures = {"gantt": draw.picture(lambda: draw.gantt(found, title))}
    data: Mapping[str, pd.DataFrame] = {table.name: table.data for table in report.tables}
    if "tornado" in data:
        pictures["tornado"] = draw.picture(lambda: draw.tornado(data["tornado"], title))
    if "sweep" in data:
        names = [sweep.name for sweep in report.request.sweeps]
        pictures["sweep"] = draw.picture(lambda: draw.sweep_curves(data["sweep"], names, title))
    if "energy" in data:
        pictures["energy"] = draw.picture(lambda: draw.energy_bars(data["energy"], title))
    return pictures


def pipeline_files(report: PipelineReport, formats: Iterable[str]) -> Mapping[str, bytes]:
    """Return the files of a report in ``formats`` (of FILE_FORMATS) by name, and always ``manifest.json``."""
    chosen = set(formats)
    files: dict[str, str | bytes] = {"manifest.json": report.manifest.to_json()}
    pictures = report_pictures(report) if chosen & {"svg", "png", "html"} else {}
    for name, (svg, png) in pictures.items():
        files |= {f"{name}.svg": svg} if "svg" in chosen else {}
        files |= {f"{name}.png": png} if "png" in chosen else {}
    if "json" in chosen:
        from reports.pipeline.trace import trace_json

        files["trace.json"] = trace_json(answer_of(report))
    if "csv" in chosen:
        from reports.formats.csv import to_csv

        files |= {f"{table.name}.csv": to_csv(table) for table in report.tables}
    if "markdown" in chosen:
        from reports.formats.markdown import to_markdown

        files["pipeline.md"] = to_markdown(report.tables, report.manifest)
    if "latex" in chosen:
        from reports.formats.latex import to_latex

        files["pipeline.tex"] = to_latex(report.tables, report.manifest)
    if "html" in chosen:
        from reports.formats.page import Picture, to_page

        mode = f"Mode: {report.tables[0].mode}."
        shown = [Picture(name, _CAPTIONS[name], mode, svg.decode()) for name, (svg, _) in pictures.items()]
        files["pipeline.html"] = to_page(report.tables, report.manifest, _summary(report.tables), shown)
    return {name: text.encode() if isinstance(text, str) else text for name, text in sorted(files.items())}


_CAPTIONS = {
    "gantt": "Sequential above overlapped",
    "tornado": "One change at a time",
    "sweep": "Sweep",
    "energy": "Energy per batch",
}


def _summary(tables: Sequence[Table]) -> list[str]:
    return [table.headline for table in tables if table.headline]


def _parameters(request: PipelineRequest) -> Mapping[str, object]:
    how = request.how
    changed = " ".join(f"{name}={value}" for name, value in request.settings.items())
    return {
        "scenario": Path(request.scenario).name,
        "set": changed or "nothing",
        **({} if request.cv is None else {"cv": request.cv}),
        **({} if request.overlap else {"overlap": "off"}),
        **({"sweep": " ".join(f"{s.name}={','.join(s.values)}" for s in request.sweeps)} if request.sweeps else {}),
        **({"tornado": "yes"} if request.tornado else {}),
        "engine": how.engine or "cheapest exact",
        "batches": how.batches or "a round",
        "replications": how.replications or "default",
        "seed": how.seed,
    }
