"""Exact products of int8 matrices with int32 sums in torch: several ways, all with the same result."""

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Literal, TypeGuard

import torch
from torch import Tensor
from torch.nn.functional import pad

Product = Callable[[Tensor, Tensor], Tensor]
"""a int8 [m, k] times b int8 [k, n] is int32 [m, n]; or [clients, m, k] times [clients, k, n], client by client.

Mantissas are from -127 to 127, sums fit in 32 bits.
"""
ProductName = Literal["int_mm", "split", "float32", "float64"]

# On an accelerator one product of floats for a whole cohort is better than one of int8 for each client.
_PREFERRED: Mapping[bool, tuple[ProductName, ...]] = MappingProxyType(
    {True: ("int_mm", "split", "float32", "float64"), False: ("float32", "int_mm", "float64")}
)
_EXACT_FLOAT = 2**24  # whole numbers up to here are floats
_EXACT_TERMS = (_EXACT_FLOAT - 1) // 127**2  # products of mantissas whose sum is below that, whatever they are


def int_mm(a: Tensor, b: Tensor) -> Tensor:
    """Multiply by torch's own product of int8; wrong on processors that add pairs in 16 bits: see ``is_exact``."""
    if a.dim() == 3:
        return torch.stack([int_mm(of, by) for of, by in zip(a, b, strict=True)])
    if not a.is_cuda:
        return torch._int_mm(_plain(a), _plain(b))
    (m, n), (wide_a, wide_b) = (len(a), b.shape[1]), padded(a, b)
    return torch._int_mm(wide_a, wide_b)[:m, :n]


def _plain(x: Tensor) -> Tensor:
    """Return a matrix whose strides follow from its shape where a side of 1 lets torch's product misread them."""
    return x.flatten().view(x.shape) if 1 in x.shape else x


def padded(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return matrices with zeros for what CUDA's product asks for: more than 16 rows, k and n in eights."""
    (m, k), n = a.shape, b.shape[1]
    return pad(a, (0, -k % 8, 0, max(17 - m, 0))), pad(b, (0, -n % 8, 0, -k % 8))


def split(a: Tensor, b: Tensor) -> Tensor:
    """Multiply by the two halves of b, of at most 64: a pair's sum stays within 16 bits (255 * 64 * 2 < 2^15).

    oneDNN may take a single column as its left operand, and then a is the one to be halved: it is given company.
    """
    if b.shape[-1] == 1:
        return split(a, pad(b, (0, 1)))[..., :1]
    half = b >> 1
    return int_mm(a, half).add_(int_mm(a, b - half))


def float32(a: Tensor, b: Tensor) -> Tensor:
    """Multiply as floats where ``certified``; else in pieces of k that are exact whatever the numbers are."""
    wide_a, wide_b = a.float(), b.float()
    if certified(wide_a, wide_b):
        return (wide_a @ wide_b).to(torch.int32)
    starts = range(0, a.shape[-1], _EXACT_TERMS)
    pieces = ((wide_a[..., i : i + _EXACT_TERMS], wide_b[..., i : i + _EXACT_TERMS, :]) for i in starts)
    return torch.stack([(of @ by).to(torch.int32) for of, by in pieces]).sum(0, dtype=torch.int32)


def certified(a: Tensor, b: Tensor) -> bool:
    """Say whether every partial sum of a product of whole floats stays exact, in any order of addition.

    The largest sum of a row's magnitudes, times the largest magnitude of b, is below 2^24.
    """
    if a.shape[-1] <= _EXACT_TERMS:
        return True
    return bool(a.abs().sum(-1).max() * b.abs().max() < _EXACT_FLOAT)


def float64(a: Tensor, b: Tensor) -> Tensor:
    """Multiply as doubles, which hold every sum."""
    return (a.double() @ b.double()).to(torch.int32)


PRODUCTS: Mapping[ProductName, Product] = MappingProxyType(
    {"int_mm": int_mm, "split": split, "float32": float32, "float64": float64}
)

# Rows, terms and columns: vectors, tails, a LeNet's and a VGG's layers.
_SHAPES = (
    (1, 1, 2), (1, 500, 62), (5, 1, 7), (5, 7, 3), (7, 9, 1), (17, 64, 16), (33, 130, 50), (64, 500, 20),
    (128, 576, 64), (20, 2880, 25),
)  # fmt: skip


@cache
def is_exact(name: ProductName, device: str = "cpu") -> bool:
    """Say whether a product is exact here, on random numbers and on the largest of either sign.

    oneDNN adds pairs of products in 16 bits on x86 without VNNI, and says nothing.
    """
    product, draw = PRODUCTS[name], torch.Generator().manual_seed(1)
    for m, k, n in _SHAPES:
        for kind in range(4):
            a, b = _pattern(kind, (m, k), draw), _pattern(kind, (n, k), draw)
            right = (a.double() @ b.T.double()).to(torch.int32)
            # As a step hands over its operands: straight, or turned without moving a number.
            for of, by in ((a, b.T), (a, b.T.contiguous()), (a.T.contiguous().T, b.T.contiguous())):
                try:
                    found = product(of.to(device), by.to(device)).cpu()
                except RuntimeError:  # this torch has no such product on this device
                    return False
                if not torch.equal(found, right):
                    return False
    return True


def _pattern(kind: int, shape: tuple[int, int], draw: torch.Generator) -> Tensor:
    if kind == 0:
        return torch.randint(-127, 128, shape, dtype=torch.int8, generator=draw)
    signs = torch.randint(0, 2, shape, dtype=torch.int8, generator=draw) * 2 - 1
    return {1: torch.full(shape, 127, dtype=torch.int8), 2: signs * 127}.get(kind, signs[:1].expand(shape) * 127)


def is_name(name: str) -> TypeGuard[ProductName]:
    """Say whether a name is one of ``PRODUCTS``."""
    return name in PRODUCTS


def find_product(name: str, device: str = "cpu") -> Product:
    """Return a product by name; ``auto`` is the first that is exact here of int_mm, split and float32.

    Other devices than the CPU begin with float32. Raises ValueError for another name and for a product that is not
    exact here.
    """
    if name == "auto":
        for each in _PREFERRED[device == "cpu"]:
            if is_exact(each, device):
                return PRODUCTS[each]
        message = f"no product of int8 matrices is exact on device {device[:40]!r}; take cpu"
        raise ValueError(message)
    if not is_name(name):
        message = f"product must be one of auto, {', '.join(PRODUCTS)}, oracle (got {str(name)[:40]!r})"
        raise ValueError(message)
    if not is_exact(name, device):
        message = f"product {name} is not exact on this machine's {device}; use auto, which finds one that is"
        raise ValueError(message)
    return PRODUCTS[name]
