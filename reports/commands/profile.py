"""``fedjoule profile``: measure a phone, resume, restore, and plot what was measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from reports.commands.profile_build import build

if TYPE_CHECKING:
    from profiler.campaign.campaign import Choices
    from profiler.campaign.plan import Plan
    from profiler.campaign.plan_file import Template


def _names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas."""
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def _sizes(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...]:
    names = _names(ctx, param, value)
    if any(not name.isascii() or not name.isdigit() or not 1 <= int(name) <= 10**9 for name in names):
        message = f"{value!r} must be whole numbers with commas between, such as 4,16,64"
        raise click.BadParameter(message)
    return tuple(int(name) for name in names)


def _csv(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Path | None:
    if value is not None and Path(value).suffix != ".csv":
        message = f"{value[:60]!r} must end in .csv; it becomes a measurement table"
        raise click.BadParameter(message)
    return None if value is None else Path(value)


@click.group(invoke_without_command=True)
@click.option("--device", metavar="ADDRESS", help="HOST:PORT, usb, a serial number of adb, or local.")
@click.option("-o", "--out", callback=_csv, metavar="FILE.csv", help="The measurement table to write.")
@click.option("--plan", metavar="table|pipeline|FILE", default="table", show_default=True, help="What to measure.")
@click.option("--workload", metavar="FILE", help="What to run (TOML) for every model.  [default: fedjoule's runner]")
@click.option("--models", callback=_names, metavar="LIST", default="lenet5", show_default=True)
@click.option("--dataset", help="Data set to write into the rows.  [default: the paper's for its models]")
@click.option("--precisions", callback=_names, metavar="LIST", default="fp32,int8", show_default=True)
@click.option("--processors", callback=_names, metavar="LIST", help="[default: cpu,dsp; for the runner cpu]")
@click.option("--batch-sizes", callback=_sizes, metavar="LIST", help="[default: the paper's for its models]")
@click.option("--repetitions", type=int, help="Runs of each configuration.  [default: 5, or the plan's]")
@click.option("--idle-s", type=float, help="Idle before and after each run.  [default: 20, or the plan's]")
@click.option("--busy-s", type=float, help="Shortest run.  [default: 30, or the plan's]")
@click.option("--seed", type=click.IntRange(0, 2**32), help="Orders the measurements.  [default: 0, or the plan's]")
@click.option("--threads", type=click.IntRange(1, 1024), help="Of fedjoule's runner.  [default: 1]")
@click.option("--cpus", metavar="MASK", help="Pin the workload to these cores (hexadecimal, as taskset takes it).")
@click.option("--allow", "allowed", multiple=True, metavar="CODE", help="Measure in spite of this; may be repeated.")
@click.option("--source", type=click.Choice(["sysfs", "powercap", "perfetto", "dumpsys", "none"]), help="Of power.")
@click.option("--supply", metavar="NAME", help="Folder of /sys/class/power_supply to read.")
@click.option("--current-unit", type=click.Choice(["uA", "mA"]), help="Instead of what the calibration finds.")
@click.option("--voltage-unit", type=click.Choice(["uV", "mV"]), help="Instead of what the calibration finds.")
@click.option("--discharge-sign", type=click.Choice(["1", "-1"]), help="Sign of the current while discharging.")
@click.option("--gauge-period-s", type=float, help="Instead of what the calibration finds.")
@click.option("--keep-awake", is_flag=True, help="Wake the screen and keep it on, dark; put back at the end.")
@click.option("--suspend-charging", is_flag=True, help="Set power.battery_input.suspended; put back at the end.")
@click.option("--root-write", "written", multiple=True, metavar="PATH=VALUE", help="Write a file as root; put back.")
@click.option("--keep", type=click.Choice(["valid", "doubtful", "invalid"]), default="valid", show_default=True,
              help="Worst measurements that still become rows.")  # fmt: skip
@click.option("--energy", type=click.Choice(["gross", "net"]), default="gross", show_default=True,
              help="Whole phone, or above idle.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Do not ask before it starts.")
@click.option("--preview", "only_preview", is_flag=True, help="Show what it would do, and end.")
@click.pass_context
def profile(ctx: click.Context, /, **options: Any) -> None:
    """Measure time and energy per training batch on a phone, and write a measurement table.

    Everything is kept in FILE.campaign as it is measured: 'fedjoule profile resume' goes on after any interruption.

    \b
    Examples:
      fedjoule profile --device 192.168.1.20:5555 -o phone.csv
      fedjoule profile --device local --models lenet5,vgg16 -o host.csv
      fedjoule profile --device 192.168.1.20:5555 --plan my_plan.toml -o dsp.csv
      fedjoule profile --device 127.0.0.1:15555 --plan pipeline -o demo.csv
      fedjoule profile resume phone.csv
      fedjoule profile plot phone.csv
      fedjoule profile restore phone.csv
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            message = f"--{given[0].replace('_', '-')} goes after {ctx.invoked_subcommand}, if it takes one"
            raise click.UsageError(message)
        return
    if options["device"] is None or options["out"] is None:
        message = "give --device ADDRESS and -o FILE.csv; 'fedjoule devices' lists what can be reached"
        raise click.UsageError(message)
    from reports.profile.campaign import begin

    done = begin(options, _choices(options), lambda trainer: _plan(options, trainer))
    if not done:
        ctx.exit(1)


def _plan(options: dict[str, Any], trainer: "Template | None") -> "Plan":
    """Return the plan that the options ask for; ``trainer`` is what runs where they do not say it."""
    from profiler.campaign.plan_file import PLANS, pipeline_plan, read_plan, read_template, table_plan

    context = click.get_current_context()
    chosen = ("workload", "models", "dataset", "precisions", "processors", "batch_sizes")
    given = [name for name in chosen if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    name = options["plan"]
    if trainer is None and options["threads"] is not None:
        message = "--threads is for fedjoule's runner; a program of yours takes it from its workload file"
        raise click.UsageError(message)
    if name not in PLANS and not Path(name).exists() and "." not in name:
        message = f"--plan {name[:40]!r} is neither {' nor '.join(PLANS)} nor a file that is there"
        raise click.UsageError(message)
    if name not in PLANS:
        if given:
            message = f"--{given[0].replace('_', '-')} has no effect with a plan of your own; write it into the file"
            raise click.UsageError(message)
        return _timed(read_plan(name), options)
    template = trainer if options["workload"] is None else read_template(options["workload"])
    assert template is not None
    options = options | _of_template(template.keys, given)
    options["processors"] = options["processors"] or ("cpu", "dsp")
    if name == "table":
        plan = table_plan(
            template, options["models"], options["precisions"], options["processors"], options["batch_sizes"],
            options["dataset"],
        )  # fmt: skip
    else:
        given += list(_of_template(template.keys, given))
        model = _one(options, "models", given)
        precision, processor = _one(options, "precisions", given), _one(options, "processors", given)
        plan = pipeline_plan(
            template,
            model or "lenet5",
            precision or "int8",
            processor or "dsp",
            options["batch_sizes"],
            options["dataset"],
        )
    return _timed(plan, options)


def _timed(plan: "Plan", options: dict[str, Any]) -> "Plan":
    """Return the plan with the repetitions, lengths, seed and cores of the options, and its files' hashes."""
    from dataclasses import replace

    from profiler.campaign.plan_file import with_hashes

    changed = {key: options[key] for key in ("repetitions", "idle_s", "busy_s") if options[key] is not None}
    plan = replace(plan, timing=replace(plan.timing, **changed))
    for key in ("seed", "cpus"):
        if options[key] is not None:
            plan = replace(plan, **{key: options[key]})
    return with_hashes(plan)


def _of_template(keys: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Return what a workload file says of itself as options, unless it was given on the command line."""
    names = {"model": "models", "precision": "precisions", "processor": "processors", "batch_size": "batch_sizes"}
    said: dict[str, Any] = {}
    for key, name in names.items():
        if key in keys and name not in given:
            said[name] = tuple(keys[key]) if isinstance(keys[key], list) else (keys[key],)
    if "dataset" in keys and "dataset" not in given:
        said["dataset"] = keys["dataset"]
    return said


def _one(options: dict[str, Any], name: str, given: Sequence[str]) -> str | None:
    """Return the one value of a list that a pipeline is measured with, None if it was not given."""
    if name not in given:
        return None
    if len(options[name]) != 1:
        message = f"--{name} takes one value with --plan pipeline (got {len(options[name])}); a pipeline is of one"
        raise click.UsageError(message)
    return str(options[name][0])


def _choices(options: dict[str, Any]) -> "Choices":
    """Return what was chosen beside the plan."""
    from profiler.campaign.campaign import Choices
    from profiler.campaign.change import change_of
    from profiler.device.condition import CODES
    from profiler.names import did_you_mean
    from profiler.power.gauge import Override

    for code in options["allowed"]:
        if code not in CODES:
            message = f"--allow {code[:40]!r} is no condition; {did_you_mean(code, CODES)}"
            raise click.UsageError(message)
    changes = []
    if options["keep_awake"]:
        awake = (("screen_off_timeout", "86400000"), ("screen_brightness_mode", "0"), ("screen_brightness", "0"))
        changes += [change_of("setting", f"system/{name}", value) for name, value in awake]
    if options["suspend_charging"]:
        changes.append(change_of("property", "power.battery_input.suspended", "1"))
    for pair in options["written"]:
        path, equals, value = pair.partition("=")
        if not equals:
            message = f"--root-write {pair[:60]!r} must be PATH=VALUE"
            raise click.UsageError(message)
        changes.append(change_of("file", path, value))
    sign = options["discharge_sign"]
    override = Override(
        current_unit=options["current_unit"],
        voltage_unit=options["voltage_unit"],
        discharge_sign=int(sign) if sign is not None else None,
        period_s=options["gauge_period_s"],
    )
    return Choices(frozenset(options["allowed"]), options["source"], options["supply"], tuple(changes), override)


profile.add_command(build)

_OUT = click.argument("out", callback=_csv, metavar="FILE.csv")
_DEVICE = click.option("--device", metavar="ADDRESS", help="If the address has changed.")


@profile.command()
@_OUT
@_DEVICE
@click.option("--yes", is_flag=True, help="Do not ask before it starts.")
@click.pass_context
def resume(ctx: click.Context, out: Path, device: str | None, yes: bool) -> None:
    """Go on with an interrupted campaign: finished measurements are kept, a running one is collected.

    \b
    Example:
      fedjoule profile resume phone.csv
    """
    from reports.profile.campaign import go_on

    if not go_on(out, device, yes):
        ctx.exit(1)


@profile.command()
@_OUT
@_DEVICE
@click.pass_context
def restore(ctx: click.Context, out: Path, device: str | None) -> None:
    """Put back what an interrupted campaign changed on the device, stop its job, and free the device.

    \b
    Example:
      fedjoule profile restore phone.csv
    """
    from reports.profile.campaign import put_back

    if not put_back(out, device):
        ctx.exit(1)


@profile.command()
@_OUT
@click.option("--keep", type=click.Choice(["valid", "doubtful", "invalid"]), default="valid", show_default=True)
@click.option("--energy", type=click.Choice(["gross", "net"]), default="gross", show_default=True)
def table(out: Path, keep: Any, energy: Any) -> None:
    """Write the measurement table of a campaign again, with other measurements or the other energy.

    \b
    Example:
      fedjoule profile table phone.csv --keep doubtful
    """
    from reports.profile.campaign import write_again

    write_again(out, keep, energy)


@profile.command()
@_OUT
@click.argument("measurements", nargs=-1)
@click.option("--picture", metavar="FILE", help="An .svg or .png to write.  [default: FILE.campaign/plots/NAME.svg]")
def plot(out: Path, measurements: tuple[str, ...], picture: str | None) -> None:
    """Draw the power of measurements over time, with the phases marked; all of a campaign, or those named.

    \b
    Examples:
      fedjoule profile plot phone.csv
      fedjoule profile plot phone.csv 003-demo-lenet5-int8-dsp-5-r1 --picture trace.png
    """
    from profiler.names import printable
    from reports.profile.plot import plot_campaign

    for line in plot_campaign(out, measurements, Path(picture) if picture is not None else None):
        click.echo(printable(line, 500))
