"""What a run on a fleet came to, as tables: the whole of it, what was wasted, tiers, and devices."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fl_sim.fleet_summary import Summary, jain
from fl_sim.participation import OUTCOMES
from profiler.names import printable
from reports.fleet.course import PHASES, Course
from reports.fleet.simulate import Simulated
from reports.table import Cell, Column, Table, number, plain_number

Floats = npt.NDArray[np.float64]
Line = tuple[str, str, Mapping[str, float]]  # what, in words, values by name
MODE = "fleet"


def summary_tables(found: Simulated) -> tuple[Table, ...]:
    """Return the tables of a run on a fleet."""
    return (_whole(found), _outcomes(found), _phases(found), _tiers(found), _devices(found))


def _whole(found: Simulated) -> Table:
    rows = list(_lines(found))
    data = [
        {"what": what, "quantity": name, "value": value} for what, _, values in rows for name, value in values.items()
    ]
    return Table(
        name="fleet_run",
        title=f"{found.plan.method.title}, {found.plan.model} on {found.plan.dataset}, on {_fleet(found)}",
        mode=MODE,
        units="time on the fleet's clock; energy of the phones alone",
        columns=(Column("what"), Column("value")),
        rows=tuple((Cell(what), Cell(words)) for what, words, _ in rows),
        data=pd.DataFrame(data),
        notes=tuple(_notes(found)),
    )


def _fleet(found: Simulated) -> str:
    fleet = found.course.fleet
    return f"{fleet.phones:,} phones of {printable(fleet.name, 60)}"


def _lines(found: Simulated) -> Iterator[Line]:
    """Yield what, its value in words, and its values by name."""
    course, summary = found.course, found.summary
    if found.buffered:
        each = found.request.end.buffer
        yield "versions", f"{summary.rounds:,}, of {each:,} updates each", {"versions": summary.rounds}
    else:
        void = f", {summary.void:,} more were void" if summary.void else ""
        values = {"wanted": summary.wanted, "counted": summary.counted, "tried": summary.rounds}
        yield "rounds", f"{summary.counted:,} of {summary.wanted:,}{void}", values
    days = f", {_plain(summary.hours / 24)} days" if summary.hours >= 48 else ""
    yield "time", f"{_plain(summary.hours)} h{days}", {"hours": summary.hours}
    low, median, high = np.quantile(course.round_s, (0.05, 0.5, 0.95)).tolist()
    words = f"{_plain(median)} s; 5 % below {_plain(low)} s, 5 % above {_plain(high)} s"
    yield "a version" if found.buffered else "a round", words, {"q05_s": low, "median_s": median, "q95_s": high}
    if summary.idle_s > 0:
        hours = summary.idle_s / 3600
        yield "nobody was ready", f"{_plain(hours)} h ({_percent(hours / summary.hours)})", {"hours": hours}
    asked = summary.participations
    words = f"{asked:,} times, {_percent(summary.completion)} delivered in time"
    yield "phones asked", words, {"asked": asked, "completion": summary.completion}
    words = f"{summary.updates:,}, {_percent(summary.updates_share)} of those wanted"
    yield "updates", words, {"updates": summary.updates, "wanted": summary.updates_wanted}
    yield from _energy(found.plan.clients, summary)
    yield from _fairness(course, summary)


def _energy(clients: int, summary: Summary) -> Iterator[Line]:
    yield "energy", f"{_kilojoules(summary.energy_j)} of all phones", {"joules": summary.energy_j}
    each, phone = summary.registered_j, summary.phone_j
    words = f"{_kilojoules(each)} a client of {clients:,}, {_joules(phone)} a phone of all"
    yield "energy, shared", words, {"client_j": each, "phone_j": phone}
    median, high = summary.active_median_j, summary.active_95_j
    words = f"half above {_joules(median)}, 5 % above {_joules(high)}"
    yield "energy of those asked", words, {"median_j": median, "q95_j": high}
    update_j = summary.energy_j / max(summary.updates, 1)
    words = f"{_joules(summary.participation_j)} for each phone asked, {_joules(update_j)} for each update"
    yield "energy of a client-round", words, {"asked_j": summary.participation_j, "update_j": update_j}
    joules, seconds = summary.wasted_j_share, summary.wasted_s_share
    words = f"{_percent(joules)} of the energy, {_percent(seconds)} of the time at work"
    yield "wasted", words, {"joules_share": joules, "seconds_share": seconds}


def _fairness(course: Course, summary: Summary) -> Iterator[Line]:
    phones, ever, vain = summary.phones, summary.delivered, summary.took_part - summary.delivered
    words = f"{ever:,} of {phones:,} phones ({_percent(ever / phones)}), {vain:,} more in vain"
    yield "took part", words, {"delivered": ever, "asked": summary.took_part}
    if summary.never_ready:
        words = f"{summary.never_ready:,} phones ({_percent(summary.never_ready / phones)})"
        yield "never ready at all", words, {"phones": summary.never_ready}
    index, even = summary.jain_updates, jain(_even(summary.updates, phones))
    yield "fairness", f"Jain's index {_plain(index)}; as even as can be: {_plain(even)}", {"jain": index, "even": even}


def _even(updates: int, phones: int) -> npt.NDArray[np.int64]:
    """Return so many updates dealt out as evenly as whole updates can be."""
    counts = np.full(phones, updates // phones, np.int64)
    counts[: updates % phones] += 1
    return counts


def _notes(found: Simulated) -> Iterator[str]:
    request = found.request
    yield printable(found.course.fleet.source, 1000)
    for note in found.plan.notes:
        yield note[:1].upper() + note[1:] + "."
    yield _rules(found)
    yield from (note[:1].upper() + note[1:] for note in found.mapped.notes)
    left = request.power.not_counted
    counted = f"Not counted: {', '.join(left)}, " if left else "Not counted: "
    yield (
        f"Energy counts training, of all phones that were asked. {counted}work of the server, and what the phones spend"
        " while their work is suspended. A round with fewer updates teaches less; how much is not counted."
    )
    if request.select == "oort":
        yield "Nothing is trained: Oort's losses are 1 for all, so it goes by data, time and age alone."


def _rules(found: Simulated) -> str:
    request, plan = found.request, found.plan
    words = [
        f"Asked are {'all phones at random, ready or not' if request.select == 'random' else _SELECTS[request.select]}"
    ]
    if found.buffered:
        rules = request.buffered(plan.cohort)
        words.append(f"{rules.concurrency:,} at a time; a version of every {rules.buffer:,} updates")
        stale = (
            "" if rules.most_stale is None else f"; updates more than {rules.most_stale} versions old are thrown away"
        )
        words.append(f"as many updates as {plan.rounds:,} rounds of {plan.cohort:,}{stale}")
    else:
        rounds = request.rules(plan.cohort)
        ends = {
            "all": "all have delivered", "kth": f"{plan.cohort:,} have delivered",
            "fraction": f"{100 * rounds.fraction:g} % have delivered",
        }[rounds.round_end]  # fmt: skip
        words.append(f"{rounds.selected:,} of them a round, for {plan.cohort:,} updates; it ends when {ends}")
    if request.deadline_s is not None:
        words.append(f"after {request.deadline_s:g} s at the latest")
    words.append({
        "suspend": "work is suspended while a phone is not ready",
        "abort": "work is lost when a phone stops being ready",
        "check_end": "a phone works on when it is not ready, and what it delivers counts if it is ready then",
    }[request.interrupted])  # fmt: skip
    if request.dropout:
        words.append(f"{100 * request.dropout:g} % of the attempts fail, retried {request.retries} times at most")
    return "; ".join(words) + "."


_SELECTS = {
    "available": "ready phones at random",
    "fastest": "the ready phones that are expected to be the fastest",
    "oort": "ready phones as Oort chooses them",
}


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
        share = _percent(count / max(len(ends), 1))
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
    "done": "done", "late": "late: at work at the deadline", "dropped": "dropped: lost or never ready",
    "cancelled": "cancelled: enough had delivered", "stale": "stale: delivered too late to use",
}  # fmt: skip


def _phases(found: Simulated) -> Table:
    course = found.course
    done = course.done
    rows, data = [], []
    for title, name in PHASES.items():
        seconds, energy_j = course.clients(f"{name}_s"), float(course.clients(f"{name}_j").sum())
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
            Cell(tier), *(Cell(_percent(values[name])) for name in shares), number(values["median_s"], 3),
            number(values["phone_j"], 3), Cell(_percent(values["wasted_share"])),
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
            Cell(printable(f"{device} {processor}", 60)), Cell(_percent(phones / course.fleet.phones)),
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


def _percent(share: float) -> str:
    return "-" if share != share else f"{100 * share:.1f} %"


def _plain(value: float) -> str:
    return "-" if value != value else plain_number(value, 4)


def _in(unit: str, factor: float) -> Callable[[float], str]:
    return lambda joules: "not measured" if joules != joules else f"{plain_number(joules / factor, 4)} {unit}"


_kilojoules, _joules = _in("kJ", 1e3), _in("J", 1.0)
