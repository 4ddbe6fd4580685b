"""Servers: the algebra of Q-FedAvg and Q-FedUpdate, through real messages (int8_training.md 3 and 6.1)."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim.aggregator import AccumulateUpdates, Aggregator, AverageWeights, MajorityVote, aggregate, kept_in_range
from fl_sim.codec import Codec, Quantize, Sign, decode, encode
from fl_sim.model import find_model
from fl_sim.sums import add, as_unit, mean, unit_of
from fl_sim.weights import LARGEST, FloatWeights, IntWeights, Weights, floats, layer_exponents, quantized, scales

MODEL = find_model("4x4x1:conv2k3,fc3", 3)  # 18 and 24 weights
COUNT = MODEL.parameters
FP32, INT8, SIGNS = Codec(), Codec(Quantize()), Codec(Sign(), update=True)
NOTHING = np.zeros(COUNT)

seeds = st.integers(0, 2**32 - 1)


def first(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, COUNT).astype(np.float32)


@dataclass
class Run:
    """A server and the rounds around it, as the run loop does them; ``moves`` are the clients' steps on the grid."""

    aggregator: Aggregator
    values: np.ndarray
    codec: Codec = INT8
    keep: bool = False

    def __post_init__(self) -> None:
        self.exponents = layer_exponents(MODEL, self.values)
        self.step = scales(MODEL, self.exponents)
        self.velocity = NOTHING

    def broadcast(self) -> Weights:
        sent, _ = encode(self.codec, MODEL, FloatWeights(self.values), exponents=self.exponents)
        return decode(self.codec, MODEL, sent)

    def round(self, moves: list[np.ndarray], samples: list[int] | None = None) -> None:
        reference = self.broadcast()
        samples = samples or [1] * len(moves)
        fixed = isinstance(reference, IntWeights)
        unit = unit_of(sum(samples), self.exponents if fixed else None)
        total = np.zeros(COUNT, dtype=np.int64)
        for move, n in zip(moves, samples, strict=True):
            sent, _ = encode(self.codec, MODEL, moved(reference, move), exponents=self.exponents)
            add(total, [as_unit(MODEL, decode(self.codec, MODEL, sent), unit)], [n], unit)
        found = mean(total, sum(samples), unit, MODEL)
        start = floats(MODEL, reference).astype(np.float64)
        new, self.velocity = aggregate(
            self.aggregator, self.values.astype(np.float64), start, found, self.velocity, update=False
        )
        self.values = kept_in_range(MODEL, new, self.exponents) if self.keep else new

    def mantissas(self) -> np.ndarray:
        return quantized(MODEL, self.values, self.exponents).values

    def residual(self) -> np.ndarray:
        """|w - w_d| in steps of the grid."""
        return np.abs(self.values - self.mantissas() * self.step) / self.step


def moved(weights: Weights, move: np.ndarray) -> Weights:
    if isinstance(weights, FloatWeights):
        return FloatWeights(weights.values + move.astype(np.float32) / 1024)
    return IntWeights(np.clip(weights.values + move, -LARGEST, LARGEST).astype(np.int8), weights.exponents)


def any_moves(seed: int, clients: int, most: int = 9) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-most, most + 1, COUNT) for _ in range(clients)]


