"""``fedjoule pipeline``: what overlapping quantization, transfer and training gains, and what would change it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from reports.commands.options import results_of

if TYPE_CHECKING:
    from reports.pipeline.report import PipelineReport, Progress

_STDOUT_FORMATS = ("terminal", "markdown", "csv", "latex", "html")
_FILE_FORMATS = ("markdown", "csv", "latex", "html", "svg", "png", "json")
_MOST_SETTINGS = 200


def _settings(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    if len(pairs) > _MOST_SETTINGS:
        message = f"{len(pairs)} settings, at most {_MOST_SETTINGS}; write a scenario file"
        raise click.BadParameter(message)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name.strip() and equals):
            message = f"{pair[:60]!r} is no setting; write name=value, such as link.call_ms=10"
            raise click.BadParameter(message)
        if name.strip() in found:
            message = f"{name.strip()[:60]} is set twice; keep one"
            raise click.BadParameter(message)
        found[name.strip()] = value.strip()
    return found


def _picture(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    if value is not None and Path(value).suffix not in (".svg", ".png"):
        message = f"{value[:60]!r} must end in .svg or .png"
        raise click.BadParameter(message)
    return None if value is None else Path(value)


def _scenario_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    from costmodel.paper_scenario import scenario_names

    return [CompletionItem(name) for name in scenario_names() if name.startswith(incomplete)]


@click.group(invoke_without_command=True)
@click.option("--scenario", metavar="NAME|FILE", shell_complete=_scenario_names, help="A shipped one, or a TOML file.")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="NAME=VALUE", help="Change a parameter.")
@click.option("--no-overlap", is_flag=True, help="Show resources and verdict of the sequential run.")
@click.option("--sweep", "sweeps", multiple=True, metavar="NAME=VALUES", help="1..8, 0..1:0.25 or 4,16,64.")
@click.option("--tornado", is_flag=True, help="One change at a time, the largest effect first.")
@click.option("--replications", type=int, help="Runs, where anything is random.  [default: 200, of SimPy 20]")
@click.option("--cv", type=float, help="Log-normal stage times with this coefficient of variation.")
@click.option("--seed", type=click.IntRange(0, 2**32), default=0, show_default=True)
@click.option("--batches", type=click.IntRange(1), help="Batches of a round.  [default: the scenario's]")
@click.option(
    "--engine",
    type=click.Choice(["formula", "recurrence", "simpy"]),
    help="Force an engine.  [default: the cheapest that is exact]",
)
@click.option("--gantt", callback=_picture, metavar="FILE", help="Draw both runs (.svg or .png).")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE", help="Write a Chrome/Perfetto trace (JSON).")
@click.option(
    "--out",
    callback=results_of("fedjoule pipeline"),
    metavar="DIR",
    help="Write tables, pictures and trace into this folder.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(sorted({*_STDOUT_FORMATS, *_FILE_FORMATS})),
    multiple=True,
    help="With --out: the file formats (default: all). Without: what to print (default: terminal).",
)
@click.pass_context
def pipeline(
    ctx: click.Context,
    scenario: str | None,
    settings: dict[str, str],
    no_overlap: bool,
    sweeps: tuple[str, ...],
    tornado: bool,
    replications: int | None,
    cv: float | None,
    seed: int,
    batches: int | None,
    engine: Any,
    gantt: Path | None,
    trace: Path | None,
    out: Path | None,
    formats: tuple[str, ...],
) -> None:
    """What does overlapping sampling, quantizing, transfer and training gain, and what would change it?

    \b
    Examples:
      fedjoule pipeline scenarios
      fedjoule pipeline --scenario xiaomi10_cifar10
      fedjoule pipeline --scenario xiaomi10_cifar10 --set link.call_ms=10 --gantt gantt.svg
      fedjoule pipeline --scenario xiaomi10_cifar10 --sweep batch_size=4,16,64,128
      fedjoule pipeline --scenario xiaomi10_cifar10 --tornado
      fedjoule pipeline --scenario xiaomi10_femnist_f --replications 1000 --cv 0.3
      fedjoule pipeline calibrate --measurements my_pipeline.csv --out my_phone.toml
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            message = f"--{given[0].replace('_', '-')} goes after {ctx.invoked_subcommand}, if it takes one"
            raise click.UsageError(message)
        return
    if scenario is None:
        message = "give --scenario NAME or FILE; 'fedjoule pipeline scenarios' lists the shipped ones"
        raise click.UsageError(message)
    _check_formats(out, formats)

    from costmodel.sweep import parse_sweep
    from profiler.bundle import write_file
    from reports.pipeline.report import PipelineRequest, build_pipeline_report
    from reports.pipeline.sweep import How
    from reports.printout import printout, show

    request = PipelineRequest(
        scenario=scenario,
        settings=settings,
        cv=cv,
        overlap=not no_overlap,
        sweeps=tuple(parse_sweep(text) for text in sweeps),
        tornado=tornado,
        how=How(engine, batches, replications, seed),
    )
    with _progress() as progress:
        report = build_pipeline_report(request, progress)
    wrote = [] if out is None else [_write(report, out, formats)]
    if gantt is not None:
        from reports.pipeline.report import report_pictures

        svg, png = report_pictures(report)["gantt"]
        write_file(gantt, svg if gantt.suffix == ".svg" else png)
        wrote.append(f"wrote {gantt}")
    if trace is not None:
        from reports.pipeline.report import answer_of
        from reports.pipeline.trace import trace_json

        write_file(trace, trace_json(answer_of(report)).encode())
        wrote.append(f"wrote {trace}: open it at ui.perfetto.dev")
    form = formats[0] if formats and out is None else "terminal"
    show(printout(report.tables, report.manifest, form), report.manifest, form)
    for line in wrote:
        click.echo(line, err=form != "terminal")
    if report.interrupted:
        click.echo("fedjoule: interrupted; the points that were finished are above", err=True)
        ctx.exit(1)


