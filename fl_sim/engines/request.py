"""What an engine is asked for, checked before anything is computed."""

from typing import TypeVar

from fl_sim.engine import Work
from fl_sim.weights import FloatWeights, IntWeights, Weights

Kind = TypeVar("Kind", FloatWeights, IntWeights)


def start_of(work: Work, start: Weights, kind: type[Kind]) -> Kind:
    """Return the weights that training starts from; ValueError if they are not of this kind, or another model's."""
    if not isinstance(start, kind):
        message = (
            f"start must be {kind.__name__} for a trainer of {work.trainer.precision} (got {type(start).__name__})"
        )
        raise ValueError(message)
    check_length(work, start)
    return start


def check_length(work: Work, weights: Weights) -> None:
    """Raise ValueError for weights of another model."""
    if weights.values.shape != (work.model.parameters,):
        message = f"weights must be {work.model.parameters} numbers for {work.model.name} (got {weights.values.shape})"
        raise ValueError(message)


def test_range(work: Work, first: int, end: int | None) -> tuple[int, int]:
    """Return the test images to judge, first to end - 1; ValueError for none or some that are not there."""
    images = len(work.dataset.test)
    end = images if end is None else end
    if not 0 <= first < end <= images:
        message = f"first and end must be a part of the {images} test images (got {first} to {end})"
        raise ValueError(message)
    return first, end
