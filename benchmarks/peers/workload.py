"""The workload that every engine trains: noise images, first weights and cohorts, in one .npz that any of them reads.

192 clients with 226 images of 28x28x1 and 62 classes; LeNet-5 without padding, 48,846 parameters. Only numpy is needed.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CLIENTS, SAMPLES, SIDE, CLASSES = 192, 226, 28, 62
BATCH, RATE, COHORT = 5, 0.05, 20
STEPS = -(-SAMPLES // BATCH)  # the last batch has one image
JUDGED = 4  # clients of the first round, after which the weights are compared
COHORTS = 64  # then they come again
SEED = 20261107

# Torch's shapes: outputs, inputs, ky, kx; outputs, inputs with the inputs of fc1 as channel, row, column.
SHAPES = {
    "conv1": (6, 1, 5, 5),
    "conv2": (16, 6, 5, 5),
    "fc1": (120, 256),
    "fc2": (84, 120),
    "fc3": (CLASSES, 84),
}
NAMES = tuple(f"{layer}.{part}" for layer in SHAPES for part in ("weight", "bias"))
_FLAT = (16, 4, 4)  # what fc1 sees: channels, rows, columns


@dataclass(frozen=True)
class Workload:
    """``pixels`` uint8 [clients, samples, 28, 28]; ``labels`` int32 [clients, samples]; ``table`` float32 [256].

    A pixel is worth ``table[pixel]``: its value / 255, standardised over all images. ``weights`` are in torch's shapes.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    table: Floats
    weights: dict[str, Floats]
    cohorts: npt.NDArray[np.int32]

    def cohort(self, round_number: int) -> list[int]:
        """Return the clients of a round; round 0 is that of the first four, after which weights are compared."""
        return list(range(JUDGED)) if round_number == 0 else self.cohorts[(round_number - 1) % COHORTS].tolist()

    def images(self) -> Floats:
        """Return all images as floats, [clients, samples, 28, 28]."""
        return self.table[self.pixels]


def path() -> Path:
    """Return where the workload lies: $PEERS_WORKLOAD, or in the checkout's build folder."""
    return Path(os.environ.get("PEERS_WORKLOAD", Path(__file__).parents[2] / "build/peers/workload.npz"))


def generate(file: Path) -> None:
    """Write the workload; the same on every machine.

    The seed is one with which no activation of the first two rounds is so near 0 that engines differ in its sign.
    """
    rng = np.random.default_rng(SEED)
    pixels = rng.integers(0, 256, (CLIENTS, SAMPLES, SIDE, SIDE), dtype=np.uint8)
    levels = np.arange(256) / 255
    values = levels[pixels].ravel()
    arrays = {
        "pixels": pixels,
        "labels": rng.integers(0, CLASSES, (CLIENTS, SAMPLES), dtype=np.int32),
        "table": ((levels - values.mean()) / values.std()).astype(np.float32),
        "cohorts": np.array([rng.choice(CLIENTS, COHORT, replace=False) for _ in range(COHORTS)], dtype=np.int32),
    }
    for layer, shape in SHAPES.items():
        limit = 1 / np.sqrt(np.prod(shape[1:]))  # torch's own first weights
        arrays[f"{layer}.weight"] = rng.uniform(-limit, limit, shape).astype(np.float32)
        arrays[f"{layer}.bias"] = rng.uniform(-limit, limit, shape[0]).astype(np.float32)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(file)


def read() -> Workload:
    """Return the workload. Raises FileNotFoundError where nobody has generated it."""
    with np.load(path(), allow_pickle=False) as arrays:
        weights = {name: arrays[name] for name in NAMES}
        return Workload(arrays["pixels"], arrays["labels"], arrays["table"], weights, arrays["cohorts"])


def to_nhwc(weights: dict[str, Floats]) -> dict[str, Floats]:
    """Return weights for engines with channels last: outputs, ky, kx, inputs; fc1's inputs as row, column, channel."""
    out = dict(weights)
    for name in ("conv1.weight", "conv2.weight"):
        out[name] = np.ascontiguousarray(weights[name].transpose(0, 2, 3, 1))
    fc1 = weights["fc1.weight"].reshape(-1, *_FLAT)
    out["fc1.weight"] = np.ascontiguousarray(fc1.transpose(0, 2, 3, 1)).reshape(len(fc1), -1)
    return out


if __name__ == "__main__":
    generate(path())
