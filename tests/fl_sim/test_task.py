import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.task import Evaluation, LocalTask, local_task

SAMPLES = np.array([7, 3, 11, 5, 2], dtype=np.int32)


def task_of(samples: np.ndarray, epochs: int, batch_size: int, seed: int = 0) -> LocalTask:
    rng = np.random.default_rng(seed)
    return local_task(samples, rng, client=4, round_number=9, epochs=epochs, batch_size=batch_size, rounding_seed=77)


def test_a_task_by_hand() -> None:
    task = task_of(SAMPLES, epochs=2, batch_size=2)
    assert task.bounds.tolist() == [0, 2, 4, 5, 7, 9, 10]
    assert task.steps == 6
    rng = np.random.default_rng(0)
    assert task.indices.tolist() == [*SAMPLES[rng.permutation(5)], *SAMPLES[rng.permutation(5)]]
    assert (task.client, task.round_number, task.rounding_seed) == (4, 9, 77)


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 70), st.integers(0, 99))
def test_every_epoch_holds_every_sample_once(count: int, epochs: int, batch_size: int, seed: int) -> None:
    samples = np.random.default_rng(seed).permutation(500)[:count].astype(np.int32)
    task = task_of(samples, epochs, batch_size, seed)
    assert task.indices.dtype == task.bounds.dtype == np.int32
    for epoch in task.indices.reshape(epochs, count):
        assert np.array_equal(np.sort(epoch), np.sort(samples))
    expected, at = [0], 0  # twin: batch by batch
    for _ in range(epochs):
        left = count
        while left:
            at += min(left, batch_size)
            left -= min(left, batch_size)
            expected.append(at)
    assert task.bounds.tolist() == expected
    assert task.steps == epochs * -(-count // batch_size)


def test_the_order_follows_from_the_generator_and_changes_with_the_epoch() -> None:
    samples = np.arange(100, dtype=np.int32)
    one, same, other = (task_of(samples, 2, 10, seed).indices for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[:100], one[100:])


@pytest.mark.parametrize(
    ("samples", "epochs", "batch_size"),
    [(SAMPLES[:0], 1, 5), (SAMPLES, 0, 5), (SAMPLES, 1, 0), (SAMPLES, -1, 5), (SAMPLES, 2**30, 5)],
)
def test_a_task_without_work_or_without_end_is_refused(samples: np.ndarray, epochs: int, batch_size: int) -> None:
    with pytest.raises(ValueError, match="at least 1, samples times epochs below"):
        task_of(samples, epochs, batch_size)


def test_an_evaluation_is_per_image() -> None:
    found = Evaluation(right=30, loss_sum=25.0, images=40)
    assert (found.accuracy, found.loss) == (0.75, 0.625)
