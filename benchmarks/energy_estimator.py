"""How far each way to compute a load's energy is off, on simulated gauges; the table and figure of measuring_energy.md.

Run from the repository root: python benchmarks/energy_estimator.py [runs]. It prints the tables and writes
docs/background/measuring_energy.svg.
"""

import sys
import time
from pathlib import Path

import numpy as np

from profiler.power.energy import combine, measure_energy
from profiler.power.gauge import Gauge
from profiler.power.simulated import GaugeModel, PowerTrace, simulate

FIGURE = Path(__file__).parents[1] / "docs" / "background" / "measuring_energy.svg"
LENGTHS = [(0.25, 5), (1.0, 5), (1.0, 30), (1.0, 120), (1.5, 5), (10.0, 30), (10.0, 120)]
PERIODS = (0.1, 0.175, 0.25, 0.5, 1.0)


def errors(model: GaugeModel, busy_s: float | None, runs: int) -> dict[str, np.ndarray]:
    """Return relative errors in percent of net energy, by way; whether the truth is inside; and half widths."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[float]] = {"naive": [], "ours": [], "gross": [], "inside": [], "half": [], "five": []}
    idle_s = max(20.0, 20 * model.period_s)
    energies, truths = [], []
    for _ in range(runs):
        end_s = idle_s + (busy_s if busy_s is not None else rng.uniform(30, 32))
        trace = PowerTrace(start_s=idle_s, end_s=end_s)
        gauge = Gauge(1e-6, 1e-6, 1e-6, model.sign, model.period_s)
        energy = measure_energy(simulate(trace, model, rng), gauge, trace.start_s, trace.end_s)
        energies.append(energy)
        truths.append(trace.net_j)
        rows["naive"].append(100 * (energy.naive_net_j / trace.net_j - 1))
        rows["ours"].append(100 * (energy.net_j / trace.net_j - 1))
        rows["gross"].append(100 * (energy.gross_j / trace.gross_j - 1))
        rows["inside"].append(100.0 * (abs(energy.net_j - trace.net_j) <= energy.net_half_width_j))
        rows["half"].append(100 * energy.net_half_width_j / trace.net_j)
    for first in range(0, runs - 4, 5):
        five = range(first, first + 5)
        ratios = [energies[i].net_j / truths[i] for i in five]
        widths = [energies[i].net_half_width_j / truths[i] for i in five]
        rows["five"].append(100 * (combine(ratios, widths).mean - 1))
    return {name: np.array(values) for name, values in rows.items()}


def pair(values: np.ndarray) -> str:
    return f"{values.mean():+6.1f} ± {values.std():3.1f} %"


def draw() -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    trace = PowerTrace(start_s=5, end_s=13, ripple_w=0)
    samples = simulate(trace, GaugeModel(period_s=1.5, noise=0.03), np.random.default_rng(8), record_s=20)
    shown = -samples.columns["current"] * samples.columns["voltage"] * 1e-12
    with mpl.rc_context({"svg.hashsalt": "measuring_energy", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(7, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 5, 5, 13, 13, 20], [0.9, 0.9, 5.2, 5.2, 0.9, 0.9], color="black", label="true power")
        axes.step(samples.time_s, shown, where="post", color="tab:blue", label="shown by the gauge, new every 1.5 s")
        after = samples.time_s >= 13
        axes.fill_between(
            samples.time_s[after],
            0.9,
            shown[after],
            step="post",
            alpha=0.3,
            label="after the end: the naive sum misses it",
        )
        axes.axvspan(5, 13, color="0.93", zorder=0, label="the load runs")
        axes.set(xlabel="time (s)", ylabel="power (W)", ylim=(0, 8), xlim=(0, 20))
        axes.legend(loc="upper left", ncols=2, fontsize="small", frameon=False)
        figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})
        if len(sys.argv) > 2:
            figure.savefig(sys.argv[2])


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"net energy against the truth, mean ± standard deviation of {runs} runs (idle 0.9 W, load 5.2 W)")
    print("period   load   naive trapezoid     ours               inside   half width")
    for period_s, busy_s in LENGTHS:
        found = errors(GaugeModel(period_s=period_s), busy_s, runs)
        naive, ours = pair(found["naive"]), pair(found["ours"])
        inside, half = found["inside"].mean(), found["half"].mean()
        print(f"{period_s:5.2f} s {busy_s:4d} s {naive} {ours} {inside:8.1f} % {half:6.1f} %")
    print("\nthe default plan: 20 s idle, 30 to 32 s load, 20 s idle")
    print("period   kind      net                gross              inside  half width  mean of five within 1 %")
    begin = time.perf_counter()
    for kind in ("average", "instant"):
        for period_s in PERIODS:
            found = errors(GaugeModel(period_s=period_s, kind=kind, lag_s=period_s / 2), None, runs)
            close = 100 * np.mean(np.abs(found["five"]) < 1)
            print(
                f"{period_s:5.3f} s  {kind:8s} {pair(found['ours'])} {pair(found['gross'])} "
                f"{found['inside'].mean():7.1f} % {found['half'].mean():7.1f} % {close:14.0f} %"
            )
    each_ms = 1000 * (time.perf_counter() - begin) / (runs * 2 * len(PERIODS))
    print(f"{each_ms:.1f} ms per simulated run")
    draw()


if __name__ == "__main__":
    main()
