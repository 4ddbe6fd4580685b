"""The design of a calibration: what every observed time is as a function of the unknowns.

The period law is the largest of linear terms, so an observed time is  first @ unknowns + beta * max(claims @ unknowns):
linear for a stage measured alone and for a sequential run, piecewise linear for an overlapped one. The coefficients are
read off the pipeline itself, unknown by unknown, so that there is one model and not two.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from costmodel import period
from costmodel.observation import Observation
from costmodel.scenario import Scenario, pipeline_of
from costmodel.spans import Array

UNKNOWNS = ("sample", "quantize", "train", "link", "link call", "train call", "link round")
# The parameters of a scenario that a calibration finds.
FITTED = (
    *(f"stage.{name}_ms" for name in ("sample", "quantize", "quantize_dsp", "train", "train_call")),
    *("stage.reference_batch_size", "link.call_ms", "link.bytes_per_s", "link.round_ms"),
)


@dataclass(frozen=True)
class Design:
    """Coefficients of every row: ``first`` (rows, 1 + unknowns), ``claims`` (rows, claims, 1 + unknowns), ``beta``.

    The first coefficient is the constant, which is what the base scenario fixes (results that return).
    """

    first: Array
    claims: Array
    beta: Array
    observed_ms: Array
    error_ms: Array

    def predict(self, theta: Array) -> Array:
        """Return the ms of every row for the unknowns ``theta``."""
        whole = np.concatenate(([1.0], theta))
        return np.asarray(self.first @ whole + self.beta * (self.claims @ whole).max(axis=1))

    def binding(self, theta: Array) -> NDArray[np.intp]:
        """Return which claim is the largest in every row."""
        return np.asarray((self.claims @ np.concatenate(([1.0], theta))).argmax(axis=1))

    def rows_of(self, binding: NDArray[np.intp]) -> Array:
        """Return the coefficients (rows, 1 + unknowns) when the given claims bind."""
        chosen = self.claims[np.arange(len(binding)), binding]
        return np.asarray(self.first + self.beta[:, None] * chosen)

    def jacobian(self, theta: Array) -> Array:
        """Return d residual / d unknown, each row divided by its error, at ``theta``."""
        return np.asarray(self.rows_of(self.binding(theta))[:, 1:] / self.error_ms[:, None])

    def residuals(self, theta: Array) -> Array:
        """Return predicted minus observed, each divided by its error."""
        return np.asarray((self.predict(theta) - self.observed_ms) / self.error_ms)


def design_of(rows: Sequence[Observation], base: Scenario) -> Design:
    """Return the design of the rows. Raises ValueError where the base's pipeline is contended."""
    if pipeline_of(with_unknowns(np.ones(len(UNKNOWNS)), base)).contended:
        message = "calibration needs a pipeline without contention; give another link.holds, link.duplex or cpu_threads"
        raise ValueError(message)
    if base.link.model_bytes or base.link.return_bytes:
        names = "link.model_bytes and link.return_bytes"
        message = f"{names} cannot be calibrated: they look like a cost per call and link.return_ms; set them to 0"
        raise ValueError(message)
    zero = np.zeros(len(UNKNOWNS))
    points = [zero, *np.eye(len(UNKNOWNS))]
    tables = [[_terms(row, with_unknowns(point, base)) for row in rows] for point in points]
    width = max(len(claims) for _, claims, _ in tables[0])
    first = np.array([[table[number][0] for table in tables] for number in range(len(rows))])
    claims = np.array(
        [
            [[(table[number][1] + [0.0] * width)[claim] for table in tables] for claim in range(width)]
            for number in range(len(rows))
        ]
    )
    first[:, 1:] -= first[:, :1]
    claims[:, :, 1:] -= claims[:, :, :1]
    return Design(
        first=first,
        claims=claims,
        beta=np.array([beta for _, _, beta in tables[0]]),
        observed_ms=np.array([row.time_ms for row in rows]),
        error_ms=np.array([row.error_ms for row in rows]),
    )


def with_unknowns(theta: Sequence[float] | Array, base: Scenario) -> Scenario:
    """Return the base scenario with the unknowns filled in, per sample and call, at reference batch size 1."""
    sample, quantize, train, link, call, train_call, per_round = (float(value) for value in theta)
    stage = replace(
        base.stage,
        reference_batch_size=1,
        sample_ms=sample,
        quantize_ms=quantize,
        quantize_dsp_ms=quantize if base.quantize_on == "dsp" else None,
        train_ms=train,
        train_call_ms=train_call,
    )
    payload = base.link.bytes_per_sample or 1.0  # 1 stands for a payload that nobody stated
    moves = link > 1e-12
    moved = replace(
        base.link,
        call_ms=call,
        round_ms=per_round,
        bytes_per_s=1e3 * payload / link if moves else None,
        bytes_per_sample=payload if moves else 0.0,
    )
    return replace(base, stage=stage, link=moved)


def predict(row: Observation, scenario: Scenario) -> float:
    """Return the ms that ``scenario`` says for an observation.

    Overlapped: the period, or with a stated number of batches the mean over that run, which fills the pipeline first.
    """
    first, claims, beta = _terms(row, scenario)
    return first + beta * max(claims)


def _terms(row: Observation, scenario: Scenario) -> tuple[float, list[float], float]:
    """Return (first, claims, beta) of a row under a scenario: its time is first + beta * max(claims)."""
    if row.kind == "empty call":
        return scenario.link.call_ms + scenario.stage.train_call_ms / scenario.clock.dsp, [0.0], 0.0
    batches = row.batches or 0
    link = scenario.link
    spread = link.round_ms / batches * link.batches_per_call if batches else 0.0
    own = replace(scenario, batch_size=row.batch_size, link=replace(link, call_ms=link.call_ms + spread, round_ms=0.0))
    pipeline = pipeline_of(own)
    if row.kind == "overlapped":
        claims = list(period.overlapped(pipeline).claims_ms.values())
        return (pipeline.sequential_ms / batches, claims, 1 - 1 / batches) if batches else (0.0, claims, 1.0)
    if row.kind == "sequential":
        return pipeline.sequential_ms, [0.0], 0.0
    return float(getattr(pipeline, f"{row.kind}_ms")), [0.0], 0.0
