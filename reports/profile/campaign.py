"""A campaign from the command line: begun, resumed, put back, and made into a table."""

import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import click

from profiler.bundle import write_file
from profiler.campaign.campaign import Choices, Preview, preview, records, run, undo
from profiler.campaign.change import Change
from profiler.campaign.journal import FILE, Journal
from profiler.campaign.plan import Plan, plan_of_json, plan_to_json
from profiler.campaign.plan_file import DEMO, PLANS, Template
from profiler.campaign.record import Record
from profiler.campaign.rows import KEEPS, Keep, Kind, rows_of
from profiler.campaign.session import Session
from profiler.campaign.trainer import refuse_absent_cores, refuse_pieces, trainer_of
from profiler.names import printable
from profiler.power.gauge import Override
from profiler.sheet import read_bytes
from profiler.table import write_table
from profiler.transport.address import open_transport
from profiler.transport.link import LinkLost
from reports.interrupt import end_by
from reports.profile.building import building
from reports.profile.facts import fact_lines
from reports.profile.preview import preview_facts
from reports.profile.watch import watched

_OPTIONS = "options.json"
_PLAN = "plan.json"


def folder_of(out: Path) -> Path:
    """Return the folder in which a campaign keeps everything: ``phone.csv`` has ``phone.campaign``."""
    return out.with_suffix(".campaign")


def begin(options: Mapping[str, Any], choices: Choices, plan_of: Callable[[Template | None], Plan]) -> bool:
    """Begin a campaign; return whether it came to its end. Raises ValueError if there is one already.

    ``plan_of`` makes the plan from the workload that trains on the device; None where the options say what runs.
    """
    out: Path = options["out"]
    folder = folder_of(out)
    if (folder / _PLAN).exists():
        message = (
            f"{printable(folder, 200)} holds a campaign; 'fedjoule profile resume {out}' goes on with its "
            "plan; for another plan choose another -o, or delete that folder"
        )
        raise ValueError(message)
    if out.exists():
        message = f"{printable(out, 200)} is there already; choose another -o, or move it away"
        raise ValueError(message)
    own = options["workload"] is not None or options["plan"] not in PLANS
    if not own:
        refuse_pieces(options["models"])
    plan = plan_of(None if own else DEMO)  # what is wrong with the options is told before a device is asked
    try:
        with Session(lambda: open_transport(options["device"]), on_lost=_lost) as session, Journal(folder) as journal:
            if plan.cpus or not own:
                device = session.probe()
                refuse_absent_cores(plan.cpus, device.cores, "plan, cpus" if options["cpus"] is None else "--cpus")
            if not own:
                with building() as tell:
                    trainer = trainer_of(device, plan.workloads, options["processors"], options["threads"], tell)
                plan = plan_of(trainer)
            return _begun(session, plan, choices, options, folder, journal)
    finally:
        _remove_unbegun(folder)


def _begun(
    session: Session, plan: Plan, choices: Choices, options: Mapping[str, Any], folder: Path, journal: Journal
) -> bool:
    seen = preview(session, plan, choices, journal)
    _show(seen, plan, choices, options["out"], folder)
    if options["only_preview"]:
        return True
    if seen.refusal:
        raise ValueError(seen.refusal)
    _ask(options["yes"])
    write_file(folder / _PLAN, plan_to_json(plan).encode())
    kept = {"device": options["device"], "keep": options["keep"], "energy": options["energy"], **_choices_data(choices)}
    write_file(folder / _OPTIONS, json.dumps(kept, indent=1).encode())
    return _run(session, plan, choices, options["out"], journal, seen, options["keep"], options["energy"])


def go_on(out: Path, device: str | None, yes: bool) -> bool:
    """Resume the campaign of ``out``; return whether it came to its end."""
    folder = folder_of(out)
    plan, kept = _read(folder)
    choices = _choices_of(kept)
    with (
        Session(lambda: open_transport(device or kept["device"]), on_lost=_lost) as session,
        Journal(folder) as journal,
    ):
        seen = preview(session, plan, choices, journal)
        _show(seen, plan, choices, out, folder)
        if seen.refusal and seen.finished < seen.measurements:
            raise ValueError(seen.refusal)
        _ask(yes)
        return _run(session, plan, choices, out, journal, seen, kept["keep"], kept["energy"])


def put_back(out: Path, device: str | None) -> bool:
    """Put back what the campaign of ``out`` changed on the device; return whether all of it could be."""
    folder = folder_of(out)
    _, kept = _read(folder)
    with (
        Session(lambda: open_transport(device or kept["device"]), on_lost=_lost) as session,
        Journal(folder) as journal,
    ):
        failed = undo(session, journal, lambda what: click.echo(printable(what, 300)))
    for line in failed:
        click.echo(f"fedjoule: could not put back: {printable(line, 300)}", err=True)
    return not failed


def write_again(out: Path, keep: Keep, energy: Kind) -> None:
    """Write the table of a campaign from its records."""
    folder = folder_of(out)
    plan, kept = _read(folder)
    with Journal(folder) as journal:
        found = records(folder, journal)
    total = len(plan.measurements())
    if len(found) < total:
        click.echo(f"{len(found)} of {total} measured; 'fedjoule profile resume {out}' measures the rest", err=True)
    _write_rows(found, out, keep, energy, _choices_of(kept).changes)


