"""Calibration: stage times and link basis from a batch-size sweep with overlap on and off.

Weighted least squares on the period law itself, so that overlapped rows count for what they bind on. What the rows
cannot tell apart shows as a null direction of the Jacobian, or as another fit that is as good: it is named, with the
run that would settle it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls
from scipy.stats import t as student

from costmodel.design import UNKNOWNS, Design, design_of, predict, with_unknowns
from costmodel.observation import Kind, Measured, Observation
from costmodel.scenario import POOR_FIT, Scenario
from costmodel.spans import Array

_ABOUT = {
    "sample": "sampling, per sample",
    "quantize": "quantizing, per sample",
    "train": "training, per sample",
    "link": "transfer, per sample",
    "link call": "transfer, per call",
    "train call": "training, per call",
    "link round": "transfer, per round",
}
_RUNS: tuple[tuple[Kind, str], ...] = (
    ("sample", "sampling alone (stage sample)"),
    ("quantize", "quantizing alone (stage quantize)"),
    ("empty call", "an empty accelerator call (stage transfer, conditions 'empty call')"),
    ("sequential", "overlap off at batch size {}"),
    ("overlapped", "overlap on at batch size {}"),
    ("transfer", "the transfer alone (stage transfer)"),
    ("train", "training alone (stage train)"),
)
_NULL = 1e-6
_AS_GOOD = 1.92  # half of the 95 % quantile of chi-squared with one degree of freedom
_SAME = 0.01  # of a typical size: fits nearer than this are one
_POOR = 10.0  # chi-squared per degree of freedom
_MOST_SWITCHES = 12


@dataclass(frozen=True)
class Fitted:
    """One fitted number with its 95 % confidence interval, None where there are no more rows than numbers.

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
    ``rms_error_pct`` is the fit's own, on the rows it was made from; ``poor`` is whether that is far more than the
    rows' own spread, so that the model does not hold for them.
    """

    scenario: Scenario
    fitted: tuple[Fitted, ...]
    open: tuple[tuple[str, ...], ...]
    runs: tuple[str, ...]
    rms_error_pct: float
    rows: int
    poor: bool


def calibrate(measured: Measured, base: Scenario) -> Calibration:
    """Return the calibration of ``base``, which gives topology, workload, payload and what returns.

    A transfer cost per round is taken to be 0 unless runs of two lengths, or an empty call, tell it from one per call.
    Raises ValueError for no rows, or a contended topology.
    """
    rows = [each for each in measured.observations if each.kind != "idle"]
    if not rows:
        message = "there is no timed row to calibrate from"
        raise ValueError(message)
    design, scale, fitted_unknowns = design_of(rows, base), _scale(rows), _free(rows)
    theta, others = _fit(design, scale, fitted_unknowns)
    jacobian = design.jacobian(theta)
    cov, null = uncertainty(jacobian * scale)
    per_round = UNKNOWNS.index("link round")
    if fitted_unknowns[per_round] and np.abs(null[:, per_round]).max(initial=0.0) > 1e-3:
        fitted_unknowns[per_round] = False  # of what looks alike, the simpler: a cost per call, none per round
        theta, others = _fit(design, scale, fitted_unknowns)
    theta = np.where(theta > 1e-9 * scale, theta, 0.0)
    # What another fit that is as good leaves free is not known either.
    loose = [np.abs(uncertainty(design.jacobian(other) * scale)[1]).max(axis=0, initial=0.0) > 1e-3 for other in others]
    residual = design.residuals(theta)
    free = max(len(rows) - (len(UNKNOWNS) - len(null)), 0)
    spread = float(residual @ residual) / free if free else 1.0
    quantile = float(student.ppf(0.975, free)) if free else float("nan")
    fitted = []
    for place, name in enumerate(UNKNOWNS):
        known = bool(np.abs(null[:, place]).max(initial=0.0) < 1e-3 and fitted_unknowns[place])
        error = float(np.sqrt(cov[place, place] * max(1.0, spread)) * scale[place])
        half = quantile * error if free and known else None
        per = "ms/sample" if name in ("sample", "quantize", "train", "link") else "ms"
        assumed = known and any(
            abs(other[place] - theta[place]) > _SAME * scale[place] or free_in[place]
            for other, free_in in zip(others, loose, strict=True)
        )
        fitted.append(Fitted(name, _ABOUT[name], per, float(theta[place]), half, known, assumed))
    runs = (*_settling_runs(rows, base, theta, scale, null), *_deciding_runs(rows, base, theta, others))
    poor = spread > _POOR
    return Calibration(
        scenario=_scenario(theta, base, measured, fitted, poor=poor),
        fitted=tuple(fitted),
        open=_groups(null),
        runs=tuple(dict.fromkeys(runs)),
        rms_error_pct=float(100 * np.sqrt(np.mean((design.predict(theta) / design.observed_ms - 1) ** 2))),
        rows=len(rows),
        poor=poor,
    )


def _scale(rows: Sequence[Observation]) -> Array:
    """Return a typical size of every unknown, so that null directions are judged on one scale."""
    per_sample = max((row.time_ms / row.batch_size for row in rows if row.batch_size), default=1.0)
    whole = float(np.median([row.time_ms for row in rows]))
    return np.array([per_sample] * 4 + [whole, whole, whole])


def _free(rows: Sequence[Observation]) -> NDArray[np.bool_]:
    """Return which unknowns are fitted: a cost per round only where every run says how many batches it had."""
    stated = all(row.batches for row in rows if row.kind in ("overlapped", "sequential"))
    return np.array([name != "link round" or stated for name in UNKNOWNS])


def _fit(design: Design, scale: Array, free: NDArray[np.bool_]) -> tuple[Array, list[Array]]:
    """Return the best fit, and others that fit as well: the maximum in the period law makes more than one valley.

    For every pattern of what binds where, the rest is linear and non-negative least squares solves it; the patterns
    that hold are polished together. Stages can change roles (a slow link looks like slow training): of fits that the
    rows cannot tell apart, the one with the longest training is taken.
    """
    solved = [_settled(design, pattern, scale, free) for pattern in _patterns(design)]
    solved.sort(key=lambda theta: float(np.sum(design.residuals(theta) ** 2)))
    distinct: list[Array] = []
    for theta in solved:
        if all((np.abs(theta - other) > _SAME * scale).any() for other in distinct):
            distinct.append(theta)
    fits = [_polished(design, theta, scale, free) for theta in distinct[:12]]
    lowest = min(cost for cost, _ in fits)
    good = [theta for cost, theta in fits if cost <= lowest + _AS_GOOD]
    best = max(good, key=lambda theta: float(theta[UNKNOWNS.index("train")]))
    return best, [theta for theta in good if (np.abs(theta - best) > _SAME * scale).any()]


def _patterns(design: Design) -> list[NDArray[np.intp]]:
    """Return what could bind in every row: one claim up to some row's time, another one beyond it."""
    claims = design.claims.shape[1]
    overlapped = np.flatnonzero(design.beta > 0)
    times = np.unique(design.observed_ms[overlapped])
    switches = times[np.unique(np.linspace(0, len(times) - 1, _MOST_SWITCHES).astype(int))] if len(times) else []
    found = [np.full(len(design.beta), claim, dtype=np.intp) for claim in range(claims)]
    for small in range(claims):
        for large in range(claims):
            for switch in switches[:-1] if small != large else []:
                found.append(np.where(design.observed_ms <= switch, small, large).astype(np.intp))
    return found


