"""Makes the small tables of ``experiments/results`` from finished runs.

    python experiments/collect.py femnist [--runs runs] [--every 15]

``EXPERIMENT_curves.csv`` has one row for each judged round that is a multiple of --every, configuration and seed;
``EXPERIMENT_summary.csv`` one for each configuration: over its seeds, accuracy at the end, rounds to converge by the
stated rule (``fl_sim.converged``: window 5, margin 1 point; "+" if a seed was still rising), and bytes a client-round.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from fl_sim.converged import Rule, converged, curve
from fl_sim.finished import read_run

HERE = Path(__file__).parent
CURVE = ["round", "int8_accuracy", "fp32_accuracy", "share_above_half_lsb", "share_changed", "share_saturated"]
LAST = 5  # judged rounds that make the accuracy at the end


def collected(runs: list[Path], every: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the curves and, for each run, its end."""
    curves, ends = [], []
    for path in runs:
        name, _, seed = path.name.rpartition("-")
        run = read_run(path)
        judged = run.rounds[run.rounds.fp32_accuracy.notna()]
        some = judged[(judged["round"] % every == 0)][CURVE].round(4)
        some.insert(0, "seed", int(seed))
        some.insert(0, "config", name)
        curves.append(some)
        of_phone = judged.int8_accuracy if judged.int8_accuracy.notna().all() else judged.fp32_accuracy
        clients, ended = run.clients, converged(curve(run), Rule())
        ends.append(
            {
                "config": name,
                "method": run.config.method,
                "seed": int(seed),
                "rounds": run.config.rounds,
                "end_pct": 100 * of_phone.tail(LAST).mean(),
                "best_pct": 100 * of_phone.max(),
                "converged": ended.round,
                "rising": ended.rising,
                "end_fp32_pct": 100 * judged.fp32_accuracy.tail(LAST).mean(),
                "download_bytes": clients.download_bytes.mean(),
                "upload_bytes": clients.upload_bytes.mean(),
                "above_half_lsb_pct": 100 * run.rounds.share_above_half_lsb.mean(),
                "changed_pct": 100 * run.rounds.share_changed.mean(),
            }
        )
    return pd.concat(curves, ignore_index=True), pd.DataFrame(ends)


def summary(ends: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each configuration: means over seeds, and the spread of the accuracy at the end."""
    rows = []
    for name, group in ends.groupby("config", sort=True):
        spread = group.end_pct.std(ddof=1) if len(group) > 1 else np.nan
        first = group.iloc[0]
        rows.append(
            {
                "config": name, "method": first.method, "seeds": len(group), "rounds": first.rounds,
                "end_pct": round(group.end_pct.mean(), 2), "end_sd": round(spread, 2),
                "best_pct": round(group.best_pct.mean(), 2),
                "rounds_to_converge": f"{group.converged.median():g}{'+' * bool(group.rising.any())}",
                "end_fp32_pct": round(group.end_fp32_pct.mean(), 2),
                "download_bytes": int(first.download_bytes), "upload_bytes": int(first.upload_bytes),
                "above_half_lsb_pct": round(group.above_half_lsb_pct.mean(), 3),
                "changed_pct": round(group.changed_pct.mean(), 3),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--every", type=int, default=15)
    asked = parser.parse_args()
    runs = sorted(path.parent for path in (asked.runs / asked.experiment).glob("*/manifest.json"))
    curves, ends = collected(runs, asked.every)
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    curves.to_csv(results / f"{asked.experiment}_curves.csv", index=False)
    table = summary(ends)
    table.to_csv(results / f"{asked.experiment}_summary.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
