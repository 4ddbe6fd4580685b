"""What a run on a fleet came to: its rounds, time, energy, waste and fairness, with what was assumed."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fl_sim.fleet_summary import Summary, jain
from profiler.names import printable
from reports.fleet.breakdown import MODE, breakdown, percent
from reports.fleet.course import Course
from reports.fleet.reading_notes import reading_notes
from reports.fleet.simulate import Simulated
from reports.table import Cell, Column, Table, plain_number

Floats = npt.NDArray[np.float64]
Line = tuple[str, str, Mapping[str, float]]  # what, in words, values by name


def summary_tables(found: Simulated) -> tuple[Table, ...]:
    """Return the tables of a run on a fleet."""
    return (_whole(found), *breakdown(found))


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
        yield "nobody was ready", f"{_plain(hours)} h ({percent(hours / summary.hours)})", {"hours": hours}
    asked = summary.participations
    words = f"{asked:,} times, {percent(summary.completion)} delivered in time"
    yield "phones asked", words, {"asked": asked, "completion": summary.completion}
    words = f"{summary.updates:,}, {percent(summary.updates_share)} of those wanted"
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
    update_j = summary.energy_j / summary.updates if summary.updates else float("nan")
    words = f"{_joules(summary.participation_j)} for each phone asked"
    words += f", {_joules(update_j)} for each update" if summary.updates else "; there is no update"
    yield "energy of a client-round", words, {"asked_j": summary.participation_j, "update_j": update_j}
    joules, seconds = summary.wasted_j_share, summary.wasted_s_share
    words = f"{percent(joules)} of the energy, {percent(seconds)} of the time at work"
    yield "wasted", words, {"joules_share": joules, "seconds_share": seconds}


def _fairness(course: Course, summary: Summary) -> Iterator[Line]:
    phones, ever, vain = summary.phones, summary.delivered, summary.took_part - summary.delivered
    words = f"{ever:,} of {phones:,} phones ({percent(ever / phones)}), {vain:,} more in vain"
    yield "took part", words, {"delivered": ever, "asked": summary.took_part}
    if summary.never_ready:
        words = f"{summary.never_ready:,} phones ({percent(summary.never_ready / phones)})"
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
    yield from reading_notes(request.opened.report)
    for note in found.plan.notes:
        yield note[:1].upper() + note[1:] + "."
    yield _rules(found)
    more = found.summary.updates - found.summary.updates_wanted
    if more > 0 and not found.buffered:
        yield f"Who delivers at the moment a round ends is counted: {more:,} updates more than were wanted."
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
    if request.begin_h:
        words.append(f"the run begins at {request.begin_h:g} h of the day")
    return "; ".join(words) + "."


_SELECTS = {
    "available": "ready phones at random",
    "fastest": "the ready phones that are expected to be the fastest",
    "oort": "ready phones as Oort chooses them",
}


def _plain(value: float) -> str:
    return "-" if value != value else plain_number(value, 4)


def _in(unit: str, factor: float) -> Callable[[float], str]:
    return lambda joules: "not measured" if joules != joules else f"{plain_number(joules / factor, 4)} {unit}"


_kilojoules, _joules = _in("kJ", 1e3), _in("J", 1.0)