def _settled(design: Design, binding: NDArray[np.intp], scale: Array, free: NDArray[np.bool_]) -> Array:
    """Return the fit in which the claims that are assumed to bind do bind, or the last of a few attempts."""
    theta = np.zeros(len(free))
    for _ in range(8):
        rows = design.rows_of(binding) / design.error_ms[:, None]
        target = design.observed_ms / design.error_ms - rows[:, 0]
        theta = np.zeros(len(free))
        theta[free] = nnls(rows[:, 1:][:, free] * scale[free], target)[0] * scale[free]
        again = design.binding(theta)
        if np.array_equal(again, binding):
            break
        binding = again
    return theta


def _polished(design: Design, start: Array, scale: Array, free: NDArray[np.bool_]) -> tuple[float, Array]:
    """Return (half the sum of squares, unknowns) from ``start``, across the edges of the patterns."""

    def whole(values: Array) -> Array:
        theta = np.zeros(len(free))
        theta[free] = values
        return theta

    def residuals(values: Array) -> Array:
        return design.residuals(whole(values))

    def jacobian(values: Array) -> Array:
        return np.asarray(design.jacobian(whole(values))[:, free])

    found = least_squares(
        residuals,
        np.maximum(start[free], 1e-9 * scale[free]),
        jac=jacobian,
        bounds=(0, np.inf),
        x_scale=scale[free],
        xtol=1e-12,
        ftol=1e-12,
    )
    before = 0.5 * float(np.sum(design.residuals(start) ** 2))
    return (before, start) if before <= found.cost else (float(found.cost), whole(found.x))