def _run(
    session: Session, plan: Plan, choices: Choices, out: Path, journal: Journal, seen: Preview, keep: Keep, energy: Kind
) -> bool:
    folder = folder_of(out)
    end_by(signal.SIGTERM, signal.SIGHUP)
    try:
        with watched(sys.stderr is not None and sys.stderr.isatty()) as tell:
            found = run(session, plan, choices, folder, journal, seen, tell)
    except LinkLost as error:
        message = f"{error}; finished measurements are kept, when it is back: fedjoule profile resume {out}"
        raise LinkLost(message) from error
    except KeyboardInterrupt:
        click.echo(
            "fedjoule: interrupted; finished measurements are kept, and what runs on the device goes on to its end\n"
            f"  to collect it and go on: fedjoule profile resume {out}\n"
            f"  to stop it and put everything back: fedjoule profile restore {out}",
            err=True,
        )
        return False
    _write_rows(found, out, keep, energy, choices.changes)
    return True


def _write_rows(found: Sequence[Record], out: Path, keep: Keep, energy: Kind, changes: Sequence[Change]) -> None:
    conditions = [change.words.replace(" = ", ": ") for change in changes]
    rows = rows_of(found, keep, energy, conditions)
    for line in rows.left_out:
        click.echo(f"left out: {printable(line, 300)}", err=True)
    if rows.left_out:
        click.echo(
            f"their records are kept; to use them: fedjoule profile table {out} --keep doubtful|invalid", err=True
        )
    if rows.table.empty:
        message = f"no measurement became a row of {out}; see the reasons above"
        raise ValueError(message)
    write_file(out, write_table(rows.table).encode())
    from reports.manifest import manifest
    from reports.printout import printout
    from reports.profile.result import result_table

    about = manifest("fedjoule profile", {"keep": keep, "energy": energy}, ())
    click.echo(printout([result_table(rows, energy)], about, "terminal"), nl=False)
    click.echo(_own_cost(found))
    click.echo(f"wrote {out}: {len(rows.table)} row(s)")
    if (rows.table["provenance"] == "emulated").any():
        click.echo("These rows were timed under emulation: they show how it works and are refused as costs.")


def _own_cost(found: Sequence[Record]) -> str:
    """Return what measuring itself took, in words: the sampler on the device, and we on this machine."""
    samplers = [float(run["sampler"]["core_percent"]) for run in found if run.get("sampler")]
    hosts = [float(run["host_core_percent"]) for run in found if run.get("host_core_percent") is not None]
    words = [f"the sampler took {median(samplers):.1f} % of a core of the device"] if samplers else []
    words += [f"the host {median(hosts):.1f} % of one of its own"] if hosts else []
    return f"Measuring itself: {', '.join(words) or 'nothing was recorded of it'} (median)."


def _show(seen: Preview, plan: Plan, choices: Choices, out: Path, folder: Path) -> None:
    for line in fact_lines(preview_facts(seen, plan, choices, out, folder)):
        click.echo(line, err=True)


def _ask(yes: bool) -> None:
    if not yes and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm("start?", default=True, abort=True, err=True)


def _lost(why: str) -> None:
    click.echo(f"the link is lost, trying again: {printable(why, 200)}", err=True)


def _choices_data(choices: Choices) -> dict[str, Any]:
    data = asdict(choices)
    return {**data, "allowed": sorted(choices.allowed)}


def _choices_of(kept: Mapping[str, Any]) -> Choices:
    from profiler.campaign.change import change_of

    changes = tuple(change_of(entry["kind"], entry["name"], entry["value"]) for entry in kept["changes"])
    override = Override(**kept["override"])
    return Choices(frozenset(kept["allowed"]), kept["source"], kept["supply"], changes, override)


def _read(folder: Path) -> tuple[Plan, dict[str, Any]]:
    """Return the plan and options of a campaign. Raises ValueError if there is none, or it is damaged."""
    if not (folder / _PLAN).exists():
        message = (
            f"{printable(folder, 200)} holds no campaign; begin one with: fedjoule profile --device ADDRESS -o FILE"
        )
        raise ValueError(message)
    plan = plan_of_json(read_bytes(folder / _PLAN, 4 << 20, "plan (JSON)").decode("utf-8", "replace"))
    try:
        kept = json.loads(read_bytes(folder / _OPTIONS, 1 << 20, "options (JSON)"))
        _choices_of(kept)
        if not isinstance(kept["device"], str) or kept["keep"] not in KEEPS or kept["energy"] not in ("gross", "net"):
            message = "device, keep or energy"
            raise ValueError(message)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{printable(folder / _OPTIONS, 200)} is damaged ({printable(error)}); start a new campaign"
        raise ValueError(message) from error
    return plan, kept


def _remove_unbegun(folder: Path) -> None:
    """Remove the folder of a campaign that was only looked at, or refused."""
    journal = folder / FILE
    if not (folder / _PLAN).exists() and journal.exists() and journal.stat().st_size == 0:
        journal.unlink()
        folder.rmdir()
