"""The oracle of INT8 training: one step in numpy's int64, written from the specification and not from the C code.

Values are mantissa * 2^exponent, mantissas from -127 to 127, tensors NHWC, weights O, ky, kx, C. Slow and plain on
purpose: every sum is exact, every rounding is the textbook formula.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fl_sim.int8.layers import Layer
from profiler.native.rules import Rounding, Rules

Ints = npt.NDArray[np.int64]
OF_ACTIVATION, OF_ERROR, OF_UPDATE, OF_LOSS = 1, 2, 3, 4
LOSS_SHIFT = 4  # what is left of 2^11 are the 128 of the whole error
MOST_SHIFT = 31  # the widest that int32 has; mu below zero may ask for more
_WORD = 0xFFFFFFFF


@dataclass
class Forward:
    """What went through the layers: inputs (the logits last), outputs before and winners of pools, sums and shifts."""

    inputs: list[Ints]
    outputs: list[Ints]
    winners: list[Ints]
    accumulators: list[Ints]
    shifts: list[int]
    logits_exponent: int


@dataclass
class Trace:
    """What one step made, layer by layer."""

    logits: Ints
    logits_exponent: int
    loss_gradient: Ints
    right: int
    loss: float
    accumulators: list[Ints] = field(default_factory=list)
    gradients: list[Ints] = field(default_factory=list)
    activation_shifts: list[int] = field(default_factory=list)
    error_shifts: list[int] = field(default_factory=list)
    update_shifts: list[int] = field(default_factory=list)
    updates: list[Ints] = field(default_factory=list)
    weights: list[Ints] = field(default_factory=list)


def bits(largest: int) -> int:
    """Return ceil(log2 largest), and 0 for 0."""
    return (largest - 1).bit_length() if largest >= 1 else 0


def random_word(key: int, place: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Return 32 well-mixed bits for a key and places: the generator that rounding.h defines."""
    return np.asarray(_mixed(np.asarray(place, dtype=np.uint64) * np.uint64(0x9E3779B9) + np.uint64(key)))


def random_key(seed: int, step: int, layer: int, purpose: int) -> int:
    """Return the key of one tensor's random numbers."""
    key = seed & _WORD
    for place in (seed >> 32, step & _WORD, step >> 32, layer * 8 + purpose):
        key = _mixed(key + place * 0x9E3779B9)
    return key


def _mixed(x: Any) -> Any:
    """Return the lower 32 bits of whole numbers, well mixed."""
    x = x & _WORD
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> shift)) * factor) & _WORD
    return x ^ (x >> 16)


def shifted(x: npt.ArrayLike, s: int, rounding: Rounding, key: int = 0) -> Ints:
    """Return x / 2^s, rounded on magnitudes; x itself if s is not positive."""
    x = np.asarray(x, dtype=np.int64)
    if s <= 0:
        return x
    a = np.abs(x)
    q, r = a >> s, a & ((1 << s) - 1)
    if rounding == "nearest":
        up = r >= 1 << (s - 1)
    elif rounding == "pseudo-stochastic":
        half = s // 2
        up = (r >> half) > (r & ((1 << half) - 1)) * (1 + s % 2)
    else:
        places = np.arange(x.size, dtype=np.uint64).reshape(x.shape)
        up = (random_word(key, places).astype(np.int64) & ((1 << s) - 1)) < r
    return np.asarray(np.sign(x) * (q + up))


def clipped(x: Ints) -> Ints:
    """Return mantissas: the numbers within -127 and 127."""
    return np.clip(x, -127, 127)


def requantised(accumulator: Ints, rounding: Rounding, key: int = 0) -> tuple[Ints, int]:
    """Return mantissas and the shift that brings the largest of them into seven bits."""
    s = max(bits(int(np.abs(accumulator).max())) - 7, 0)
    return clipped(shifted(accumulator, s, rounding, key)), s


