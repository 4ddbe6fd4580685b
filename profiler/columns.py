"""The columns of a measurement table: names, vocabularies, bounds, and the power they imply."""

import pandas as pd

PROCESSORS = ("cpu", "dsp", "gpu", "npu")
PRECISIONS = ("fp32", "fp16", "bf16", "int16", "int8", "int4")
STAGES = ("sample", "quantize", "transfer", "train", "total", "infer", "idle")
PROVENANCES = ("measured", "published", "inferred", "emulated")

REQUIRED = (
    "device",
    "processor",
    "precision",
    "model",
    "dataset",
    "batch_size",
    "stage",
    "time_ms",
    "energy_mj",
    "source",
)
COLUMNS = (
    "device",
    "soc",
    "processor",
    "precision",
    "model",
    "dataset",
    "batch_size",
    "stage",
    "time_ms",
    "time_ms_std",
    "energy_mj",
    "energy_mj_std",
    "power_idle_mw",
    "batches",
    "runs",
    "conditions",
    "provenance",
    "source",
    "note",
)
KEY = ("device", "processor", "precision", "model", "dataset", "batch_size", "stage", "conditions")

VOCABULARIES = {
    "processor": PROCESSORS,
    "precision": PRECISIONS,
    "stage": STAGES,
    "provenance": PROVENANCES,
}
# Column -> largest value: far beyond any phone, and small enough that no product of them overflows.
REAL = {"time_ms": 1e9, "time_ms_std": 1e9, "energy_mj": 1e12, "energy_mj_std": 1e12, "power_idle_mw": 1e6}
WHOLE = {"batch_size": 10**9, "batches": 10**12, "runs": 10**6}
SHORTEST_MS = 1e-6

# Mean power of a phone while it works. Outside the first band a row is warned about; outside the second a unit
# must be wrong, because every slip of a factor 1,000 from the first band lands there.
PLAUSIBLE_POWER_W = (0.1, 15.0)
POSSIBLE_POWER_W = (0.015, 100.0)


def implied_power_w(table: pd.DataFrame) -> pd.Series:
    """Return energy / time of each row in watts (mJ / ms); missing without both, and for the stage idle."""
    working = (table["stage"] != "idle") & (table["time_ms"] >= SHORTEST_MS)
    return table["energy_mj"] / table["time_ms"].where(working)


def same_conditions(conditions: object) -> str:
    """Return conditions in the form in which they are compared: without case and extra blanks, missing as empty."""
    return " ".join(conditions.casefold().split()) if isinstance(conditions, str) else ""
