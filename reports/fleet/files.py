"""The files of a run on a fleet: its log, its tables, and its figures with what they show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fl_sim.fleet_log import log_files
from profiler.bundle import write_bundle
from reports.fleet.course import Course
from reports.fleet.figures import day_picture, energy_picture, part_picture, times_picture
from reports.fleet.habits import habits
from reports.fleet.simulate import Simulated
from reports.formats.csv import frame_to_csv, to_csv
from reports.formats.markdown import to_markdown
from reports.manifest import Manifest
from reports.table import Table

Floats = npt.NDArray[np.float64]
_WASTED = "wasted"


def write_simulation(out: Path, found: Simulated, tables: Sequence[Table], made: Manifest) -> str:
    """Write everything about a run on a fleet into a folder, each file whole or not at all; return a line about it."""
    files = log_files(*found.course.frames)
    files |= {"manifest.json": made.to_json().encode()}
    files |= {f"{table.name}.csv": to_csv(table).encode() for table in tables}
    files["fleet_run.md"] = to_markdown(tables, made).encode()
    files |= figure_files(found)
    write_bundle(out, files)
    return f"wrote {len(files)} files to {out}: {', '.join(sorted(files))}"


def figure_files(found: Simulated) -> dict[str, bytes]:
    """Return the figures of a run by name, as SVG and PNG, and as CSV what they show that is in no other file."""
    course = found.course
    day, energy, caption = day_data(course), energy_data(course), _caption(found)
    phases = {
        str(tier): {str(phase): float(joules) for phase, joules in zip(rows["phase"], rows["joules"], strict=True)}
        for tier, rows in energy.groupby("tier", sort=False)
    }
    wasted_j = {tier: joules.pop(_WASTED) for tier, joules in phases.items()}
    delivered = {tier: course.delivered[course.tier_of == place] for place, tier in enumerate(course.tiers)}
    ready = None if course.fleet.availability is None else day["ready_share"].to_numpy()
    asked, done = day["asked"].to_numpy(), day["delivered"].to_numpy()
    pictures = {
        "times": times_picture(_times(course), course.round_s, found.request.deadline_s, caption),
        "day": day_picture(ready, asked, done, caption),
        "energy": energy_picture(phases, wasted_j, caption),
        "participants": part_picture(delivered, caption),
    }
    files: dict[str, bytes] = {}
    for name, (svg, png) in pictures.items():
        files |= {f"{name}.svg": svg, f"{name}.png": png}
    frames = {"day": day, "energy": energy, "participants": part_data(course)}
    return files | {f"{name}.csv": frame_to_csv(frame).encode() for name, frame in frames.items()}


def _caption(found: Simulated) -> str:
    course, plan = found.course, found.plan
    phones = f"{course.fleet.phones:,} phones: {course.fleet.source}"
    return f"{plan.method.title}, {plan.dataset}, {_rounds(found)}; {phones}"


def _rounds(found: Simulated) -> str:
    """Return how many rounds counted, of those wanted if that is another number, and how many more were void."""
    summary = found.summary
    if found.buffered:
        return f"{summary.rounds:,} versions"
    of = "" if summary.counted == summary.wanted else f" of {summary.wanted:,}"
    void = f", {summary.void:,} more were void" if summary.void else ""
    return f"{summary.counted:,}{of} rounds{void}"


def _times(course: Course) -> dict[str, Floats]:
    """Return the seconds from being asked to delivery, by tier; none of a tier that delivered nothing."""
    taken_s = course.clients("end_s") - course.clients("begin_s")
    return {tier: taken_s[course.done & course.of_tier(place)] for place, tier in enumerate(course.tiers)}


def day_data(course: Course) -> pd.DataFrame:
    """Return by hour of the day how many phones were asked in it, and how many of these delivered.

    ``ready_share`` is the mean share of the phones that are ready, as ``habits`` has it.
    """
    hour = (np.floor(course.clients("begin_s") / 3600) % 24).astype(np.int64)
    known = habits(course.fleet)
    return pd.DataFrame(
        {
            "hour": range(24),
            "ready_share": np.ones(24) if known is None else known.hours,
            "asked": np.bincount(hour, minlength=24),
            "delivered": np.bincount(hour[course.done], minlength=24),
        }
    )


def energy_data(course: Course) -> pd.DataFrame:
    """Return joules of all phones by tier and phase that is counted, and ``wasted`` of them all."""
    rows = []
    for place, tier in enumerate(course.tiers):
        of = course.of_tier(place)
        for phase, name in (*course.phases.items(), (_WASTED, "wasted_j")):
            rows.append({"tier": tier, "phase": phase, "joules": float(course.clients(name)[of].sum())})
    return pd.DataFrame(rows, columns=["tier", "phase", "joules"])


def part_data(course: Course) -> pd.DataFrame:
    """Return how often each phone that was ever asked was, and how often it delivered."""
    phones = np.flatnonzero(course.asked)
    tiers = np.array(course.tiers)[course.tier_of[phones]]
    columns = {"phone": phones, "tier": tiers, "asked": course.asked[phones], "delivered": course.delivered[phones]}
    return pd.DataFrame(columns)
