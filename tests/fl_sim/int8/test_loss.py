"""The integer cross-entropy in torch: golden vectors, the oracle, and the float softmax it stands for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from fl_sim.int8 import oracle  # noqa: E402
from fl_sim.int8.loss import judged, loss_gradient  # noqa: E402
from fl_sim.int8.rounding import How, keys  # noqa: E402
from profiler.native.rules import ROUNDINGS, Rounding  # noqa: E402

LOGITS = [[10, -20, 30, 0], [127, 127, -127, 0], [1, 2, 3, 4]]
LABELS = [2, 0, 3]
GOLDEN = {
    0: [[0, 0, 0, 0], [-64, 64, 0, 0], [5, 9, 38, -52]],
    -3: [[7, 0, -11, 4], [-64, 64, 0, 0], [32, 32, 32, -96]],
    -6: [[32, 32, -96, 32], [-73, 55, 3, 14], [32, 32, 32, -96]],
    -7: [[33, 26, -89, 30], [-79, 49, 10, 20], [32, 32, 32, -96]],
    -9: [[32, 30, -94, 32], [-90, 38, 23, 29], [32, 32, 32, -96]],
}


def test_loss_gradients_are_the_golden_ones() -> None:
    """Five clients at once, each with its own exponent."""
    logits = torch.tensor([LOGITS] * len(GOLDEN), dtype=torch.int8)
    labels = torch.tensor([LABELS] * len(GOLDEN))
    found = loss_gradient(logits, torch.tensor(list(GOLDEN)), labels, How("nearest"))
    assert found.tolist() == list(GOLDEN.values())


@settings(max_examples=80)
@given(
    st.lists(st.integers(-127, 127), min_size=1, max_size=4), st.integers(1, 70), st.integers(1, 6),
    st.sampled_from(ROUNDINGS), st.sampled_from([1, 20, 127]), st.integers(0, 2**32),
)  # fmt: skip
def test_loss_gradients_equal_the_oracle(
    exponents: list[int], classes: int, images: int, rounding: Rounding, most: int, seed: int
) -> None:
    rng, clients = np.random.default_rng(seed), len(exponents)
    m = rng.integers(-most, most + 1, (clients, images, classes))
    labels = rng.integers(0, classes, (clients, images))
    words = [int(word) for word in rng.integers(0, 2**32, clients)]
    expected = [
        oracle.loss_gradient(m[k], e, labels[k], rounding, words[k]) for k, e in enumerate(exponents)
    ]  # fmt: skip
    by = How(rounding, keys(words, torch.device("cpu")))
    logits = torch.from_numpy(m.astype(np.int8))
    found = loss_gradient(logits, torch.tensor(exponents), torch.from_numpy(labels), by)
    assert (found.numpy() == np.array(expected)).all()


@pytest.mark.parametrize("e", range(-12, 4))
def test_loss_gradients_point_where_the_softmax_does(e: int) -> None:
    rng = np.random.default_rng(e + 50)
    m, labels = torch.from_numpy(rng.integers(-127, 128, (1, 64, 10))), torch.from_numpy(rng.integers(0, 10, (1, 64)))
    found = loss_gradient(m.to(torch.int8), torch.tensor([e]), labels, How("nearest"))[0].double()
    values = (m[0] * 2.0**e).requires_grad_()
    torch.nn.functional.cross_entropy(values, labels[0], reduction="sum").backward()
    true = values.grad
    assert true is not None
    assert float((found * true).sum() / found.norm() / true.norm()) >= 0.99
    assert 0.9 < float(found.norm() / (128 * true).norm()) < 1.1
    of_label = found.gather(1, labels[0].unsqueeze(1))
    assert (of_label <= 0).all()
    assert (found.scatter(1, labels[0].unsqueeze(1), 0) >= 0).all()
    assert int(found.sum(1).abs().max()) <= 10 / 2 + 1


@pytest.mark.parametrize("e", [-127, -9, -3, 0, 2, 60, 127])
def test_judged_as_the_oracle_judges(e: int) -> None:
    rng = np.random.default_rng(1)
    m = rng.integers(-3, 4, (50, 5))  # many ties: the first of the largest counts
    labels = rng.integers(0, 5, 50)
    logits = torch.from_numpy(m.astype(np.int8)).unsqueeze(0)
    right, losses = judged(logits, torch.tensor([e]), torch.from_numpy(labels).unsqueeze(0))
    assert right[0].tolist() == (m.argmax(axis=1) == labels).tolist()
    assert float(losses.mean()) == pytest.approx(oracle.cross_entropy(m, e, labels), rel=1e-9, abs=1e-12)
