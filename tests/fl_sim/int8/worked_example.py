"""The whole step that the specification works out (int8_training.md 6.2), checked there by an independent program."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

MODEL = "6x6x2:conv4k3p1,pool,fc5"
EXPONENT, WEIGHT_EXPONENTS = -6, (-8, -9)
LABELS = np.array([0, 3, 4], dtype=np.int32)
LOGITS = [[30, -72, -30, -18, 18], [89, -40, -36, -18, -9], [82, -76, -7, -45, 1]]
LOGITS_EXPONENT = -5
LOSS_GRADIENT = [[-72, 3, 14, 27, 27], [108, 4, 4, -122, 6], [98, 1, 13, 2, -116]]
SHIFTS = [(9, -1), (9, 8)]  # of activation and error, layer by layer; the first has no error
LARGEST_SUMS, LARGEST_GRADIENTS = [62220, 45551], [24449, 15204]
# Sums as ``sums`` takes them.
CONVOLUTION, OF_LOGITS = (82, 10479), (-131, -1188)
GRADIENTS = [(-42965, -2238976), (-4323, -3679643)]
UPDATES = [(-5, -322), (-4, -1727)]
WEIGHTS = [(134, -1280), (-225, -23985)]


def stream(count: int, seed: int) -> Ints:
    """Return the numbers of the worked example."""
    values = [seed]
    for _ in range(count):
        values.append((1103515245 * values[-1] + 12345) % 2**31)
    return np.array([(value >> 16) % 255 - 127 for value in values[1:]], dtype=np.int64)


def images() -> Ints:
    return stream(3 * 6 * 6 * 2, 1).reshape(3, 6, 6, 2)


def weights() -> list[Ints]:
    return [stream(4 * 3 * 3 * 2, 2).reshape(4, 3, 3, 2), stream(5 * 36, 3).reshape(5, 36)]


def sums(a: npt.NDArray[np.generic]) -> tuple[int, int]:
    """Return the sum, and the sum of a_i * (i mod 97 + 1)."""
    wide = a.astype(np.int64)
    return int(wide.sum()), int((wide.ravel() * (np.arange(a.size) % 97 + 1)).sum())
