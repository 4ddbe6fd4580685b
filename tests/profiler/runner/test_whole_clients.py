"""A client in one call equals the loop over its steps, bit for bit: training, judging, and what is refused."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.native.library import library
from profiler.native.network import Client, Network
from profiler.native.rules import ROUNDINGS, Rounding, Rules
from profiler.native.samples import Outcome, Samples, Stop
from tests.profiler.runner.descriptions import models

seeds = st.integers(0, 2**32)
batch_sizes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
MODEL = "6x6x2:conv4k3p1,pool,fc5"


def samples_for(network: Network, rng: np.random.Generator, count: int = 11) -> Samples:
    shape = network.layers[0].in_shape
    table: Any = rng.standard_normal((shape[2], 256)).astype(np.float32)
    if network.precision == "int8":
        table = rng.integers(-127, 128, (shape[2], 256), dtype=np.int8)
    labels = rng.integers(0, network.classes, count, dtype=np.int32)
    return Samples(rng.integers(0, 256, (count, *shape), dtype=np.uint8), labels, table, -6)


def schedule(rng: np.random.Generator, batches: list[int], count: int = 11) -> tuple[Any, Any]:
    """Some samples come twice, some never."""
    bounds = np.cumsum([0, *batches]).astype(np.int32)
    return rng.integers(0, count, bounds[-1], dtype=np.int32), bounds


def looked_up(samples: Samples, chosen: Any) -> Any:
    return np.stack([samples.table[c][samples.pixels[chosen][..., c]] for c in range(len(samples.table))], axis=-1)


def opened(model: str, precision: Any, path: str = "best", bias: bool = False) -> Network:
    network = Network(model, precision, 5, path=path, bias=bias)
    network.init(3)
    return network


@settings(max_examples=60)
@given(model=models(), batches=batch_sizes, bias=st.booleans(), seed=seeds)
def test_fp32_equals_the_loop(model: str, batches: list[int], bias: bool, seed: int) -> None:
    for path in library().paths():
        with opened(model, "fp32", path, bias) as at_once, opened(model, "fp32", path, bias) as by_step:
            rng = np.random.default_rng(seed)
            samples = samples_for(at_once, rng)
            indices, bounds = schedule(rng, batches)
            judged, right, loss = at_once.judge(samples, indices, bounds), 0, 0.0
            first = at_once.train_client_fp32(samples, indices, bounds[:2], 0.0)
            assert (judged.batches, judged.saturated) == (len(batches), 0)
            found = at_once.train_client_fp32(samples, indices, bounds, 0.05)
            for begin, end in pairwise(bounds):
                chosen = indices[begin:end]
                trained = by_step.train_fp32(looked_up(samples, chosen), samples.labels[chosen], 0.05)
                right, loss = right + trained.right, loss + np.rint(trained.loss * len(chosen) * 2**20) / 2**20
            assert found == Outcome(right, loss, len(batches), True, 0)
            assert at_once.checksum() == by_step.checksum()
            if len(batches) == 1:
                assert judged == first, "without training both say the same"


@settings(max_examples=60)
@given(
    model=models(), batches=batch_sizes, rounding=st.sampled_from(ROUNDINGS), mu=st.integers(-1, 6),
    first_step=st.integers(0, 2**40), seed=seeds,
)  # fmt: skip
def test_int8_equals_the_loop(
    model: str, batches: list[int], rounding: Rounding, mu: int, first_step: int, seed: int
) -> None:
    rules = Rules(mu, mu, rounding, rounding, rounding, rounding, seed=seed)
    for path in library().paths():
        with opened(model, "int8", path) as at_once, opened(model, "int8", path) as by_step:
            rng = np.random.default_rng(seed)
            samples = samples_for(at_once, rng)
            indices, bounds = schedule(rng, batches)
            found = at_once.train_client_int8(samples, indices, bounds, rules, first_step=first_step)
            right, loss = 0, 0.0
            for i, (begin, end) in enumerate(pairwise(bounds)):
                chosen = indices[begin:end]
                trained = by_step.train_int8(
                    looked_up(samples, chosen), samples.exponent, samples.labels[chosen], rules, step=first_step + i
                )
                right, loss = right + trained.right, loss + np.rint(trained.loss * len(chosen) * 2**20) / 2**20
            saturated = sum(
                np.count_nonzero(np.abs(by_step.weights_int8(i)[0]) == 127) for i in range(len(by_step.layers))
            )
            assert found == Outcome(right, loss, len(batches), True, saturated)
            assert at_once.checksum() == by_step.checksum()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("path", library().paths())
def test_judging_equals_going_forward(precision: Any, path: str) -> None:
    rng = np.random.default_rng(7)
    with opened("9x7x3:conv5k3p1,pool,conv6k3,fc7,fc5", precision, path) as network:
        samples = samples_for(network, rng, 30)
        indices, bounds = schedule(rng, [5, 3, 5, 1], 30)
        before, right, loss = network.checksum(), 0, 0.0
        for begin, end in pairwise(bounds):
            chosen = indices[begin:end]
            x, exponent = looked_up(samples, chosen), 0
            logits, exponent = network.forward_int8(x, -6) if precision == "int8" else (network.forward_fp32(x), 0)
            scores = logits.astype(np.float64) * 2.0**exponent
            likely = scores - scores.max(axis=1, keepdims=True)
            likely -= np.log(np.exp(likely).sum(axis=1, keepdims=True))
            right += int((scores.argmax(axis=1) == samples.labels[chosen]).sum())
            loss -= likely[np.arange(len(chosen)), samples.labels[chosen]].sum()
        found = network.judge(samples, indices, bounds)
        assert (found.right, found.batches, found.finite) == (right, 4, True)
        assert found.loss == pytest.approx(loss, rel=1e-5)
        assert network.checksum() == before
        again = network.judge(samples, indices, bounds[1:])
        assert again.batches == 3, "bounds may begin anywhere"


@settings(max_examples=60)
@given(model=models(), bias=st.booleans(), seed=seeds)
def test_all_weights_in_one_vector(model: str, bias: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for path in library().paths():
        with opened(model, "fp32", path, bias) as floats, opened(model, "int8", path) as whole:
            parts = [part.ravel() for i in range(len(floats.layers)) for part in floats.weights_fp32(i)]
            assert (floats.flat_fp32() == np.concatenate(parts)).all()
            values = rng.standard_normal(floats.parameters).astype(np.float32)
            floats.set_flat_fp32(values)
            assert (floats.flat_fp32() == values).all()
            w, b = floats.weights_fp32(0)
            assert (np.concatenate([w.ravel(), b]) == values[: w.size + b.size]).all()
            layers = [whole.weights_int8(i) for i in range(len(whole.layers))]
            found, exponents = whole.flat_int8()
            assert (found == np.concatenate([m.ravel() for m, _ in layers])).all()
            assert exponents == tuple(e for _, e in layers)
            mantissas = rng.integers(-127, 128, whole.parameters, dtype=np.int8)
            given = tuple(int(e) for e in rng.integers(-127, 128, len(layers)))
            whole.set_flat_int8(mantissas, given)
            again, kept = whole.flat_int8()
            assert (again == mantissas).all()
            assert kept == given
            assert (whole.weights_int8(0)[0].ravel() == mantissas[: layers[0][0].size]).all()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("path", library().paths())
def test_weights_are_kept_and_recalled(precision: Any, path: str) -> None:
    """INT8 exponents are kept too, and the training that follows is the same."""
    rng = np.random.default_rng(9)
    with opened("6x6x2:conv4k3p1,pool,fc9,fc5", precision, path) as network:
        samples = samples_for(network, rng)
        order, bounds = schedule(rng, [5, 5, 2])

        def train() -> int:
            if precision == "int8":
                network.train_client_int8(samples, order, bounds)
            else:
                network.train_client_fp32(samples, order, bounds, 0.1)
            return network.checksum()

        network.recall()
        begun = network.checksum()
        network.keep()
        first = train()
        assert first != begun
        for _ in range(2):
            network.recall()
            assert network.checksum() == begun
            assert train() == first
        network.init(4)
        network.recall()
        assert network.checksum() == begun, "exponents, too"
        network.keep()
        assert train() == first


@settings(max_examples=30)
@given(model=models(), sizes=st.lists(batch_sizes, min_size=1, max_size=4), bias=st.booleans(), seed=seeds)
def test_clients_in_one_call_equal_one_after_the_other(
    model: str, sizes: list[list[int]], bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    for precision in ("fp32", "int8"):
        whole = precision == "int8"
        with opened(model, precision, bias=bias and not whole) as network:
            samples = samples_for(network, rng)
            network.keep()
            rules: Any = Rules(2, 3, update="stochastic") if whole else 0.05
            clients = [Client(*schedule(rng, batches), rules, seed + i) for i, batches in enumerate(sizes)]
            clients.append(Client(clients[0].indices, np.zeros(1, dtype=np.int32), rules))  # one that takes no step
            made = network.train_clients(samples, clients)
            assert len(made) == len(clients)
            for client, (found, values, exponents) in zip(clients, made, strict=True):
                network.recall()
                if whole:
                    drawn = replace(rules, seed=client.seed)
                    assert found == network.train_client_int8(samples, client.indices, client.bounds, drawn)
                    expected, powers = network.flat_int8()
                else:
                    assert found == network.train_client_fp32(samples, client.indices, client.bounds, rules)
                    expected, powers = network.flat_fp32(), ()
                assert (values.tobytes(), exponents) == (expected.tobytes(), powers)
            assert (made[-1][0].batches, made[-1][0].right) == (0, 0)


def test_clients_in_one_call_end_with_the_one_that_diverges_or_is_stopped() -> None:
    rng = np.random.default_rng(2)
    with opened(MODEL, "fp32") as network:
        samples, (order, bounds), stop = samples_for(network, rng), schedule(rng, [5, 5, 2]), Stop()
        network.keep()
        clients = [Client(order, bounds, rate) for rate in (0.1, 1e30, 0.1)]
        made = network.train_clients(samples, clients)
        assert [found.finite for found, _, _ in made] == [True, False]
        again = network.train_clients(samples, clients[:1])
        assert made[0][1].tobytes() == again[0][1].tobytes(), "nothing of the divergence is left"
        stop.set()
        assert [found.batches for found, _, _ in network.train_clients(samples, clients, stop=stop)] == [0]


def test_clients_that_are_refused() -> None:
    rng = np.random.default_rng(3)
    with opened(MODEL, "fp32") as network, opened(MODEL, "int8") as whole:
        order, bounds = schedule(rng, [5])
        samples, mantissas = samples_for(network, rng), samples_for(whole, rng)
        for at, of, client, message in (
            (network, samples, Client(order, bounds, Rules()), "rules: must be a learning rate for fp32"),
            (whole, mantissas, Client(order, bounds, 0.1), "rules: must be Rules for int8"),
            (whole, mantissas, Client(order, bounds, Rules(), -1), "seed: must be a whole number"),
            (network, samples, Client(order, bounds, float("nan")), "learning_rate: must be finite"),
            (network, samples, Client(order, np.int32([0, 9]), 0.1), "bounds: batch 0 must have 1 to 5"),
            (network, mantissas, Client(order, bounds, 0.1), "samples: their table is for int8"),
        ):
            with pytest.raises(ValueError, match=message):
                at.train_clients(of, [Client(order, bounds, client.rules)] * (client.seed == 0) + [client])
    with pytest.raises(ValueError, match="the network is closed"):
        network.train_clients(samples, [Client(order, bounds, 0.1)])


def test_what_is_refused() -> None:
    rng = np.random.default_rng(1)
    with opened(MODEL, "fp32") as network, opened(MODEL, "int8") as whole:
        samples, before = samples_for(network, rng), network.checksum()
        order, bounds = schedule(rng, [5, 5])
        wrong: list[tuple[Any, Any, str]] = [
            (order, [0, 6], "bounds: batch 0 must have 1 to 5 of the 10 indices .got 0 to 6"),
            (order, [0, 5, 5], "bounds: batch 1 must have .* .got 5 to 5"),
            (order, [0, 5, 4], "bounds: batch 1"),
            (order, [-1, 4], "bounds: batch 0"),
            (order, [7, 11], "bounds: batch 0 .* .got 7 to 11"),
            ([0, 1, 11], [0, 2, 3], r"indices: must be from 0 to 10 \(got 11 at 2"),
            ([0, -1, 1], [0, 3], r"indices: must be from 0 to 10 \(got -1 at 1"),
        ]
        for indices, edges, message in wrong:
            with pytest.raises(ValueError, match=message):
                network.train_client_fp32(samples, np.int32(indices), np.int32(edges), 0.1)
            with pytest.raises(ValueError, match=message):
                network.judge(samples, np.int32(indices), np.int32(edges))
        labels = samples.labels.copy()
        labels[order[7]] = 5
        with pytest.raises(ValueError, match=rf"labels: must be from 0 to 4 \(got 5 of sample {order[7]}"):
            network.judge(Samples(samples.pixels, labels, samples.table), order, bounds)
        assert network.checksum() == before, "nothing was trained"
        with pytest.raises(ValueError, match="precision: the network is fp32"):
            network.train_client_int8(samples, order, bounds)
        with pytest.raises(ValueError, match="samples: their table is for fp32, the network is int8"):
            whole.train_client_int8(samples, order, bounds)
        with pytest.raises(ValueError, match="indices: must be an array of int32"):
            network.judge(samples, order.astype(np.int64), bounds)
        with pytest.raises(ValueError, match=r"bounds: must have the shape \(2,\)"):
            network.judge(samples, order, bounds[:, None][:2])
        with pytest.raises(ValueError, match="learning_rate: must be finite"):
            network.train_client_fp32(samples, order, bounds, math.nan)
        other = Samples(samples.pixels[:, :5].copy(), samples.labels, samples.table)
        with pytest.raises(ValueError, match=r"samples: images must have the shape \(6, 6, 2\)"):
            network.judge(other, order, bounds)
        assert network.judge(samples, order, bounds[:1]) == Outcome(0, 0.0, 0, True, 0)
        with pytest.raises(ValueError, match=r"values: must have the shape \(221,\)|values: must have the shape"):
            network.set_flat_fp32(np.zeros(3, dtype=np.float32))
        with pytest.raises(ValueError, match="values: must be finite"):
            network.set_flat_fp32(np.full(network.parameters, np.nan, dtype=np.float32))
        with pytest.raises(ValueError, match="exponents: must be 2, one for each layer"):
            whole.set_flat_int8(np.zeros(whole.parameters, dtype=np.int8), (1,))
        with pytest.raises(ValueError, match="mantissas must be from -127"):
            whole.set_flat_int8(np.full(whole.parameters, -128, dtype=np.int8), (1, 1))


def test_wrong_samples() -> None:
    pixels, labels = np.zeros((3, 4, 4, 2), dtype=np.uint8), np.zeros(3, dtype=np.int32)
    table = np.zeros((2, 256), dtype=np.float32)
    wrong: list[tuple[Any, Any, Any, int, str]] = [
        (pixels.astype(np.int8), labels, table, 0, "pixels: must be an array of uint8"),
        (pixels[0], labels, table, 0, r"pixels: must be \[samples, height, width, channels\]"),
        (pixels[:, ::2], labels, table, 0, "pixels: must lie row by row"),
        (pixels, labels[:2], table, 0, r"labels: must have the shape \(3,\)"),
        (pixels, labels, table[:1], 0, r"table: must have the shape \(2, 256\)"),
        (pixels, labels, table.astype(np.float64), 0, "table: must be an array of float32"),
        (pixels, labels, np.full((2, 256), -128, dtype=np.int8), 0, "table: mantissas must be from -127"),
        (pixels, labels, table + np.float32(np.inf), 0, "table: must be finite"),
        (pixels, labels, table, 128, "exponent: must be a whole number"),
    ]
    for images, of_images, values, exponent, message in wrong:
        with pytest.raises(ValueError, match=message):
            Samples(images, of_images, values, exponent)


@pytest.mark.parametrize("path", library().paths())
@pytest.mark.parametrize(
    "model", ["6x6x2:conv4k3p1,fc9,fc5", "28x28x1:conv6k5,pool,conv16k5,pool,fc120,fc84,fc62", "9x9x3:conv9k2,fc7,fc3"]
)
def test_training_that_diverges_stops(model: str, path: str) -> None:
    rng = np.random.default_rng(5)
    with opened(model, "fp32", path) as network:
        samples = samples_for(network, rng)
        order, bounds = schedule(rng, [5] * 6)
        bright = Samples(samples.pixels, samples.labels, np.float32(100) * np.abs(samples.table))
        assert not network.train_client_fp32(bright, order, bounds, 2.9e38).finite
        network.init(1)
        once = network.train_client_fp32(bright, order, bounds[:2], 2.9e38)
        assert (once.finite, once.batches) == (False, 1), "no loss tells of the last step, the weights do"
        assert math.isfinite(once.loss)
        for _ in range(2):
            network.init(1)
            assert network.train_client_fp32(samples, order, bounds, 0.01).finite, "and it still works"
        with opened(model, "fp32", path) as fresh:
            fresh.init(1)
            fresh.train_client_fp32(samples, order, bounds, 0.01)
            assert fresh.checksum() == network.checksum()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("model", [MODEL, "5x7x1:conv3k2,conv17k3p1,fc40,fc5", "4x5x2:fc37,fc5"])
def test_one_weight_that_is_no_number_is_seen_wherever_it_is(model: str, bias: bool) -> None:
    no_steps, rng = np.zeros(1, dtype=np.int32), np.random.default_rng(2)
    for path in (each for each in library().paths() if each != "vnni"):
        with opened(model, "fp32", path, bias) as network:
            client = Client(np.arange(3, dtype=np.int32), no_steps, 0.1)
            samples, right = samples_for(network, rng), network.flat_fp32()
            largest = np.where(right < 0, -3.4e38, 3.4e38).astype(np.float32)
            for weights, place in ((right, -1), (largest, -1), *((right, i) for i in range(len(right)))):
                spoilt = weights.copy()
                if place >= 0:
                    spoilt[place] = (np.nan, np.inf, -np.inf)[place % 3]
                # The public way to set weights refuses what is no number; training that diverges makes it.
                network._calls.fj_set_all_fp32(network._open(), spoilt.ctypes.data)
                network.keep()
                [(outcome, _, _)] = network.train_clients(samples, [client])
                assert outcome.finite == (place < 0), place


@pytest.mark.parametrize("path", library().paths())
def test_a_loss_that_is_no_number_ends_training(path: str) -> None:
    rng = np.random.default_rng(6)
    with opened("1x1x2:fc3", "fp32", path) as network:
        samples = samples_for(network, rng)
        network.set_weights_fp32(0, np.float32([[3e38, 3e38], [0, 0], [-3e38, -3e38]]))
        bright = Samples(samples.pixels, samples.labels, np.full((2, 256), 3e38, dtype=np.float32))
        order, bounds = schedule(rng, [5] * 6)
        trained = network.train_client_fp32(bright, order, bounds, 0.1)
        assert (trained.finite, trained.batches, trained.loss) == (False, 0, 0.0)
        judged = network.judge(bright, order, bounds)
        assert (judged.finite, judged.batches, math.isfinite(judged.loss)) == (False, 6, False)


def test_a_stop_ends_the_work_before_the_next_batch() -> None:
    rng = np.random.default_rng(6)
    with opened(MODEL, "fp32") as network, opened(MODEL, "int8") as whole:
        order, bounds = schedule(rng, [5] * 6)
        stop = Stop()
        assert network.judge(samples_for(network, rng), order, bounds, stop=stop).batches == 6
        stop.set()
        for call in (
            network.train_client_fp32(samples_for(network, rng), order, bounds, 0.1, stop=stop),
            whole.train_client_int8(samples_for(whole, rng), order, bounds, stop=stop),
            whole.judge(samples_for(whole, rng), order, bounds, stop=stop),
        ):
            assert call == Outcome(0, 0.0, 0, True, 0)