def _check_formats(out: Path | None, formats: tuple[str, ...]) -> None:
    if out is not None and "terminal" in formats:
        message = "--format terminal is what is printed anyway; with --out choose among " + ", ".join(_FILE_FORMATS)
        raise click.UsageError(message)
    if out is None and len(formats) > 1:
        message = "without --out only one --format can be printed; add --out DIR to write several"
        raise click.UsageError(message)
    if out is None and formats and formats[0] not in _STDOUT_FORMATS:
        message = f"--format {formats[0]} is a file; add --out DIR to write it"
        raise click.UsageError(message)


def _write(report: "PipelineReport", out: Path, formats: tuple[str, ...]) -> str:
    from profiler.bundle import write_bundle
    from reports.pipeline.report import pipeline_files

    files = pipeline_files(report, formats or _FILE_FORMATS)
    write_bundle(out, files)
    return f"wrote {len(files)} files to {out}: {', '.join(files)}"


@contextmanager
def _progress() -> Iterator["Progress"]:
    """Yield what shows progress on a terminal; elsewhere nothing is shown."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of)


@pipeline.command()
@click.argument("name", required=False)
@click.option("--format", "form", type=click.Choice(_STDOUT_FORMATS), default="terminal", help="What to print.")
def scenarios(name: str | None, form: str) -> None:
    """List the shipped scenarios, or print one as a TOML file to start your own from.

    \b
    Examples:
      fedjoule pipeline scenarios
      fedjoule pipeline scenarios xiaomi10_cifar10 > my_phone.toml
    """
    if name is not None:
        from costmodel.scenario_file import to_toml
        from reports.pipeline.report import load_scenario

        click.echo(to_toml(load_scenario(name)[0]), nl=False)
        return
    from reports.manifest import manifest
    from reports.pipeline.listing import scenario_table
    from reports.printout import printout, show

    made = manifest("fedjoule pipeline scenarios", {}, ())
    show(printout([scenario_table()], made, form), made, form)


def _rows(function: Any) -> Any:
    """Add the options that choose the rows of a measurement table."""
    for name in ("conditions", "precision", "processor", "dataset", "model", "device"):
        function = click.option(f"--{name}", help="To choose, where the table holds several.")(function)
    return click.option(
        "--measurements",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A batch-size sweep with overlap on and off, as a measurement table.",
    )(function)


_PRINTED = click.option(
    "--format", "form", type=click.Choice(_STDOUT_FORMATS), default="terminal", help="What to print."
)


@pipeline.command()
@_rows
@click.option("--scenario", metavar="NAME|FILE", help="Topology, workload and payload to start from.")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="NAME=VALUE", help="Change a parameter.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write the calibrated scenario (TOML).")
@_PRINTED
def calibrate(
    measurements: Path,
    scenario: str | None,
    settings: dict[str, str],
    out: Path | None,
    form: str,
    **wanted: str | None,
) -> None:
    """Fit stage times, link basis and power split to a batch-size sweep with overlap on and off.

    Says what the rows cannot tell apart, and which run would.

    \b
    Examples:
      fedjoule pipeline calibrate --measurements my_pipeline.csv --out my_phone.toml
      fedjoule pipeline --scenario my_phone.toml
    """
    from costmodel.calibrate import calibrate as fit
    from costmodel.power_fit import fit_power
    from reports.pipeline.fit import calibration_table
    from reports.printout import printout, show

    measured, base, about = _calibration_input(measurements, scenario, settings, wanted, fits=True)
    found = fit(measured, base)
    power = fit_power(measured, found)
    if out is not None:
        from costmodel.scenario_file import to_toml
        from profiler.bundle import write_file

        write_file(out, to_toml(power.scenario).encode())
    table = calibration_table(measured, found, power)
    made = about("fedjoule pipeline calibrate")
    show(printout([table], made, form), made, form)
    if out is not None:
        click.echo(f"wrote {out}: use it with fedjoule pipeline --scenario {out}", err=form != "terminal")


@pipeline.command()
@_rows
@click.option("--scenario", metavar="NAME|FILE", help="Predict from this.  [default: cross-validate]")
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="NAME=VALUE", help="Change a parameter.")
@_PRINTED
def validate(
    measurements: Path, scenario: str | None, settings: dict[str, str], form: str, **wanted: str | None
) -> None:
    """Print predicted against measured, with the signed error, on rows the prediction did not know.

    \b
    Examples:
      fedjoule pipeline validate --measurements my_pipeline.csv
      fedjoule pipeline validate --measurements another_day.csv --scenario my_phone.toml
    """
    from costmodel.validate import cross_validate
    from costmodel.validate import validate as compare
    from reports.pipeline.fit import validation_table
    from reports.printout import printout, show

    measured, base, about = _calibration_input(measurements, scenario, settings, wanted, fits=scenario is None)
    if scenario is None:
        compared, how = cross_validate(measured, base), "Each batch size was predicted from a calibration without it."
    else:
        compared, how = (
            compare(measured, base),
            f"Predicted by scenario {base.name}; it may have been made from these rows.",
        )
        how += f" Doubts about it: {base.doubts}." if base.doubts else ""
    made = about("fedjoule pipeline validate")
    show(printout([validation_table(measured, compared, how)], made, form), made, form)


def _calibration_input(
    path: Path, name: str | None, settings: dict[str, str], wanted: dict[str, str | None], *, fits: bool
) -> tuple[Any, Any, Any]:
    """Return the observations in a file, the scenario to start from, and what makes the manifest.

    ``fits`` is whether a calibration follows, which finds some parameters itself.
    """
    from costmodel.design import FITTED
    from costmodel.observation import measured_of
    from costmodel.scenario_file import with_settings
    from profiler.sheet import file_name, read_sheet
    from profiler.table import table_of
    from reports.manifest import input_of, manifest
    from reports.pipeline.report import load_scenario

    sheet = read_sheet(path)
    fitted = [setting for setting in settings if setting in FITTED or (name is None and setting.startswith("power."))]
    if fitted and fits:
        message = f"{', '.join(fitted)} is what calibration finds; --set gives what it does not, such as device_slots"
        raise click.UsageError(message)
    given, inputs = (None, ()) if name is None else load_scenario(name)
    on = settings.get("quantize_on", "cpu" if given is None else given.quantize_on)
    measured = measured_of(table_of(sheet), file_name(path), wanted, on)
    base = _untimed(measured) if given is None else given
    if on == "dsp" and given is None:  # until it is calibrated
        base = with_settings(base, {"stage.quantize_dsp_ms": 0.0}, timed=False)
    base = with_settings(base, settings, timed=name is not None) if settings else base
    changed = " ".join(f"{key}={value}" for key, value in settings.items())
    parameters = {"scenario": Path(name).name if name else "none", "set": changed or "nothing"}
    parameters |= {key: value for key, value in wanted.items() if value is not None}
    return (
        measured,
        base,
        lambda command: manifest(command, parameters, (*inputs, input_of(file_name(path), sheet.raw))),
    )


def _untimed(measured: Any) -> Any:
    """Return a scenario for the measured workload, its stage times still to be calibrated."""
    from costmodel.scenario import Scenario
    from costmodel.workload import workload_for

    workload = workload_for(measured.model, measured.dataset)
    batch_size = max(row.batch_size for row in measured.observations)
    if workload is not None:
        origins = (("samples", workload.source), ("batch_size", workload.source))
        return Scenario(
            name="calibrated",
            title=f"{measured.device}, {measured.model} on {measured.dataset}, calibrated",
            batch_size=workload.batch_size,
            samples=workload.samples_per_client,
            origins=origins,
        )
    origins = (("samples", "assumed: 100 batches; --set samples=..."), ("batch_size", "the largest measured"))
    return Scenario(name="calibrated", batch_size=batch_size, samples=100.0 * batch_size, origins=origins)
