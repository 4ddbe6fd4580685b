"""What convolutions and pools do with places, in torch: pixels NHWC, [images, height, width, channels]."""

from typing import NamedTuple

import torch
from torch import Tensor


def patches(x: Tensor, kernel: int, rows: int, columns: int, out: Tensor) -> Tensor:
    """Write what each place of an output sees into ``out`` and return it, [images * rows * columns, ky * kx * C].

    ``x`` has its border. A line of the kernel lies together in x: whole lines are copied.
    """
    n, _, _, c = x.shape
    image, line, pixel, _ = x.stride()
    shape = (n, rows, columns, kernel, kernel * c)
    seen = x.as_strided(shape, (image, line, pixel, line, 1))
    out.view(shape).copy_(seen)
    return out.view(n * rows * columns, kernel * kernel * c)


def turned(weights: Tensor) -> Tensor:
    """Return the matrix [ky * kx * O, C] that brings patches of an output's error to the input, from [O, ky, kx, C].

    More dimensions before these stay.
    """
    return weights.flip(-3, -2).movedim(-4, -2).flatten(-4, -2)


class Winners(NamedTuple):
    """Which of a 2x2 window holds its first maximum: 1 if the left one of a line, 1 if one of the upper line."""

    upper_left: Tensor
    lower_left: Tensor
    upper: Tensor


def pooled(x: Tensor, out: Tensor) -> Winners:
    """Write the maxima of 2x2 windows into ``out`` and return where they are; an odd edge is left out."""
    a, b, c, d = _quarters(x)
    upper, lower = torch.maximum(a, b), torch.maximum(c, d)
    torch.maximum(upper, lower, out=out)
    return Winners(*(torch.ge(*pair).view(torch.int8) for pair in ((a, b), (c, d), (upper, lower))))


def unpooled(error: Tensor, winners: Winners, out: Tensor) -> None:
    """Write errors where the maxima are and zeros beside them; an odd edge of ``out`` is not touched."""
    a, b, c, d = _quarters(out)
    upper = error * winners.upper
    lower = error - upper
    torch.mul(upper, winners.upper_left, out=a)
    torch.sub(upper, a, out=b)
    torch.mul(lower, winners.lower_left, out=c)
    torch.sub(lower, c, out=d)


def _quarters(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return x[:, 0:h:2, 0:w:2], x[:, 0:h:2, 1:w:2], x[:, 1:h:2, 0:w:2], x[:, 1:h:2, 1:w:2]
