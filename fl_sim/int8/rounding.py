"""Rounding of int32 sums in torch: the same numbers as runner/kernels/rounding.h and ``fl_sim.int8.oracle``.

A shift is an int, or a tensor of one shift for each client that broadcasts over the sums; a key likewise. Sums stay
within the int32 that a step may have (``profiler.native.model.MOST_SUMMED``).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from fl_sim.int8.oracle import OF_ACTIVATION, OF_ERROR, OF_LOSS, OF_UPDATE, random_key
from profiler.native.rules import Rounding, Rules

LARGEST = 127
MOST_SHIFT = 31
Shift = int | Tensor


class How(NamedTuple):
    """A rounding, and the key of its random numbers where it draws any: an int, or a tensor of one for each client."""

    rounding: Rounding
    key: int | Tensor = 0


def how(rules: Rules, step: int, layer: int, purpose: int) -> How:
    """Return how a step rounds a layer's tensor; ``purpose`` is ``oracle``'s."""
    rounding = {
        OF_ACTIVATION: rules.activation, OF_ERROR: rules.error, OF_UPDATE: rules.update, OF_LOSS: rules.loss,
    }[purpose]  # fmt: skip
    return How(rounding, random_key(rules.seed, step, layer, purpose) if rounding == "stochastic" else 0)


def bits(largest: Tensor) -> Tensor:
    """Return ceil(log2) of each of int magnitudes, int32; 0 for 0. Its slow twin is ``oracle.bits``."""
    fraction, exponent = torch.frexp(largest.double())  # fraction * 2^exponent with fraction in [0.5, 1)
    return torch.where((fraction == 0.5) | (largest == 0), exponent - 1, exponent).clamp_min(0)


def largest(x: Tensor) -> int:
    """Return the largest magnitude of a tensor that is not empty."""
    low, high = torch.aminmax(x)
    return max(-int(low), int(high))


def divide_(x: Tensor, s: Shift, by: How, first: int = 0) -> Tensor:
    """Divide int32 sums by 2^s in place, rounded on magnitudes; nothing happens where s is not positive.

    ``first`` is the place of the tensor's first number among those that share the key, for stochastic rounding; with a
    tensor of keys the places begin anew with each entry of the first dimension. Its slow twin is ``oracle.shifted``.
    """
    if isinstance(s, Tensor):
        return _divide_each_(x, s.clamp_min(0), by, first)
    if s <= 0:
        return x
    if by.rounding == "nearest":
        # Half away from zero is half up once negative numbers are one less. No sum is too large for the last bit.
        x += x >> 31
        x >>= s - 1
        x += 1
        x >>= 1
        return x
    sign = torch.sign(x)
    x.abs_()
    rest = x & ((1 << s) - 1)
    x >>= s
    if by.rounding == "pseudo-stochastic":
        high = rest >> s // 2
        rest &= (1 << s // 2) - 1
        if s % 2:
            rest <<= 1
        x += high.gt_(rest)
    else:
        drawn = random_words(by.key, x.shape, first, x.device).bitwise_and_((1 << s) - 1)
        x += drawn.lt_(rest)
    x *= sign
    return x


def _divide_each_(x: Tensor, s: Tensor, by: How, first: int) -> Tensor:
    """Divide by as many powers as there are clients, some of them 1."""
    sign, one = torch.sign(x), torch.ones_like(s)
    x.abs_()
    if by.rounding == "nearest":
        up = (x >> (s - 1).clamp_min(0)).bitwise_and_(s.sign())
        x >>= s
        x += up
    else:
        rest = x & ((one << s) - 1)
        x >>= s
        if by.rounding == "pseudo-stochastic":
            high = rest >> s // 2
            rest &= (one << s // 2) - 1
            rest <<= s % 2
            x += high.gt_(rest)
        else:
            drawn = random_words(by.key, x.shape, first, x.device)
            drawn &= (one << s) - 1
            x += drawn.lt_(rest)
    x *= sign
    return x


def requantise_(x: Tensor, s: Shift, out: Tensor, by: How, *, relu: bool = False, first: int = 0) -> None:
    """Write the mantissas of int32 sums, which are spent, into an int8 tensor of their shape."""
    if by.rounding == "nearest" and relu and isinstance(s, int) and s > 0:
        # What would be negative becomes 0: ties of negative sums need no care.
        x >>= s - 1
        x += 1
        x >>= 1
    else:
        divide_(x, s, by, first)
    out.copy_(x.clamp_(0 if relu else -LARGEST, LARGEST))


def random_words(key: int | Tensor, shape: torch.Size | tuple[int, ...], first: int, device: torch.device) -> Tensor:
    """Return the int32 whose bits ``oracle.random_word`` gives for a key and places in order.

    With a tensor of keys, one for each entry of the first dimension, places are counted within an entry.
    """
    each = isinstance(key, Tensor)
    count = torch.Size(shape[1:] if each else shape).numel()
    x = torch.arange(first, first + count, dtype=torch.int32, device=device)
    x *= _wrapped(0x9E3779B9)
    x = (x + key.reshape(-1, 1)) if isinstance(key, Tensor) else x.add_(_wrapped(key))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= (x >> shift).bitwise_and_((1 << 32 - shift) - 1)
        x *= _wrapped(factor)
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    return x.view(shape)


def keys(words: list[int], device: torch.device) -> Tensor:
    """Return keys of ``oracle.random_key`` as the int32 that ``random_words`` takes."""
    return torch.tensor([_wrapped(word) for word in words], dtype=torch.int32, device=device)


def _wrapped(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
