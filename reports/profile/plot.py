"""The power of measurements over time, with the phases marked: what a person looks at before believing a number."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from profiler.bundle import write_file
from profiler.campaign.calibration import fixed_gauge, gauge_of_data, samples_of
from profiler.campaign.record import Record, read_raw, read_record
from profiler.campaign.source import KINDS, Source
from profiler.names import did_you_mean, printable
from profiler.power.samples import Array
from reports.figures import SETTINGS, rendered
from reports.profile.campaign import folder_of

_MOST = 200


def plot_campaign(out: Path, names: Sequence[str], picture: Path | None) -> Iterator[str]:
    """Draw measurements of the campaign of ``out`` and yield a line for each file that was written.

    Raises ValueError for an unknown measurement, or if nothing of it can be drawn.
    """
    folder = folder_of(out)
    known = sorted(path.stem for path in (folder / "records").glob("*.json"))
    if not known:
        message = f"{printable(folder, 200)} holds no record of a measurement yet; 'fedjoule profile' writes them"
        raise ValueError(message)
    for name in names:
        if name not in known:
            message = f"measurement {printable(name)!r} is not in {printable(folder, 200)}; {did_you_mean(name, known)}"
            raise ValueError(message)
    chosen = list(names) or known
    if picture is not None and (len(chosen) != 1 or picture.suffix not in (".svg", ".png")):
        message = f"--picture {printable(picture, 100)} must end in .svg or .png, and is of one measurement: name it"
        raise ValueError(message)
    for name in chosen[:_MOST]:
        record = read_record(folder / "records" / f"{name}.json")
        try:
            time_s, power_w = _power(folder, record)
        except ValueError as error:
            if names:
                raise
            yield f"{name}: not drawn, {error}"
            continue
        with mpl.rc_context(SETTINGS):
            svg, png = rendered(power_figure(record, time_s, power_w))
        target = picture or folder / "plots" / f"{name}.svg"
        write_file(target, png if target.suffix == ".png" else svg)
        yield f"wrote {target}"


def power_figure(record: Record, time_s: Array, power_w: Array) -> Figure:
    """Return the picture of a measurement: power at every poll, idle and busy shaded, baseline and mean load drawn."""
    phases = record["phases"]
    begin = phases["start_s"]
    figure = Figure(figsize=(9, 3.4), dpi=144, layout="constrained")
    axis = figure.subplots()
    axis.step(time_s - begin, power_w, where="post", linewidth=0.8, color="#0072b2", label="power at each poll")
    energy = record["energy"] or {}
    if phases["busy_start_s"] is not None and phases["busy_end_s"] is not None:
        start, end = phases["busy_start_s"] - begin, phases["busy_end_s"] - begin
        axis.axvspan(start, end, color="#e69f00", alpha=0.15, linewidth=0, label="workload runs")
        if energy.get("baseline_w") is not None:
            drift = energy.get("baseline_drift_w_per_s") or 0.0
            edges = np.array([0.0, phases["end_s"] - begin])
            line = energy["baseline_w"] + drift * (edges - (start + end) / 2)
            axis.plot(edges, line, color="#8c8c8c", linestyle="--", linewidth=1, label="idle baseline")
            mean = energy["gross_j"] / energy["busy_s"]
            axis.plot([start, end], [mean, mean], color="#d55e00", linewidth=1.2, label=f"mean load {mean:.3g} W")
    axis.set_xlim(0, phases["end_s"] - begin)
    axis.set_ylim(bottom=min(0.0, float(np.nanmin(power_w))))
    axis.set_xlabel("seconds of the device's clock")
    axis.set_ylabel("power (W)")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    emulated = "EMULATED; " if record["provenance"] == "emulated" else ""
    title = f"{emulated}{printable(record['device']['title'], 40)}: {record['measurement']}\n{record['summary']}"
    figure.suptitle(printable(title.replace("\n", " | "), 200).replace(" | ", "\n"), fontsize=8)
    return figure


def _power(folder: Path, record: Record) -> tuple[Array, Array]:
    """Return times and watts of a measurement's record. Raises ValueError if there is nothing to draw."""
    kind = record["source"].get("kind")
    if kind not in KINDS or kind == "none" or record["phases"] is None:
        message = f"{record['measurement']} has no power, only latency"
        raise ValueError(message)
    raw = {}
    for name in ("samples", "dumps", "perfetto"):
        content = read_raw(folder, record["measurement"], name)
        if content is not None:
            raw[name] = content
    source = Source(kind, str(record["source"].get("name", "")), {}, (), dict(record["source"].get("range_uj") or {}))
    samples = samples_of(raw, source)
    gauge = gauge_of_data(record) if record["gauge"] is not None else fixed_gauge(samples)
    power_w = samples.column("current") * gauge.current_a_per_unit * gauge.discharge_sign
    power_w = power_w * samples.column("voltage") * gauge.voltage_v_per_unit
    if not np.isfinite(power_w).any():
        message = f"{record['measurement']} has no readable power"
        raise ValueError(message)
    return samples.time_s, power_w