def uncertainty(scaled: Array, smallest: float = _NULL) -> tuple[Array, Array]:
    """Return the covariance of a scaled least-squares problem and its null directions, (directions, unknowns).

    A direction is null where its singular value is below the share ``smallest`` of the largest.
    """
    square = scaled.T @ scaled
    strength, directions = np.linalg.eigh(square)
    kept = strength > smallest**2 * max(float(strength.max()), 1e-300)
    inverse = np.where(kept, 1 / np.where(kept, strength, 1.0), 0.0)
    return (directions * inverse) @ directions.T, directions.T[~kept]


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
    lengths = sorted(row.batches for row in rows if row.batches)
    usual = lengths[len(lengths) // 2] if lengths else None
    inside = np.maximum(theta, 1e-3 * scale)  # away from 0, where a claim that could bind does not

    def still_open(more: Observation) -> int:
        return len(uncertainty(design_of([*have, more], base).jacobian(inside) * scale)[1])

    while left:
        options: list[tuple[int, str, Observation]] = []
        for kind, words in _RUNS:
            for size in (sizes[-1] * 2, max(1, sizes[0] // 2)) if "{}" in words else (sizes[-1],):
                row = Observation(kind, 0 if kind == "empty call" else size, usual, 1.0, 0.01)
                options.append((still_open(row), words.format(size), row))
        if usual is not None:
            short = max(1, usual // 10)
            row = Observation("sequential", sizes[-1], short, 1.0, 0.01)
            options.append((still_open(row), f"overlap off with {short} batches in a run", row))
        fewest, words, row = min(options, key=lambda option: option[0])
        if fewest >= left:
            break
        left = fewest
        have.append(row)
        chosen.append(words)
    if left and usual is None:
        chosen.append("the number of batches in every run (column batches), and runs of two lengths")
    return tuple(chosen)


def _deciding_runs(
    rows: Sequence[Observation], base: Scenario, theta: Array, others: Sequence[Array]
) -> tuple[str, ...]:
    """Return the run that the fits disagree on most clearly, if there are others that fit as well."""
    size = max(row.batch_size for row in rows)
    for kind, words in _RUNS:
        if "{}" in words or not others:
            continue
        row = Observation(kind, 0 if kind == "empty call" else size, None, 1.0, 1.0)
        mine = predict(row, with_unknowns(theta, base))
        if all(abs(predict(row, with_unknowns(other, base)) - mine) > 0.1 * max(mine, 1e-9) for other in others):
            return (words,)
    return ()


def _scenario(theta: Array, base: Scenario, measured: Measured, fitted: Sequence[Fitted], *, poor: bool) -> Scenario:
    """Return the calibrated scenario at the largest measured batch size, each number with where it is from."""
    size = max(row.batch_size for row in measured.observations)
    found = with_unknowns(theta, base)
    grows: Mapping[str, Any] = {"sample_ms": theta[0], "quantize_ms": theta[1], "train_ms": theta[2]}
    stage: dict[str, Any] = {name: float(value) * size for name, value in grows.items()}
    if base.quantize_on == "dsp":
        stage["quantize_dsp_ms"] = stage["quantize_ms"]
    origin = {each.name: _origin(each, poor=poor) for each in fitted}
    origins = dict(base.origins) | {
        "title": "calibrated",
        "stage.reference_batch_size": "calibrated",
        **{f"stage.{name}_ms": origin[name] for name in ("sample", "quantize", "train")},
        "stage.train_call_ms": origin["train call"],
        "link.call_ms": origin["link call"],
        "link.round_ms": origin["link round"],
        "link.bytes_per_s": origin["link"],
        "link.bytes_per_sample": "given" if base.link.bytes_per_sample else "not measured: 1 stands for the payload",
    }
    return replace(
        found,
        name="calibrated",
        title=f"{measured.device}, {measured.model or 'a model'} on {measured.dataset or 'its data'}, calibrated",
        device=measured.device,
        model=measured.model,
        dataset=measured.dataset,
        printed_batch_ms=None,
        doubts="; ".join(_doubts(fitted, poor=poor)),
        stage=replace(found.stage, reference_batch_size=size, **stage),
        origins=tuple(origins.items()),
    )


def _doubts(fitted: Sequence[Fitted], *, poor: bool) -> list[str]:
    """Return what is not known about the numbers, the worst first: the scenario carries it to every later use."""
    open_ = [
        f"{each.name} (taken to be 0)" if each.name == "link round" else each.name  # `calibrate` leaves it out then
        for each in fitted
        if not each.known
    ]
    assumed = [each.name for each in fitted if each.assumed]
    doubts = [POOR_FIT] if poor else []
    doubts += [f"not identifiable, one of many that fit: {', '.join(open_)}"] if open_ else []
    doubts += [f"if training is the longest stage: {', '.join(assumed)}"] if assumed else []
    return doubts


def _origin(fitted: Fitted, *, poor: bool) -> str:
    origin = "calibrated, a poor fit" if poor else "calibrated"
    if not fitted.known:
        return f"{origin}, not identifiable: one of many that fit"
    return f"{origin}, if training is the longest stage" if fitted.assumed else origin
