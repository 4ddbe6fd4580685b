"""Every product of int8 matrices is exact, or says that it is not."""

import os
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fl_sim.int8 import product  # noqa: E402
from fl_sim.int8.product import PRODUCTS, certified, find_product, float32, is_exact, padded  # noqa: E402

NAMES = tuple(PRODUCTS)
X86 = torch.backends.mkldnn.is_available() and os.uname().machine == "x86_64"


def drawn(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    if kind == "any":
        return rng.integers(-127, 128, shape).astype(np.int8)
    return rng.choice(np.array([-127, 127], np.int8), shape) if kind == "extreme" else np.full(shape, 127, np.int8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["any", "extreme", "largest"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 9, 1), (3, 1, 5), (5, 800, 62), (37, 130, 3), (20, 1041, 25), (2, 4608, 9)]
)
def test_products_equal_int64(name: product.ProductName, kind: str, shape: tuple[int, int, int]) -> None:
    if not is_exact(name):
        pytest.skip(f"{name} is not exact on this processor")
    (m, k, n), rng = shape, np.random.default_rng(1)
    a, b = drawn(rng, (3, m, k), kind), drawn(rng, (3, k, n), kind)
    right = a.astype(np.int64) @ b.astype(np.int64)
    straight = torch.from_numpy(a), torch.from_numpy(b)
    behind = [torch.from_numpy(np.ascontiguousarray(x.swapaxes(1, 2))).mT for x in (a, b)]
    for of in (straight[0], behind[0]):
        for by in (straight[1], behind[1]):
            whole = PRODUCTS[name](of, by)
            assert whole.dtype == torch.int32
            assert (whole.numpy() == right).all()
            for i in range(3):
                assert (PRODUCTS[name](of[i], by[i]).numpy() == right[i]).all()


def test_floats_without_a_certificate_are_taken_in_pieces() -> None:
    """A sum of 2^24 + 1 is no float: one product of floats would be wrong."""
    ones = 2**24 // 127**2
    a = np.full((1, ones + 3), 127, np.int8)
    b = np.full((ones + 3, 1), 127, np.int8)
    rest = 2**24 + 1 - ones * 127**2
    a[0, ones:], b[ones:, 0] = [rest // 127, 1, 0], [127, rest % 127, 0]
    of, by = torch.from_numpy(a), torch.from_numpy(b)
    assert int((a.astype(np.int64) @ b.astype(np.int64))[0, 0]) == 2**24 + 1
    assert not certified(of.float(), by.float())
    assert int(float32(of, by)) == 2**24 + 1
    assert int((of.float() @ by.float()).long()) != 2**24 + 1


def test_a_certificate_is_of_rows_and_the_largest() -> None:
    a, b = torch.ones(2, 5000), torch.ones(5000, 2)
    assert certified(a, b)
    a[1] = 100
    b[3, 1] = -30
    assert certified(a, b)  # 100 * 5000 * 30 = 1.5e7
    b[3, 1] = -34
    assert not certified(a, b)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (17, 8, 8), (18, 9, 15), (5, 16, 62), (64, 25, 20)])
def test_matrices_are_filled_up_for_cuda(m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(2)
    a, b = torch.from_numpy(drawn(rng, (m, k), "any")), torch.from_numpy(drawn(rng, (k, n), "any"))
    wide_a, wide_b = padded(a, b)
    assert wide_a.shape[0] > 16
    assert wide_a.shape[1] % 8 == wide_b.shape[1] % 8 == 0
    assert wide_a.shape[1] == wide_b.shape[0] < k + 8
    assert torch.equal((wide_a.long() @ wide_b.long())[:m, :n], a.long() @ b.long())


def test_auto_takes_the_first_that_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for wrong in ((), ("int_mm",), ("int_mm", "split"), ("int_mm", "split", "float32")):
        monkeypatch.setattr(product, "is_exact", lambda name, device, wrong=wrong: name not in wrong)
        found.append(find_product("auto"))
    assert found == [PRODUCTS[name] for name in NAMES]
    monkeypatch.setattr(product, "is_exact", lambda name, device: False)
    with pytest.raises(ValueError, match="int_mm is not exact on this machine's cpu; use auto"):
        find_product("int_mm")
    with pytest.raises(ValueError, match="no product of int8 matrices is exact"):
        find_product("auto")


def test_an_unknown_product_is_refused() -> None:
    with pytest.raises(ValueError, match=r"product must be one of auto, int_mm, .* \(got 'bf16'\)"):
        find_product("bf16")


def test_a_product_that_saturates_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What 16-bit sums of pairs make of the largest numbers, without a processor that has them."""

    def saturating(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        even = (a[:, ::2, None].int() + 128) * b[None, ::2].int()
        odd = (a[:, 1::2, None].int() + 128) * b[None, 1::2].int()
        pairs = even
        pairs[:, : odd.shape[1]] += odd
        return pairs.clamp(-(2**15), 2**15 - 1).sum(1, dtype=torch.int32) - 128 * b.int().sum(0, dtype=torch.int32)

    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not is_exact.__wrapped__("int_mm")
    assert is_exact.__wrapped__("split")


@pytest.mark.skipif(not X86, reason="oneDNN's paths without VNNI are of x86")
def test_the_self_test_fails_without_vnni() -> None:
    code = "from fl_sim.int8.product import is_exact as e; print(*(e(n) for n in ('int_mm', 'split', 'float32')))"
    for isa in ("AVX2", "AVX512_CORE"):
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": isa, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        assert done.stdout.split() == ["False", "True", "True"], isa
