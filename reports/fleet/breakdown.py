"""A run on a fleet broken down: what became of those asked, phases, tiers, and the devices that phones stand for."""

import numpy as np
import pandas as pd

from fl_sim.participation import OUTCOMES
from profiler.names import printable
from reports.fleet.course import PHASES
from reports.fleet.simulate import Simulated
from reports.table import Cell, Column, Table, number

MODE = "fleet"


def breakdown(found: Simulated) -> tuple[Table, ...]:
    """Return the tables that break a run down."""
    return (_outcomes(found), _phases(found), _tiers(found), _devices(found))


def percent(share: float) -> str:
    """Return a share in %, a dash if there is none."""
    return "-" if share != share else f"{100 * share:.1f} %"


def _outcomes(found: Simulated) -> Table:
    course = found.course
    ends = course.frames[0]["outcome"].to_numpy()
    named = [
        (_OUTCOMES[name], ends == name, course.work_s, course.client_j) for name in OUTCOMES if (ends == name).any()
    ]
    lost = course.done & (course.clients("attempts") > 1)
    if lost.any():
        named.append(("lost attempts of those done", lost, course.clients("wasted_s"), course.clients("wasted_j")))
    rows, data = [], []
    for words, which, seconds, joules in named:
        count, work_s, energy_j = int(which.sum()), float(seconds[which].sum()), float(joules[which].sum())
        share = percent(count / max(len(ends), 1))
        rows.append((Cell(words), Cell(f"{count:,}"), Cell(share), number(work_s / 3600), number(energy_j / 1e3)))
        data.append({"outcome": words, "client_rounds": count, "work_s": work_s, "joules": energy_j})
    return Table(
        name="fleet_outcomes",
        title="What became of those who were asked",
        mode=MODE,
        units="client-rounds; hours at work; kJ of all phones",
        columns=(
            Column("outcome"), Column("count", numeric=True), Column("share", numeric=True),
            Column("at work (h)", numeric=True), Column("energy (kJ)", numeric=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data, columns=["outcome", "client_rounds", "work_s", "joules"]),
    )  # fmt: skip


_OUTCOMES = {
    "done": "done", "late": "late: not done at the deadline", "dropped": "dropped: lost or never ready",
    "cancelled": "cancelled: enough had delivered", "stale": "stale: delivered too late to use",
    "unused": "unused: delivered in a void round",
}  # fmt: skip


def _phases(found: Simulated) -> Table:
    course = found.course
    done = course.done
    rows, data = [], []
    for title, name in PHASES.items():
        seconds, energy_j = course.clients(f"{name}_s"), float(course.clients(f"{name}_j").sum())
        if name == "wait":  # whoever failed does not wait: its joules are not counted, nor are its hours
            seconds = np.where(done, seconds, 0.0)
        mean_s, all_s = float(seconds[done].mean()) if done.any() else float("nan"), float(seconds.sum())
        energy = number(energy_j / 1e3) if title in course.phases else Cell("not counted", "faint")
        rows.append((Cell(title), number(mean_s), number(all_s / 3600), energy))
        data.append({"phase": title, "mean_s": mean_s, "seconds": all_s, "joules": energy_j})
    # Differences of times on the clock: what is below a microsecond each is rounding.
    suspended_s = np.where(course.clients("suspended_s") > 1e-6, course.clients("suspended_s"), 0.0)
    mean_s, all_s = float(suspended_s[done].mean()) if done.any() else float("nan"), float(suspended_s.sum())
    rows.append((Cell("suspended"), number(mean_s), number(all_s / 3600), Cell("")))
    data.append({"phase": "suspended", "mean_s": mean_s, "seconds": all_s, "joules": float("nan")})
    return Table(
        name="fleet_phases",
        title="Phases",
        mode=MODE,
        units="a client-round: the mean of those that delivered; all: of all that were asked",
        columns=(
            Column("phase"), Column("a client-round (s)", numeric=True), Column("all (h)", numeric=True),
            Column("all (kJ)", numeric=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )  # fmt: skip


def _tiers(found: Simulated) -> Table:
    course = found.course
    taken_s, wasted_j = course.clients("end_s") - course.clients("begin_s"), course.clients("wasted_j")
    rows, data = [], []
    for place, tier in enumerate(course.tiers):
        phones, of = course.tier_of == place, course.of_tier(place)
        done = of & course.done
        values = {
            "phones_share": float(phones.mean()),
            "updates_share": float(done.sum() / max(course.done.sum(), 1)),
            "took_part_share": float((course.delivered[phones] > 0).mean()),
            "completion": float(done.sum() / of.sum()) if of.any() else float("nan"),
            "median_s": float(np.median(taken_s[done])) if done.any() else float("nan"),
            "joules": float(course.client_j[of].sum()),
            "phone_j": float(course.client_j[of].sum() / phones.sum()),
            "wasted_share": _ratio(float(wasted_j[of].sum()), float(course.client_j[of].sum())),
        }
        shares = ("phones_share", "updates_share", "took_part_share", "completion")
        rows.append((
            Cell(tier), *(Cell(percent(values[name])) for name in shares), number(values["median_s"], 3),
            number(values["phone_j"], 3), Cell(percent(values["wasted_share"])),
        ))  # fmt: skip
        data.append({"tier": tier, **values})
    return Table(
        name="fleet_tiers",
        title="Tiers of hardware",
        mode=MODE,
        units="shares of the phones and of the updates; phones that delivered at least once; of those asked, in time",
        columns=(
            Column("tier"), Column("phones", numeric=True), Column("updates", numeric=True),
            Column("took part", numeric=True), Column("in time", numeric=True), Column("median (s)", numeric=True),
            Column("J a phone", numeric=True), Column("wasted", numeric=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )  # fmt: skip


def _devices(found: Simulated) -> Table:
    """Return which measured device each kind stands for: the device, not the kind, has a row."""
    course, costs = found.course, found.mapped.costs
    counts = np.bincount(course.fleet.hardware_of, minlength=len(costs))
    kinds: dict[tuple[str, str, str], list[int]] = {}
    for kind, cost in enumerate(costs):
        if counts[kind]:
            kinds.setdefault((cost.device, cost.processor, cost.table), []).append(kind)
    rows, data = [], []
    for (device, processor, table), members in kinds.items():
        cost, phones = costs[members[0]], int(counts[members].sum())
        rows.append((
            Cell(printable(f"{device} {processor}", 60)), Cell(percent(phones / course.fleet.phones)),
            number(cost.time_ms), number(cost.energy_mj), Cell(cost.provenance or "not stated"),
            Cell(printable(table, 60)),
        ))  # fmt: skip
        data.append(
            {"device": device, "processor": processor, "precision": cost.precision, "phones": phones,
             "time_ms": cost.time_ms, "energy_mj": cost.energy_mj, "provenance": cost.provenance, "table": table}
        )  # fmt: skip
    return Table(
        name="fleet_devices",
        title=f"Measured devices that the phones stand for, {costs[0].precision.upper()}",
        mode=MODE,
        units=f"a batch of {found.plan.batch_size}",
        columns=(
            Column("device"), Column("phones", numeric=True), Column("ms", numeric=True), Column("mJ", numeric=True),
            Column("cost"), Column("from"),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )  # fmt: skip


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
