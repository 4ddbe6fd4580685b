"""What is in a fleet: who is ready when, on which hardware and networks, and what became of the traces."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from profiler.names import printable
from reports.fleet.habits import Habits
from reports.table import Cell, Column, Table, number, plain_number
from traces.fleet import Fleet
from traces.network import format_rate
from traces.report import Report

Floats = npt.NDArray[np.float64]
MODE = "fleet"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_DAY_S = 86_400.0
_MOST_KINDS = 12
_BAR = 40


def description(fleet: Fleet, report: Report, found: Habits | None) -> tuple[Table, ...]:
    """Return the tables of a fleet; ``found`` are its ``habits``."""
    tables = [_facts(fleet, found)]
    if found is not None:
        tables.append(_hours(fleet, found))
    tables += [_hardware(fleet), _networks(fleet)]
    if report.dropped or report.repaired or report.flags:
        tables.append(report_table(fleet, report))
    return tuple(tables)


def report_table(fleet: Fleet, report: Report) -> Table:
    """Return what a reader dropped, put right and flagged, by reason."""
    kinds = (("dropped", report.dropped), ("put right", report.repaired), ("left, but odd", report.flags))
    rows = [(what, printable(reason, 200), count) for what, counts in kinds for reason, count in counts]
    return Table(
        name="fleet_reading",
        title=f"What became of the traces of {_name(fleet)}",
        mode=MODE,
        units=f"counts; {report.kept:,} phones' traces were kept",
        columns=(Column("what"), Column("why"), Column("count", numeric=True)),
        rows=tuple((Cell(what), Cell(why), Cell(f"{count:,}")) for what, why, count in rows),
        data=pd.DataFrame(rows, columns=["what", "why", "count"]),
        notes=tuple(f"such as {printable(line, 200)}" for line in report.examples),
    )


def _name(fleet: Fleet) -> str:
    return f"the fleet {printable(fleet.name, 60)}"


def _facts(fleet: Fleet, found: Habits | None) -> Table:
    rows = list(_lines(fleet, found))
    return Table(
        name="fleet",
        title=f"{_name(fleet).capitalize()}: {fleet.phones:,} phones",
        mode=MODE,
        units="shares of time; quantiles over phones",
        columns=(Column("what"), Column("value")),
        rows=tuple((Cell(what), Cell(text)) for what, text, _ in rows),
        data=pd.DataFrame(
            [{"what": what, "quantity": name, "value": value} for what, _, values in rows for name, value in values]
        ),
        notes=(printable(fleet.source, 1000), *_sampled(fleet, found)),
    )


def _sampled(fleet: Fleet, found: Habits | None) -> tuple[str, ...]:
    if found is None or found.phones == fleet.phones:
        return ()
    return (f"Times are those of {found.phones:,} phones, drawn at random.",)


def _lines(fleet: Fleet, found: Habits | None) -> Iterator[tuple[str, str, list[tuple[str, float]]]]:
    """Yield what, its value in words, and its values by name."""
    if found is None:
        yield "ready", "always, all phones", [("mean", 1.0)]
        return
    traces = len(np.unique(fleet.trace_of))
    shared = "" if traces == fleet.phones else f", {plain_number(fleet.phones / traces, 3)} phones each"
    yield "traces", f"{traces:,}{shared}", [("count", float(traces))]
    days = _quantiles(found.days, (0.0, 0.5, 1.0))
    least, half, most = (plain_number(value, 3) for value in days)
    one = f"{least} day{'s' * (days[0] != 1)}"
    span = one if days[0] == days[2] else f"{least} to {most} days, median {half}"
    yield "a trace repeats after", span, list(zip(("min_days", "median_days", "max_days"), days, strict=True))
    mean = float(found.duty.mean())
    yield "ready, mean", f"{_percent(mean)} of the time", [("mean", mean)]
    quantiles = _quantiles(found.duty, QUANTILES)
    words = ", ".join(f"{100 * value:.1f}" for value in quantiles)
    words += f" % ({', '.join(f'{100 * share:g}' for share in QUANTILES)} % of the phones)"
    yield "ready, quantiles", words, [(f"q{share:g}", value) for share, value in zip(QUANTILES, quantiles, strict=True)]
    for name, which in (("never ready", found.duty == 0), ("always ready", found.duty == 1)):
        share = float(which.mean())
        yield name, f"{_percent(share)} of the phones", [("share", share)]
    if len(found.stretch_s):
        quantiles = _quantiles(found.stretch_s / 3600, (0.05, 0.5, 0.95))
        words = ", ".join(f"{plain_number(value, 3)} h" for value in quantiles)
        yield "ready at a stretch", f"{words} (5 %, half, 95 %)", [("median_h", quantiles[1])]
        long = int((found.stretch_s > _DAY_S).sum())
        if long:
            share = long / len(found.stretch_s)
            yield "longer than a day", f"{long:,} stretches ({_percent(share)}): gaps in the record?", [("count", long)]
    if found.charging_hours is not None:
        charging = float(np.nanmean(found.charging_hours))
        yield "on a charger, mean", f"{_percent(charging)} of the time", [("mean", charging)]


def _hours(fleet: Fleet, found: Habits) -> Table:
    known = np.nan_to_num(found.hours)
    most = float(known.max()) or 1.0
    lowest, highest = int(np.nanargmin(found.hours)), int(np.nanargmax(found.hours))
    rows = []
    for hour, share in enumerate(found.hours.tolist()):
        bar = "#" * (0 if math.isnan(share) else round(_BAR * share / most))
        rows.append(
            (Cell(f"{hour:02d}-{hour + 1:02d}"), Cell("-" if math.isnan(share) else _percent(share)), Cell(bar))
        )
    return Table(
        name="fleet_hours",
        title="Ready by hour of the day",
        mode=MODE,
        units=f"mean share of the phones; the longest bar is {_percent(most)}",
        columns=(Column("hour"), Column("ready", numeric=True), Column("")),
        rows=tuple(rows),
        data=pd.DataFrame({"fleet": fleet.name, "hour": range(24), "ready_share": found.hours}),
        headline=f"Most phones are ready from {highest} to {highest + 1} h, fewest from {lowest} to {lowest + 1} h.",
    )


def _hardware(fleet: Fleet) -> Table:
    counts = np.bincount(fleet.hardware_of, minlength=len(fleet.hardware))
    order = [int(kind) for kind in np.argsort(-counts, kind="stable") if counts[kind]]
    hardware, socs = fleet.hardware, any(fleet.hardware.socs)
    tiers: Counter[str] = Counter()
    for kind in order:
        tiers[hardware.tiers[kind] or "unknown"] += int(counts[kind])
    rows: list[tuple[Cell, ...]] = [
        (
            Cell(printable(hardware.models[kind], 40) or "unknown"),
            Cell(printable(hardware.socs[kind], 40)),
            Cell(hardware.tiers[kind] or "unknown"),
            number(float(hardware.scores[kind])),
            Cell(f"{counts[kind]:,}"),
            Cell(_percent(counts[kind] / fleet.phones)),
        )
        for kind in order[:_MOST_KINDS]
    ]
    left = order[_MOST_KINDS:]
    if left:
        rest = int(counts[left].sum())
        cells = (f"{len(left):,} other models", "", "", "", f"{rest:,}", _percent(rest / fleet.phones))
        rows.append(tuple(Cell(text) for text in cells))
    shares = ", ".join(f"{tier} {_percent(count / fleet.phones)}" for tier, count in tiers.most_common())
    return Table(
        name="fleet_hardware",
        title=f"Hardware: {len(order):,} kind{'s' * (len(order) > 1)}",
        mode=MODE,
        units="score: of the benchmark that the traces name, higher is faster",
        columns=(
            Column("model"), *([Column("SoC")] if socs else []), Column("tier"), Column("score", numeric=True),
            Column("phones", numeric=True), Column("share", numeric=True),
        ),
        rows=tuple(row if socs else (row[0], *row[2:]) for row in rows),
        data=pd.DataFrame(
            [
                {"model": hardware.models[kind], "soc": hardware.socs[kind], "tier": hardware.tiers[kind],
                 "score": hardware.scores[kind], "phones": int(counts[kind])}
                for kind in order
            ]
        ),
        headline=f"Tiers: {shares}.",
    )  # fmt: skip


def _networks(fleet: Fleet) -> Table:
    network = fleet.network
    counts = np.bincount(fleet.network_of, minlength=network.profiles)
    words = {
        "constant": "constant over time",
        "lognormal": "log-normal, every transfer draws its rate about the phone's mean",
        "trace": "series of rates over time, which repeat",
    }[network.kind]
    rows, data = [], []
    for direction in ("download", "upload"):
        rates: Floats = getattr(network, f"{direction}_bit_per_s")
        cvs: Floats = getattr(network, f"{direction}_cv")
        low, median, high = _weighted(rates, counts, (0.05, 0.5, 0.95))
        mean = float(np.average(rates, weights=counts))
        cv = float(np.average(cvs, weights=counts))
        texts = (direction, *(_rate(value) for value in (mean, low, median, high)), plain_number(cv, 3))
        rows.append(tuple(Cell(text) for text in texts))
        data.append(
            {"direction": direction, "kind": network.kind, "mean_bit_per_s": mean, "q05_bit_per_s": low,
             "median_bit_per_s": median, "q95_bit_per_s": high, "mean_cv": cv}
        )  # fmt: skip
    profiles = int((counts > 0).sum())
    return Table(
        name="fleet_networks",
        title=f"Networks: {profiles:,} profile{'s' * (profiles > 1)}, {words}",
        mode=MODE,
        units="quantiles of phones' mean rates; CV: standard deviation over mean, of one phone's rates",
        columns=(
            Column(""), Column("mean", numeric=True), Column("5 %", numeric=True), Column("half", numeric=True),
            Column("95 %", numeric=True), Column("CV", numeric=True),
        ),
        rows=tuple(rows),
        data=pd.DataFrame(data),
    )  # fmt: skip


def _rate(bit_per_s: float) -> str:
    return format_rate(float(f"{bit_per_s:.3g}"))


def _weighted(values: Floats, weights: npt.NDArray[np.int64], shares: Iterable[float]) -> list[float]:
    """Return quantiles of values that each stand for ``weights`` phones."""
    order = np.argsort(values, kind="stable")
    passed = np.cumsum(weights[order])
    return [float(values[order][np.searchsorted(passed, share * passed[-1])]) for share in shares]


def _quantiles(values: Floats, shares: tuple[float, ...]) -> list[float]:
    return [float(value) for value in np.quantile(values, shares)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
