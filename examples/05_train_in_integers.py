"""Train LeNet-5 in INT8, with integer arithmetic only, on ten noisy patterns. The result is the same everywhere."""

import numpy as np

from profiler.native.library import library
from profiler.native.network import Network

rng = np.random.default_rng(1)
patterns = rng.normal(size=(10, 28, 28, 1))
labels = rng.integers(0, 10, size=(60, 20), dtype=np.int32)
images = (patterns[labels] + rng.normal(scale=1.5, size=(60, 20, 28, 28, 1))).astype(np.float32)

with Network("lenet5", "int8", batch_size=20, classes=10) as network:
    network.init(seed=1)
    for number, (batch, label) in enumerate(zip(images, labels, strict=True), 1):
        mantissas, exponent = library().quantize(batch)
        trained = network.train_int8(mantissas, exponent, label)
        if number % 20 == 0:
            print(f"batch {number}: {trained.right} of 20 right before it was learned from")
    print(f"weights {network.checksum():016x}, on every processor")