@given(seeds, st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_qfedupdate_less_qfedavg_is_what_rounding_cut_off(seed: int, samples: list[int]) -> None:
    """Eq. 8: w(t+1) = (w - w_d) + Q-FedAvg's w."""
    one, other = Run(AverageWeights(), first(seed)), Run(AccumulateUpdates(), first(seed))
    cut_off = one.values.astype(np.float64) - floats(MODEL, one.broadcast())
    moves = any_moves(seed, len(samples))
    one.round(moves, samples)
    other.round(moves, samples)
    difference = other.values - one.values
    largest = np.maximum(np.abs(one.values), np.abs(cut_off)) + one.step
    assert (np.abs(difference - cut_off) <= 1e-15 * largest).all()


@given(seeds, st.integers(0, 5))
def test_qfedupdate_less_qfedavg_in_whole_numbers(seed: int, log2_clients: int) -> None:
    """The same without a rounding: means of a power of two of clients are exact, so Eq. 8 is, too."""
    one, other = Run(AverageWeights(), first(seed)), Run(AccumulateUpdates(), first(seed))
    cut_off = one.values.astype(np.float64) - floats(MODEL, one.broadcast())
    moves = any_moves(seed, 2**log2_clients)
    one.round(moves)
    other.round(moves)
    for new, mean_, lost in zip(other.values, one.values, cut_off, strict=True):
        assert Fraction(new) == Fraction(mean_) + Fraction(lost)


@given(seeds, st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(1, 4))
def test_replacing_and_accumulating_are_one_without_loss(seed: int, samples: list[int], rounds: int) -> None:
    """With FP32 both ways w_d is w rounded to float32; that rounding, 2^-24 of w, is all they differ by."""
    one, other = Run(AverageWeights(), first(seed), FP32), Run(AccumulateUpdates(), first(seed), FP32)
    for i in range(rounds):
        moves = any_moves(seed + i, len(samples))
        one.round(moves, samples)
        other.round(moves, samples)
        if i == 0:  # the first broadcast is float32 already: only float64's own roundings are left
            assert np.allclose(other.values, one.values, rtol=1e-15, atol=1e-16)
    assert (np.abs(other.values - one.values) <= rounds * 2.0**-23 * (np.abs(one.values) + 0.01)).all()


@given(seeds, st.integers(2, 8), st.sampled_from([AverageWeights(), AccumulateUpdates(), AccumulateUpdates(0.5, 0.9)]))
def test_clients_that_are_alike_are_one(seed: int, clients: int, aggregator: Aggregator) -> None:
    one, many = Run(aggregator, first(seed)), Run(aggregator, first(seed))
    for i in range(3):
        (move,) = any_moves(seed + i, 1)
        one.round([move], [100])
        many.round([move] * clients, list(range(1, clients + 1)))
        assert np.array_equal(one.values, many.values)


@given(seeds, st.integers(2, 8), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_clients_changes_no_bit(seed: int, clients: int, whole: bool, random: object) -> None:
    codec = INT8 if whole else FP32
    one, other = (Run(AccumulateUpdates(momentum=0.9), first(seed), codec) for _ in range(2))
    order = list(range(clients))
    for i in range(3):
        random.shuffle(order)  # type: ignore[attr-defined]
        moves, samples = any_moves(seed + i, clients), list(range(1, clients + 1))
        one.round(moves, samples)
        other.round([moves[k] for k in order], [samples[k] for k in order])
        assert one.values.tobytes() == other.values.tobytes()


@given(seeds, st.integers(1, 6), st.sampled_from([3, 40, 254]))
def test_the_residual_stays_within_half_a_step(seed: int, clients: int, most: int) -> None:
    """For ever, and also where weights saturate, so that the FP32 weights cannot drift away from the INT8 model."""
    run = Run(AccumulateUpdates(), first(seed))
    for i in range(15):
        run.round(any_moves(seed + i, clients, most), list(range(1, clients + 1)))
        assert (run.residual() <= 0.5 * (1 + 1e-12)).all()


def test_one_direction_saturates_and_comes_back() -> None:
    run = Run(AccumulateUpdates(), first(1))
    for _ in range(60):
        run.round([np.full(COUNT, 9)] * 3)
        assert (run.residual() <= 0.5).all()
    assert (run.mantissas() == LARGEST).all()
    run.round([np.full(COUNT, -9)] * 3)
    assert (run.mantissas() < LARGEST - 7).all()


@given(seeds, st.integers(1, 5))
def test_if_no_client_moves(seed: int, clients: int) -> None:
    """Q-FedUpdate leaves w as it is, Q-FedAvg snaps it to the grid."""
    start = first(seed)
    still = [np.zeros(COUNT, dtype=np.int64)] * clients
    update, average = Run(AccumulateUpdates(), start), Run(AverageWeights(), start)
    for _ in range(3):
        update.round(still)
        average.round(still)
        assert np.array_equal(update.values, start)
        assert np.array_equal(average.values, quantized(MODEL, start, average.exponents).values * average.step)


@pytest.mark.parametrize(
    ("aggregator", "after"),
    [(AverageWeights(), [0, 0, 0, 0]), (AccumulateUpdates(), [0, 1, 1, 1])],
)  # 0.3, 0.6, 0.9, 1.2 steps
def test_an_update_of_three_tenths_of_a_step(aggregator: Aggregator, after: list[int]) -> None:
    """Three of ten clients move by one step: Q-FedAvg erases that every round, Q-FedUpdate has it in two."""
    on_grid = quantized(MODEL, first(2), layer_exponents(MODEL, first(2)))
    run = Run(aggregator, floats(MODEL, on_grid))
    assert run.exponents == on_grid.exponents
    inside = np.abs(on_grid.values) < 120
    step = np.ones(COUNT, dtype=np.int64)
    for expected in after:
        run.round([step] * 3 + [0 * step] * 7)
        assert (run.mantissas()[inside] - on_grid.values[inside] == expected).all()


def test_momentum_by_hand() -> None:
    aggregator = AccumulateUpdates(rate=0.5, momentum=0.75)
    w, v = np.array([1.0, 2.0]), np.zeros(2)
    reference = np.array([1.0, 1.5])
    w, v = aggregate(aggregator, w, reference, np.array([2.0, 1.5]), v, update=False)
    assert v.tolist() == [1.0, 0.0]
    assert w.tolist() == [1.5, 2.0]
    w, v = aggregate(aggregator, w, reference, np.array([4.0, -2.0]), v, update=True)
    assert v.tolist() == [4.75, -2.0]
    assert w.tolist() == [3.875, 1.0]


def test_no_momentum_leaves_the_velocity() -> None:
    v = np.array([7.0])
    w, after = aggregate(AccumulateUpdates(), np.array([1.0]), np.array([0.0]), np.array([0.25]), v, update=False)
    assert w.tolist() == [1.25]
    assert after is v


@given(seeds)
def test_updates_and_weights_are_the_same_to_the_server(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, reference, weights = (rng.integers(-(2**20), 2**20, COUNT) / 2.0**20 for _ in range(3))
    for aggregator in (AverageWeights(), AccumulateUpdates(0.5, 0.5)):
        one = aggregate(aggregator, w, reference, weights, NOTHING, update=False)
        other = aggregate(aggregator, w, reference, weights - reference, NOTHING, update=True)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_momentum_would_leave_the_grid_behind_but_is_kept_in_range() -> None:
    push = [np.full(COUNT, 30)] * 2
    free, kept = (Run(AccumulateUpdates(momentum=0.9), first(3), keep=keep) for keep in (False, True))
    for _ in range(30):
        free.round(push)
        kept.round(push)
    assert free.residual().max() > 100
    assert kept.residual().max() <= 0.5
    assert (kept.mantissas() == LARGEST).all()


def test_kept_in_range() -> None:
    exponents = (-7, 2)
    values = np.where(np.arange(COUNT) % 2, 1e9, -1e9)
    kept = kept_in_range(MODEL, values, exponents)
    assert kept.tolist() == (np.sign(values) * 127.5 * scales(MODEL, exponents)).tolist()
    inside = first(0).astype(np.float64) * 0.1
    assert np.array_equal(kept_in_range(MODEL, inside, exponents), inside)


def vote(signs: list[list[float]], samples: list[int]) -> np.ndarray:
    """Send each client's change as signs; return the server's change at rate 1."""
    unit, total = unit_of(sum(samples), None), np.zeros(COUNT, dtype=np.int64)
    zeros = FloatWeights(NOTHING.astype(np.float32))
    for row, n in zip(signs, samples, strict=True):
        change = FloatWeights(np.resize(np.array(row, dtype=np.float32), COUNT))
        sent, _ = encode(SIGNS, MODEL, change, exponents=(), reference=zeros)
        add(total, [decode(SIGNS, MODEL, sent)], [n], unit)
    found = mean(total, sum(samples), unit, MODEL)
    return aggregate(MajorityVote(1.0), NOTHING, NOTHING, found, NOTHING, update=True)[0]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([1, 1, 1, 1], [1, -1, 0, 1, -1, 0]),  # a tie leaves the weight alone; a change of 0 votes +
        ([5, 1, 1, 1], [1, -1, 1, 1, 1, 1]),
        ([1, 1, 1, 3], [1, -1, -1, 1, -1, -1]),
        ([1000003, 333334, 333334, 333335], [1, -1, 1, 1, 0, 1]),
    ],
)
def test_the_majority_of_samples_decides(samples: list[int], expected: list[int]) -> None:
    signs = [
        [0.1, -9, 0.5, 0.0, +1, 1e-40],
        [7e9, -1, 0.5, -2., -1, -3.],
        [1e-9, -1, -2., 3., -1, 1.],
        [3e-3, -1, -2., 1., -1, -1.],
    ]  # fmt: skip
    assert vote(signs, samples).tolist() == np.resize(expected, COUNT).tolist()


def test_a_vote_moves_by_its_rate() -> None:
    mean_ = np.array([0.2, -1.0, 0.0])
    w, _ = aggregate(MajorityVote(2e-5), np.array([1.0, 1, 1]), np.zeros(3), mean_, np.zeros(0), update=True)
    assert w.tolist() == [1 + 2e-5, 1 - 2e-5, 1]
    with pytest.raises(ValueError, match="update=True"):
        aggregate(MajorityVote(1.0), NOTHING, NOTHING, NOTHING, NOTHING, update=False)
