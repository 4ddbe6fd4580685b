"""The workload in FedJAX: federated_averaging with its jit backend (pmap breaks on the JAX that the registry offers).

Two things are ours: ``jax.tree_map``, which FedJAX calls and JAX has moved, and batches in order instead of shuffled.
"""

from collections.abc import Iterator
from functools import partial

import fedjax
import jax
import jax.numpy as jnp
import numpy as np
import workload
from fedjax.algorithms import fed_avg
from meter import Meter

Params = dict[str, jax.Array]


class InOrder(fedjax.ClientDataset):
    """A client whose batches are not shuffled; everything else is FedJAX's."""

    def shuffle_repeat_batch(
        self, hparams: fedjax.ShuffleRepeatBatchHParams | None = None, **settings: object
    ) -> Iterator[dict[str, np.ndarray]]:
        assert hparams is not None
        for begin in range(0, len(self), hparams.batch_size):
            yield {key: rows[begin : begin + hparams.batch_size] for key, rows in self.raw_examples.items()}


def _conv(x: jax.Array, weights: jax.Array, bias: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    x = jax.nn.relu(jax.lax.conv_general_dilated(x, weights, (1, 1), "VALID", dimension_numbers=layout) + bias)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def loss(params: Params, batch: dict[str, jax.Array], rng: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of a batch."""
    x = _conv(batch["x"], params["conv1.weight"], params["conv1.bias"])
    x = _conv(x, params["conv2.weight"], params["conv2.bias"])
    x = x.reshape(len(x), -1)
    for layer in ("fc1", "fc2"):
        x = jax.nn.relu(x @ params[f"{layer}.weight"] + params[f"{layer}.bias"])
    chances = jax.nn.log_softmax(x @ params["fc3.weight"] + params["fc3.bias"])
    return -jnp.take_along_axis(chances, batch["y"][:, None], axis=1).mean()


def first_params(work: workload.Workload) -> Params:
    """Return the first weights with channels last and a layer's outputs as the last axis."""
    weights = workload.to_nhwc(work.weights)
    return {
        name: jnp.array(np.moveaxis(value, 0, -1) if value.ndim > 1 else value)
        for name, value in weights.items()
    }  # fmt: skip


def _arrays(params: Params, names: list[str]) -> list[np.ndarray]:
    return [np.asarray(params[name]) for name in names]


def main() -> None:
    jax.tree_map = jax.tree_util.tree_map
    work = workload.read()
    params = first_params(work)
    meter = Meter([np.asarray(value) for value in params.values()], versions=f"fedjax 0.0.17, jax {jax.__version__}")
    images, labels = work.images()[..., None], work.labels
    clients = [InOrder({"x": x, "y": y}) for x, y in zip(images, labels, strict=True)]
    algorithm = fed_avg.federated_averaging(
        jax.grad(loss),
        fedjax.optimizers.sgd(workload.RATE),
        fedjax.optimizers.sgd(1.0),
        fedjax.ShuffleRepeatBatchHParams(batch_size=workload.BATCH, num_epochs=1),
    )
    state = algorithm.init(params)
    meter.begin()
    for number in range(meter.rounds):
        cohort = work.cohort(number)
        keys = jax.random.split(jax.random.PRNGKey(number), len(cohort))
        state, _ = algorithm.apply(state, [(i, clients[i], key) for i, key in zip(cohort, keys, strict=True)])
        jax.block_until_ready(state.params)
        meter.tick(partial(_arrays, state.params, list(params)))


if __name__ == "__main__":
    main()
