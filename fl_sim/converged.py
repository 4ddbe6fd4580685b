"""When a run has converged: the first round whose smoothed accuracy is within a stated margin of its best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fl_sim.finished import FinishedRun

Judged = Literal["broadcast", "int8", "fp32"]
JUDGED: tuple[Judged, ...] = ("broadcast", "int8", "fp32")

_MOST_WINDOW = 1000
_TIE = 1e-12  # accuracies are shares of images, so a margin that is met exactly must not fail by a rounding


@dataclass(frozen=True)
class Rule:
    """``window`` is in evaluations, ``margin_points`` in percentage points.

    ``judged`` is whose accuracy counts: the INT8 model (int8), the server's FP32 weights (fp32), or the model that
    clients receive (broadcast), which is the INT8 one for methods that broadcast INT8 and the FP32 one for others.
    """

    window: int = 5
    margin_points: float = 1.0
    judged: Judged = "broadcast"

    def __post_init__(self) -> None:
        if isinstance(self.window, bool) or not 1 <= self.window <= _MOST_WINDOW:
            message = f"window must be from 1 to {_MOST_WINDOW} evaluations (got {self.window}); 1 does not smooth"
            raise ValueError(message)
        if not 0 <= self.margin_points <= 100:
            message = f"margin must be from 0 to 100 points (got {self.margin_points})"
            raise ValueError(message)
        if self.judged not in JUDGED:
            message = f"judged must be one of {', '.join(JUDGED)} (got {str(self.judged)[:40]!r})"
            raise ValueError(message)

    @property
    def words(self) -> str:
        """The rule for people."""
        one = self.window == 1
        mean = "not smoothed" if one else f"mean of the last {self.window} evaluations"
        points = f"{self.margin_points:g} point{'s' * (self.margin_points != 1)}"
        return f"the first round whose accuracy ({mean}) is within {points} of the run's best"


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracies, shares of all test images, of the rounds that were judged. ``judged`` is int8 or fp32."""

    rounds: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]
    judged: Literal["int8", "fp32"]

    def __len__(self) -> int:
        return len(self.rounds)


@dataclass(frozen=True)
class Converged:
    """When a run had converged. Accuracies are smoothed, shares of all test images.

    ``final`` is the last one. ``rising``: the best lies at the run's end, so that a longer run might find a better one
    and ``round`` is the least it can be. ``gain_points`` is what its last fifth of rounds added; NaN if nobody knows.
    """

    round: int
    best: float
    best_round: int
    final: float
    rising: bool
    gain_points: float


def curve(run: "FinishedRun", judged: Judged = "broadcast") -> Curve:
    """Return a run's accuracy in the rounds that were judged.

    Raises ValueError naming the run if it never judged that model. A broadcast INT8 model that nobody could judge
    (one with biases) gives way to the FP32 weights; ``Curve.judged`` tells.
    """
    wanted: Literal["int8", "fp32"] = "int8" if run.method.downlink.format == "int8" else "fp32"
    if judged != "broadcast":
        wanted = judged
    accuracies = run.rounds[f"{wanted}_accuracy"].to_numpy(np.float64)
    if judged == "broadcast" and np.isnan(accuracies).all():
        wanted, accuracies = "fp32", run.rounds["fp32_accuracy"].to_numpy(np.float64)
    known = ~np.isnan(accuracies)
    if not known.any():
        message = f"{run.name}: the {wanted} model was judged in no round; choose another with --judged"
        raise ValueError(message)
    return Curve(run.rounds["round"].to_numpy(np.int64)[known], accuracies[known], wanted)


def smoothed(of: Curve, window: int) -> Curve:
    """Return the means of the last ``window`` evaluations, from the first round on that has so many.

    It is causal: a server would know it in that round. Raises ValueError if the run was judged less often.
    """
    if window > len(of):
        message = f"window must be at most {len(of)}, the evaluations there are (got {window}); choose a smaller one"
        raise ValueError(message)
    means = np.lib.stride_tricks.sliding_window_view(of.accuracy, window).mean(axis=1)
    return Curve(of.rounds[window - 1 :], means, of.judged)


def converged(of: Curve, rule: Rule) -> Converged:
    """Return when a curve has converged.

        s(r) = mean of the last ``window`` evaluations up to round r
        round = the first r with s(r) >= max s - margin

    The curve is still rising if its best s lies within the last ``window`` evaluations, and where there is only one s,
    which nothing can be compared with. Raises ValueError for fewer
    evaluations than the window has.
    """
    smooth = smoothed(of, rule.window)
    values = smooth.accuracy
    best = int(np.argmax(values >= values.max() - _TIE))  # the first of equals
    within = int(np.argmax(values >= values.max() - rule.margin_points / 100 - _TIE))
    return Converged(
        round=int(smooth.rounds[within]),
        best=float(values[best]),
        best_round=int(smooth.rounds[best]),
        final=float(values[-1]),
        rising=len(values) == 1 or (best > 0 and best >= len(values) - rule.window),
        gain_points=_gain_points(smooth),
    )


def rounds_to(of: Curve, window: int, target: float) -> int | None:
    """Return the first round whose smoothed accuracy is ``target`` (a share) or more; None if it never is."""
    smooth = smoothed(of, window)
    reached = np.flatnonzero(smooth.accuracy >= target - _TIE)
    return int(smooth.rounds[reached[0]]) if len(reached) else None


@dataclass(frozen=True)
class Spread:
    """Rounds over seeds. None stands for a seed that never got there; it counts as later than all others."""

    median: float | None
    least: int | None
    most: int | None
    reached: int
    seeds: int


def spread(rounds: Sequence[int | None]) -> Spread:
    """Return median and range of rounds over seeds. Raises ValueError for none."""
    if not rounds:
        message = "rounds must hold one seed or more (got none)"
        raise ValueError(message)
    known = sorted(number for number in rounds if number is not None)
    ordered: list[int | None] = [*known, *[None] * (len(rounds) - len(known))]
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return Spread(
        median=None if low is None or high is None else (low + high) / 2,
        least=ordered[0],
        most=ordered[-1],
        reached=len(known),
        seeds=len(ordered),
    )


def _gain_points(smooth: Curve) -> float:
    """Return points between the last smoothed accuracy and the last one in the first four fifths of the rounds."""
    before = np.flatnonzero(smooth.rounds <= 0.8 * smooth.rounds[-1])
    return 100 * float(smooth.accuracy[-1] - smooth.accuracy[before[-1]]) if len(before) else float("nan")