def windows(x: Ints, layer: Layer) -> Callable[[int, int], Ints]:
    """Return what each place of the kernel sees: a function of ky, kx that gives [N, H, W, C] of the padded input."""
    p, (h, w, _) = layer.pad, layer.out
    padded = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
    return lambda ky, kx: padded[:, ky : ky + h, kx : kx + w, :]


def forward(x: Ints, weights: Ints, layer: Layer) -> Ints:
    """Return the sums [N, H, W, O] or [N, O] of a layer with inputs [N, H, W, C]."""
    if not layer.convolution:
        return x.reshape(len(x), -1) @ weights.T
    seen, k = windows(x, layer), weights.shape[1]
    total = np.zeros((len(x), *layer.out), dtype=np.int64)
    for y in range(k):
        for x_ in range(k):
            total += seen(y, x_) @ weights[:, y, x_, :].T
    return total


def weight_gradient(x: Ints, error: Ints, weights: Ints, layer: Layer) -> Ints:
    """Return the sums over images and places, shaped as the weights."""
    if not layer.convolution:
        return error.T @ x.reshape(len(x), -1)
    seen, k, rows = windows(x, layer), weights.shape[1], error.reshape(-1, weights.shape[0])
    gradient = np.zeros_like(weights)
    for y in range(k):
        for x_ in range(k):
            gradient[:, y, x_, :] = rows.T @ seen(y, x_).reshape(len(rows), -1)
    return gradient


def input_error(x: Ints, error: Ints, weights: Ints, layer: Layer) -> Ints:
    """Return the sums of the error that reach each input, shaped as the inputs."""
    if not layer.convolution:
        return (error @ weights).reshape(x.shape)
    n, h, w, c = x.shape
    p, k = layer.pad, weights.shape[1]
    padded = np.zeros((n, h + 2 * p, w + 2 * p, c), dtype=np.int64)
    for y in range(k):
        for x_ in range(k):
            padded[:, y : y + layer.out[0], x_ : x_ + layer.out[1], :] += error @ weights[:, y, x_, :]
    return padded[:, p : p + h, p : p + w, :]


def pooled(m: Ints) -> tuple[Ints, Ints]:
    """Return the maxima of 2x2 windows and which of the four, row by row, is the first to hold each."""
    n, h, w, c = m.shape
    four = m[:, : h // 2 * 2, : w // 2 * 2, :].reshape(n, h // 2, 2, w // 2, 2, c)
    four = four.transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, c, 4)
    return four.max(axis=-1), four.argmax(axis=-1)


def unpooled(error: Ints, winners: Ints, shape: tuple[int, ...]) -> Ints:
    """Return the errors where the maxima came from, zeros elsewhere."""
    spread = np.zeros(shape, dtype=np.int64)
    n, y, x, c = np.indices(error.shape)
    spread[n, 2 * y + winners // 2, 2 * x + winners % 2, c] = error
    return spread


def loss_gradient(m: Ints, e: int, labels: npt.ArrayLike, rounding: Rounding, key: int = 0) -> Ints:
    """Return the integer cross-entropy's gradient, 128 (p - onehot), from logits m * 2^e."""
    raw = np.zeros(m.shape, dtype=np.int64)
    for i, label in enumerate(np.asarray(labels)):
        p = likelihoods([int(value) for value in m[i]], e)
        raw[i] = [2048 * value // sum(p) for value in p]
        raw[i, label] -= raw[i].sum()
    return clipped(shifted(raw, LOSS_SHIFT, rounding, key))


def likelihoods(row: list[int], e: int) -> list[int]:
    """Return whole numbers in the proportions of exp(m * 2^e); Python's integers hold any exponent."""
    if e > -7:
        y = [toward_zero(47274 * m, 15) for m in row]
        y = [value << e if e >= 0 else toward_zero(value, -e) for value in y]
        return [(1 << max(value - max(y) + 10, 0)) - 1 for value in y]
    return [(1 << (1 - 2 * e)) + m * (1 << (1 - e)) + m * m for m in row]


def toward_zero(x: int, s: int) -> int:
    """Return x / 2^s without its fraction."""
    return -(-x >> s) if x < 0 else x >> s


def cross_entropy(m: Ints, e: int, labels: npt.ArrayLike) -> float:
    """Return the mean cross-entropy in floats; beyond an exponent of 100 a float would not hold it."""
    values = m * 2.0 ** min(e, 100)
    values = values - values.max(axis=1, keepdims=True)
    chosen = values[np.arange(len(m)), np.asarray(labels)]
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - chosen))


