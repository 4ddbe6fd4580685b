"""Validation: what a scenario predicts beside what was measured, on rows that it was not made from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costmodel.calibrate import calibrate
from costmodel.design import predict
from costmodel.observation import Measured, Observation
from costmodel.scenario import Scenario


@dataclass(frozen=True)
class Compared:
    """A measured and a predicted time."""

    row: Observation
    predicted_ms: float

    @property
    def error_pct(self) -> float:
        """Predicted minus measured in % of measured."""
        return 100 * (self.predicted_ms / self.row.time_ms - 1)


def validate(measured: Measured, scenario: Scenario) -> tuple[Compared, ...]:
    """Return every timed row beside what a given scenario predicts."""
    return tuple(Compared(row, predict(row, scenario)) for row in _timed(measured))


def cross_validate(measured: Measured, base: Scenario) -> tuple[Compared, ...]:
    """Return every row of the sweep predicted from a calibration without its batch size, one size after the other.

    Raises ValueError for fewer than three batch sizes, because a line needs two.
    """
    rows = [row for row in _timed(measured) if row.kind in ("overlapped", "sequential")]
    sizes = sorted({row.batch_size for row in rows})
    if len(sizes) < 3:
        message = f"held-out rows need at least 3 batch sizes (got {len(sizes)}); measure more, or give --scenario"
        raise ValueError(message)
    compared = []
    for size in sizes:
        kept = tuple(row for row in measured.observations if row.batch_size != size)
        scenario = calibrate(Measured(measured.device, measured.model, measured.dataset, kept), base).scenario
        compared += [Compared(row, predict(row, scenario)) for row in rows if row.batch_size == size]
    return tuple(compared)


@dataclass(frozen=True)
class ErrorSummary:
    """Signed mean (bias), mean size and worst of errors in %."""

    mean_pct: float
    mean_size_pct: float
    worst_pct: float


def error_summary(compared: Sequence[Compared]) -> ErrorSummary:
    """Return the summary of the errors of at least one compared row."""
    errors = np.array([each.error_pct for each in compared])
    return ErrorSummary(float(errors.mean()), float(np.abs(errors).mean()), float(errors[int(np.abs(errors).argmax())]))


def _timed(measured: Measured) -> list[Observation]:
    return [row for row in measured.observations if row.kind != "idle"]
