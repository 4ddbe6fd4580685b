"""Calibration: stage times, link basis and power split from a batch-size sweep with overlap on and off.

Weighted least squares on the period law itself, so that overlapped rows count for what they bind on. What the rows
cannot tell apart shows as a null direction of the Jacobian: it is named, with the run that would settle it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import t as student

from costmodel import period
from costmodel.observation import Measured, Observation
from costmodel.scenario import Link, Scenario, StageTimes, pipeline_of

Array = NDArray[np.float64]
UNKNOWNS = ("sample", "quantize", "train", "link", "link call", "train call", "link round")
_ABOUT = {
    "sample": "sampling, per sample",
    "quantize": "quantizing, per sample",
    "train": "training, per sample",
    "link": "transfer, per sample",
    "link call": "transfer, per call",
    "train call": "training, per call",
    "link round": "transfer, per round",
}
_RUNS: tuple[tuple[str, str], ...] = (
    ("sample", "sampling alone (stage sample)"),
    ("quantize", "quantizing alone (stage quantize)"),
    ("empty call", "an empty accelerator call (stage transfer, conditions 'empty call')"),
    ("sequential", "overlap off at another batch size"),
    ("overlapped", "overlap on at another batch size"),
    ("transfer", "the transfer alone (stage transfer)"),
    ("train", "training alone (stage train)"),
)
_SHORTER = "overlap off with a tenth of the batches in a run"
_NULL = 1e-6
_AS_GOOD = 1.92  # half of the 95 % quantile of chi-squared with one degree of freedom
_SAME = 0.01  # of a typical size: fits nearer than this are one


@dataclass(frozen=True)
class Fitted:
    """One fitted number with its 95 % confidence interval.

    ``known`` is False where the rows do not determine it; ``assumed`` is whether it is known only if training is the
    longest stage, because the rows fit as well when stages change roles.
    """

    name: str
    about: str
    unit: str
    value: float
    half_width: float | None
    known: bool
    assumed: bool = False


@dataclass(frozen=True)
class Calibration:
    """A calibrated scenario, its numbers, and what is left open.

    ``open`` names groups of numbers that the rows cannot tell apart, ``runs`` the runs that would, in order of use.
    ``rms_error_pct`` is the fit's own, on the rows it was made from.
    """

    scenario: Scenario
    fitted: tuple[Fitted, ...]
    open: tuple[tuple[str, ...], ...]
    runs: tuple[str, ...]
    rms_error_pct: float
    rows: int


def calibrate(measured: Measured, base: Scenario) -> Calibration:
    """Return the calibration of ``base``, which gives topology, workload and payload. Raises ValueError for no rows.

    A transfer cost per round is taken to be 0 unless runs of two lengths, or an empty call, tell it from one per call.
    """
    rows = [each for each in measured.observations if each.kind != "idle"]
    if not rows:
        message = "there is no timed row to calibrate from"
        raise ValueError(message)
    scale, free_unknowns = _scale(rows), _free(rows)
    theta, others = _fit(rows, base, free_unknowns)
    jacobian = _jacobian(rows, base, theta)
    cov, null = _uncertainty(jacobian * scale)
    per_round = UNKNOWNS.index("link round")
    if free_unknowns[per_round] and np.abs(null[:, per_round]).max(initial=0.0) > 1e-3:
        free_unknowns[per_round] = False  # of what looks alike, the simpler: a cost per call, none per round
        theta, others = _fit(rows, base, free_unknowns)
    residual = _residuals(theta, rows, base)
    free = max(len(rows) - int(np.linalg.matrix_rank(jacobian * scale, tol=None)), 0)
    spread = max(1.0, float(residual @ residual) / free) if free else 1.0
    quantile = float(student.ppf(0.975, free)) if free else float("nan")
    fitted = []
    for place, name in enumerate(UNKNOWNS):
        known = bool(np.abs(null[:, place]).max(initial=0.0) < 1e-3)
        error = float(np.sqrt(cov[place, place] * spread) * scale[place])
        half = quantile * error if free and known else None
        per = "ms/sample" if name in ("sample", "quantize", "train", "link") else "ms"
        assumed = known and any(abs(other[place] - theta[place]) > _SAME * scale[place] for other in others)
        fitted.append(Fitted(name, _ABOUT[name], per, float(theta[place]), half, known, assumed))
    scenario = _scenario(theta, base, measured, {each.name: each for each in fitted})
    predicted = np.array([predict(each, scenario) for each in rows])
    observed = np.array([each.time_ms for each in rows])
    return Calibration(
        scenario=scenario,
        fitted=tuple(fitted),
        open=_groups(null),
        runs=tuple(
            dict.fromkeys(
                (
                    *_settling_runs(rows, base, theta, scale, null),
                    *_deciding_runs(rows, base, theta, others),
                )
            )
        ),
        rms_error_pct=float(100 * np.sqrt(np.mean((predicted / observed - 1) ** 2))),
        rows=len(rows),
    )


def predict(row: Observation, scenario: Scenario) -> float:
    """Return the ms that ``scenario`` says for an observation.

    Overlapped: the period, or with a stated number of batches the mean over that run, which fills the pipeline first.
    """
    if row.kind == "empty call":
        return scenario.link.call_ms + scenario.stage.train_call_ms
    batches = row.batches or 0
    link = scenario.link
    spread = replace(link, call_ms=link.call_ms + (link.round_ms / batches if batches else 0.0), round_ms=0.0)
    pipeline = pipeline_of(replace(scenario, batch_size=row.batch_size, link=spread))
    if row.kind == "overlapped":
        return period.makespan_ms(pipeline, batches) / batches if batches else period.overlapped(pipeline).period_ms
    if row.kind == "sequential":
        return pipeline.sequential_ms
    times: Mapping[str, float] = vars(pipeline)
    return float(times[f"{row.kind}_ms"])


def _with(theta: Sequence[float] | Array, base: Scenario) -> Scenario:
    """Return the base scenario with the unknowns filled in, at reference batch size 1."""
    sample, quantize, train, link, call, train_call, per_round = (float(value) for value in theta)
    stage = StageTimes(
        reference_batch_size=1, sample_ms=sample, quantize_ms=quantize, train_ms=train, train_call_ms=train_call
    )
    payload = base.link.bytes_per_sample or 1.0
    moved = Link(
        call_ms=call,
        round_ms=per_round,
        bytes_per_s=1e3 * payload / link if link > 1e-12 else None,
        bytes_per_sample=payload if link > 1e-12 else 0.0,
        holds=base.link.holds,
        duplex=base.link.duplex,
    )
    return replace(base, stage=stage, link=moved)


def _residuals(theta: Array, rows: Sequence[Observation], base: Scenario) -> Array:
    scenario = _with(theta, base)
    return np.array([(predict(row, scenario) - row.time_ms) / row.error_ms for row in rows])


def _scale(rows: Sequence[Observation]) -> Array:
    """Return a typical size of every unknown, so that null directions are judged on one scale."""
    per_sample = max((row.time_ms / row.batch_size for row in rows if row.batch_size), default=1.0)
    whole = float(np.median([row.time_ms for row in rows]))
    return np.array([per_sample] * 4 + [whole, whole, whole])


def _fit(rows: Sequence[Observation], base: Scenario, free: NDArray[np.bool_]) -> tuple[Array, list[Array]]:
    """Return the best fit, and others that fit as well: the maximum in the period law makes more than one valley.

    Stages can change roles (a slow link looks like slow training), so every start is tried in all roles. Of fits that
    the rows cannot tell apart, the one with the longest training is taken.
    """
    scale = _scale(rows)

    def residuals(values: Array) -> Array:
        return _residuals(_spread(values, free), rows, base)

    fits: list[tuple[float, Array]] = []
    for start in _starts(scale):
        found = least_squares(residuals, start[free], bounds=(0, np.inf), x_scale=scale[free], xtol=1e-12, ftol=1e-12)
        fits.append((float(found.cost), _spread(found.x, free)))
    lowest = min(cost for cost, _ in fits)
    good = [theta for cost, theta in fits if cost <= lowest + _AS_GOOD]
    best = max(good, key=lambda theta: float(theta[UNKNOWNS.index("train")]))
    return best, [theta for theta in good if (np.abs(theta - best) > _SAME * scale).any()]


def _starts(scale: Array) -> list[Array]:
    """Return where fits start: one slow stage, which is training, the link or the CPU in turn, with two call costs."""
    slow, fast = 0.6, 0.05
    starts = []
    for sample, quantize, train, link in (
        (fast, fast, slow, fast),
        (fast, fast, fast, slow),
        (fast, slow, fast, fast),
        (slow, fast, fast, fast),
        (0.2, 0.2, 0.3, 0.3),
    ):
        for call, train_call in ((0.1, 0.02), (0.02, 0.1)):
            starts.append(np.array([sample, quantize, train, link, call, train_call, 0.02]) * scale)
    return starts


def _deciding_runs(
    rows: Sequence[Observation], base: Scenario, theta: Array, others: Sequence[Array]
) -> tuple[str, ...]:
    """Return the run that the fits disagree on most clearly, if there are others that fit as well."""
    chosen = []
    size = max(row.batch_size for row in rows)
    for kind, words in _RUNS:
        if kind in ("sequential", "overlapped") or not others:
            continue
        row = Observation(kind, 0 if kind == "empty call" else size, None, 1.0, 1.0)  # type: ignore[arg-type]
        mine = predict(row, _with(theta, base))
        apart = [abs(predict(row, _with(other, base)) - mine) > 0.1 * max(mine, 1e-9) for other in others]
        if all(apart):
            chosen.append(words)
    return tuple(chosen[:1])


def _free(rows: Sequence[Observation]) -> NDArray[np.bool_]:
    """Return which unknowns are fitted: a cost per round only where every run says how many batches it had."""
    stated = all(row.batches for row in rows if row.kind in ("overlapped", "sequential"))
    return np.array([name != "link round" or stated for name in UNKNOWNS])


def _spread(values: Array, free: NDArray[np.bool_]) -> Array:
    whole = np.zeros(len(free))
    whole[free] = values
    return whole


def _jacobian(rows: Sequence[Observation], base: Scenario, theta: Array) -> Array:
    """Return d residual / d unknown by central differences, to where all are above 0."""
    step = 1e-5 * _scale(rows)
    columns = []
    for place in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[place] += step[place]
        down[place] = max(down[place] - step[place], 0.0)
        columns.append((_residuals(up, rows, base) - _residuals(down, rows, base)) / (up[place] - down[place]))
    return np.column_stack(columns)


def _uncertainty(scaled: Array) -> tuple[Array, Array]:
    """Return the covariance (scaled unknowns) and the null directions, of shape (directions, unknowns)."""
    _, singular, directions = np.linalg.svd(scaled, full_matrices=True)
    strength = np.zeros(directions.shape[0])
    strength[: len(singular)] = singular
    kept = strength > _NULL * max(float(strength.max()), 1e-300)
    inverse = np.where(kept, 1 / np.where(kept, strength, 1.0) ** 2, 0.0)
    return (directions.T * inverse) @ directions, directions[~kept]


def _groups(null: Array) -> tuple[tuple[str, ...], ...]:
    """Return the unknowns that only together are known: those coupled by the projection on the null space."""
    coupled = np.abs(null.T @ null) > 1e-3
    groups: list[tuple[str, ...]] = []
    for place in range(len(UNKNOWNS)):
        if coupled[place, place]:
            group = tuple(UNKNOWNS[other] for other in np.flatnonzero(coupled[place]))
            if group not in groups:
                groups.append(group)
    return tuple(groups)


def _settling_runs(
    rows: Sequence[Observation], base: Scenario, theta: Array, scale: Array, null: Array
) -> tuple[str, ...]:
    """Return the runs that determine what is open, each chosen because it leaves the fewest null directions."""
    have, chosen = list(rows), []
    left = len(null)
    sizes = sorted({row.batch_size for row in rows if row.batch_size}) or [1]
    lengths = [row.batches for row in rows if row.batches] or [100]
    while left:
        options: list[tuple[int, str, list[Observation]]] = []
        for kind, words in _RUNS:
            for size in (sizes[-1] * 2, max(1, sizes[0] // 2)):
                row = Observation(kind, 0 if kind == "empty call" else size, None, 1.0, 0.01)  # type: ignore[arg-type]
                options.append((_open(have, row, base, theta, scale), words, [row]))
        row = Observation("sequential", sizes[-1], max(1, min(lengths) // 10), 1.0, 0.01)
        options.append((_open(have, row, base, theta, scale), _SHORTER, [row]))
        fewest, words, more = min(options, key=lambda option: option[0])
        if fewest >= left:
            break
        left = fewest
        have += more
        chosen.append(words)
    return tuple(dict.fromkeys(chosen))


def _open(rows: Sequence[Observation], more: Observation, base: Scenario, theta: Array, scale: Array) -> int:
    inside = np.maximum(theta, 1e-3 * scale)  # away from 0, where a claim that could bind does not
    return len(_uncertainty(_jacobian([*rows, more], base, inside) * scale)[1])


def _scenario(theta: Array, base: Scenario, measured: Measured, fitted: Mapping[str, Fitted]) -> Scenario:
    """Return the calibrated scenario at the largest measured batch size, each number with where it is from."""
    size = max(row.batch_size for row in measured.observations)
    found = _with(theta, base)
    grows = ("sample", "quantize", "train")
    stage: dict[str, Any] = {f"{name}_ms": float(theta[UNKNOWNS.index(name)]) * size for name in grows}
    origin = {name: _origin(each) for name, each in fitted.items()}
    origins = dict(base.origins) | {
        "stage.reference_batch_size": "calibrated",
        **{f"stage.{name}_ms": origin[name] for name in grows},
        "stage.train_call_ms": origin["train call"],
        "link.call_ms": origin["link call"],
        "link.round_ms": origin["link round"],
        "link.bytes_per_s": origin["link"],
        "link.bytes_per_sample": "given" if base.link.bytes_per_sample else "not measured: 1 stands for the payload",
    }
    return replace(
        found,
        stage=replace(found.stage, reference_batch_size=size, **stage),
        device=measured.device,
        model=measured.model,
        dataset=measured.dataset,
        origins=tuple(origins.items()),
    )


def _origin(fitted: Fitted) -> str:
    if not fitted.known:
        return "calibrated, not identifiable: one of many that fit"
    return "calibrated, if training is the longest stage" if fitted.assumed else "calibrated"