def forward_pass(
    layers: Sequence[Layer], weights: Sequence[Ints], exponents: Sequence[int], x: Ints, exponent: int, rules: Rules,
    step: int = 0,
) -> Forward:  # fmt: skip
    """Return what a batch [N, H, W, C] becomes; ``step`` numbers the random draws."""
    done = Forward([x], [], [], [], [], exponent)
    for i, (layer, w) in enumerate(zip(layers, weights, strict=True)):
        accumulator = forward(done.inputs[-1], w, layer)
        m, s = requantised(accumulator, rules.activation, random_key(rules.seed, step, i, OF_ACTIVATION))
        m = np.maximum(m, 0) if layer.relu else m
        done.logits_exponent += exponents[i] + s
        done.accumulators.append(accumulator)
        done.shifts.append(s)
        done.outputs.append(m)
        m, winners = pooled(m) if layer.pool else (m, m)
        done.winners.append(winners)
        done.inputs.append(m)
    return done


def train(
    layers: Sequence[Layer], weights: Sequence[Ints], exponents: Sequence[int], x: Ints, exponent: int,
    labels: npt.ArrayLike, rules: Rules, step: int = 0,
) -> Trace:  # fmt: skip
    """Return what a step makes of the weights, with everything between."""
    done = forward_pass(layers, weights, exponents, x, exponent, rules, step)
    inputs, outputs, logits, e = done.inputs, done.outputs, done.inputs[-1], done.logits_exponent
    error = loss_gradient(logits, e, labels, rules.loss, random_key(rules.seed, step, len(layers) - 1, OF_LOSS))
    trace = Trace(
        logits=logits, logits_exponent=e, loss_gradient=error, right=int((logits.argmax(axis=1) == labels).sum()),
        loss=cross_entropy(logits, e, labels), accumulators=done.accumulators, activation_shifts=done.shifts,
    )  # fmt: skip
    for i in reversed(range(len(layers))):
        layer, m = layers[i], outputs[i]
        error = unpooled(error.reshape(inputs[i + 1].shape), done.winners[i], m.shape) if layer.pool else error
        error = error.reshape(m.shape) * (m > 0) if layer.relu else error
        gradient = weight_gradient(inputs[i], error, weights[i], layer)
        s = bits(int(np.abs(gradient).max())) - (rules.mu_conv if layer.convolution else rules.mu_fc)
        s = min(max(s, 0), MOST_SHIFT)
        update = shifted(gradient, s, rules.update, random_key(rules.seed, step, i, OF_UPDATE))
        back = -1
        if i > 0:
            accumulator = input_error(inputs[i], error, weights[i], layer)
            error, back = requantised(accumulator, rules.error, random_key(rules.seed, step, i, OF_ERROR))
        trace.gradients.insert(0, gradient)
        trace.updates.insert(0, update)
        trace.weights.insert(0, clipped(weights[i] - update))
        trace.error_shifts.insert(0, back)
        trace.update_shifts.insert(0, s)
    return trace


def quantised(x: npt.NDArray[np.float32]) -> tuple[Ints, int]:
    """Return mantissas and exponent of floats: one power-of-two scale, ties away from zero."""
    largest = float(np.abs(x).max())
    if largest == 0:
        return np.zeros(x.shape, dtype=np.int64), 0
    mantissa, e = np.frexp(largest)
    e = int(e) - (mantissa == 0.5) - 7
    scaled = np.ldexp(x.astype(np.float64), -e)
    return clipped((np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(np.int64)), e
