import subprocess
import sys
from fractions import Fraction
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_sim import sums
from fl_sim.model import find_model
from fl_sim.sums import Unit, add, as_unit, mean, unit_of
from fl_sim.weights import FloatWeights, IntWeights, Weights, floats

MODEL = find_model("4x4x1:conv2k3,fc3", 3)  # 18 and 24 weights
EXPONENTS = (-9, -7)
MOST_SAMPLES = 2**25 - 1
STEPS = [Fraction(1, 2**9)] * 18 + [Fraction(1, 2**7)] * 24

seeds = st.integers(0, 2**32 - 1)
counts = st.lists(st.integers(1, 5000), min_size=1, max_size=12)
LARGEST_FLOAT = float(np.nextafter(np.float32(8192), np.float32(0)))


@pytest.fixture(params=["numpy", "native"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sums in numpy, and by the native library where it can be built."""
    if request.param == "numpy":
        monkeypatch.setattr(sums, "_kernels", lambda: None)
    else:
        kernels = native()
        monkeypatch.setattr(sums, "_kernels", lambda: kernels)
    return str(request.param)


def native() -> ModuleType:
    try:
        from profiler.native import library
        from profiler.native import sums as kernels

        library.library()
    except (ValueError, OSError, RuntimeError) as error:
        pytest.skip(f"no native library: {error}")
    return kernels


def mantissas(seed: int, clients: int) -> list[Weights]:
    rng = np.random.default_rng(seed)
    return [IntWeights(rng.integers(-127, 128, 42).astype(np.int8), EXPONENTS) for _ in range(clients)]


def reals(seed: int, clients: int) -> list[Weights]:
    """Floats of all sizes: tiny, halves of the unit, near the largest."""
    rng = np.random.default_rng(seed)
    found = list[Weights]()
    for _ in range(clients):
        values = rng.normal(0, 1, 42) * 2.0 ** rng.integers(-45, 10, 42)
        values[:6] = (rng.integers(-(2**20), 2**20, 6) + 0.5) * 2.0**-38
        values[6:8] = LARGEST_FLOAT, -LARGEST_FLOAT
        found.append(FloatWeights(values.astype(np.float32)))
    return found


def added(clients: list[Weights], samples: list[int], unit: Unit) -> np.ndarray:
    total = np.zeros(42, dtype=np.int64)
    half = len(clients) // 2  # some together, some alone
    add(total, clients[:half], samples[:half], unit)
    for weights, n in zip(clients[half:], samples[half:], strict=True):
        add(total, [weights], [n], unit)
    return total


def half_even(x: Fraction) -> int:
    return round(x)  # Python rounds a fraction's halves to even


@pytest.mark.parametrize("seed", range(30))
def test_sums_of_mantissas_are_whole_numbers(where: str, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(1, 2 ** (seed % 21 + 1), 9).tolist()
    clients = mantissas(seed, 9)
    total = added(clients, samples, unit_of(sum(samples), EXPONENTS))
    expected = [sum(n * int(c.values[i]) for n, c in zip(samples, clients, strict=True)) for i in range(42)]
    assert total.tolist() == expected
    found = mean(total, sum(samples), unit_of(sum(samples), EXPONENTS), MODEL)
    exact = [Fraction(t, sum(samples)) * step for t, step in zip(expected, STEPS, strict=True)]
    assert found.tolist() == [float(x) for x in exact]  # one rounding, the nearest float64


@pytest.mark.parametrize("seed", range(30))
def test_sums_of_floats_are_whole_numbers(where: str, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(1, 2 ** (seed % 21 + 1), 9).tolist()
    clients = reals(seed, 9)
    unit = unit_of(sum(samples), None)
    total = added(clients, samples, unit)
    expected = [
        sum(n * half_even(Fraction(float(c.values[i])) * 2**unit.places) for n, c in zip(samples, clients, strict=True))
        for i in range(42)
    ]
    assert total.tolist() == expected
    exact = [Fraction(t, sum(samples)) / 2**unit.places for t in expected]
    assert np.allclose(mean(total, sum(samples), unit, MODEL), [float(x) for x in exact], rtol=4e-16, atol=0)


@given(seeds, counts, st.booleans(), st.randoms(use_true_random=False))
def test_order_never_matters(seed: int, samples: list[int], whole: bool, random: object) -> None:
    clients = (mantissas if whole else reals)(seed, len(samples))
    unit = unit_of(sum(samples), EXPONENTS if whole else None)
    order = list(range(len(samples)))
    random.shuffle(order)  # type: ignore[attr-defined]
    total = added(clients, samples, unit)
    assert np.array_equal(total, added([clients[i] for i in order], [samples[i] for i in order], unit))
    # ... and neither does how clients are shared among processes.
    half = len(order) // 2
    parts = [
        added([clients[i] for i in part], [samples[i] for i in part], unit) for part in (order[:half], order[half:])
    ]
    assert np.array_equal(total, parts[0] + parts[1])


@given(seeds, counts, st.booleans())
def test_clients_that_are_alike_are_one(seed: int, samples: list[int], whole: bool) -> None:
    (client,) = (mantissas if whole else reals)(seed, 1)
    n, unit = sum(samples), unit_of(sum(samples), EXPONENTS if whole else None)
    many = mean(added([client] * len(samples), samples, unit), n, unit, MODEL)
    assert np.array_equal(many, mean(added([client], [n], unit), n, unit, MODEL))
    values = floats(MODEL, client).astype(np.float64)
    error = 0.0 if whole else 0.5 / unit.scale
    assert (np.abs(many - values) <= error).all()


@given(st.integers(1, MOST_SAMPLES))
def test_fewer_samples_are_summed_at_least_as_finely(samples: int) -> None:
    assert unit_of(samples, None).places <= unit_of(max(samples // 2, 1), None).places <= 38
    assert unit_of(samples, None).places >= 24
    assert unit_of(samples, EXPONENTS).exponents == EXPONENTS


@given(st.integers(1, MOST_SAMPLES))
def test_no_sum_overflows(samples: int) -> None:
    """2^13 * 2^places * samples < 2^62, in Python's integers."""
    places = unit_of(samples, None).places
    assert half_even(Fraction(LARGEST_FLOAT) * 2**places) * samples < 2**62
    assert 127 * samples < 2**62


@pytest.mark.parametrize("samples", [1, 2, 2**11 - 1, 2**11, 4520, 2**24, MOST_SAMPLES])
def test_the_largest_sums_are_right(where: str, samples: int) -> None:
    values = np.where(np.arange(42) % 2, LARGEST_FLOAT, -LARGEST_FLOAT).astype(np.float32)
    unit = unit_of(samples, None)
    total = added([FloatWeights(values)], [samples], unit)
    assert total.tolist() == [int(Fraction(float(v)) * 2**unit.places) * samples for v in values]
    assert np.array_equal(mean(total, samples, unit, MODEL), values)
    extreme = np.where(np.arange(42) % 2, 127, -127).astype(np.int8)
    total = added([IntWeights(extreme, EXPONENTS)], [samples], unit_of(samples, EXPONENTS))
    assert total.tolist() == [int(m) * samples for m in extreme]


@pytest.mark.parametrize("samples", [0, -1, MOST_SAMPLES + 1, 2**60, 10**30])
def test_rounds_that_might_overflow_are_refused(samples: int) -> None:
    for exponents in (None, EXPONENTS):
        with pytest.raises(ValueError, match="samples of a round must be from 1 to 33,554,431"):
            unit_of(samples, exponents)
        with pytest.raises(ValueError, match="samples must be from 1 to"):
            mean(np.zeros(42, dtype=np.int64), samples, unit_of(9, exponents), MODEL)
    with pytest.raises(ValueError, match="samples must be from 1 to"):
        add(np.zeros(42, dtype=np.int64), mantissas(0, 1), [samples], unit_of(9, EXPONENTS))


def test_more_samples_than_the_unit_was_made_for_are_refused() -> None:
    unit = unit_of(4000, None)
    mean(np.zeros(42, dtype=np.int64), 4000, unit, MODEL)
    with pytest.raises(ValueError, match="those that unit_of was given"):
        mean(np.zeros(42, dtype=np.int64), 4096, unit, MODEL)


@pytest.mark.parametrize("place", [0, 20, 41])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 8192.0, -8192.0, 3e38])
def test_a_model_that_has_diverged_is_refused(where: str, place: int, wrong: float) -> None:
    values = np.ones(42, dtype=np.float32)
    values[place] = wrong
    total = np.arange(42, dtype=np.int64)
    with pytest.raises(ArithmeticError, match=r"within \+-8192 .* lower learning_rate"):
        add(total, [*reals(0, 2), FloatWeights(values)], [1, 2, 5], unit_of(100, None))
    assert np.array_equal(total, np.arange(42))


def test_weights_that_are_not_in_the_unit_are_refused() -> None:
    total = np.zeros(42, dtype=np.int64)
    other = IntWeights(np.ones(42, dtype=np.int8), (-9, -8))
    unit, real = unit_of(9, EXPONENTS), FloatWeights(np.ones(42, dtype=np.float32))
    assert as_unit(MODEL, other, unit) is other  # it is not made to fit either
    for weights, of, says in [
        (other, unit, r"exponents must be \(-9, -7\).*got \(-9, -8\)"),
        (other, unit_of(9, None), "weights must be floats .*as_unit"),
        (real, unit, "must be mantissas .*got floats"),
        (IntWeights(np.ones(41, dtype=np.int8), EXPONENTS), unit, r"must be 42 numbers.*got \[41\]"),
        (FloatWeights(np.ones(43, dtype=np.float32)), unit_of(9, None), r"must be 42 numbers.*got \[43\]"),
    ]:
        with pytest.raises(ValueError, match=says):
            add(total, [weights], [1], of)
    assert not total.any()


@given(seeds)
def test_mantissas_of_other_exponents_are_summed_as_floats(seed: int) -> None:
    (client,) = mantissas(seed, 1)
    unit = unit_of(7, None)
    total = added([as_unit(MODEL, client, unit)], [7], unit)
    assert np.array_equal(mean(total, 7, unit, MODEL), floats(MODEL, client))
    assert as_unit(MODEL, client, unit_of(7, EXPONENTS)) is client


@given(seeds, st.integers(1, 3 * 8192 + 5), st.integers(1, MOST_SAMPLES))
def test_numpy_and_the_native_library_add_the_same(seed: int, count: int, samples: int) -> None:
    kernels = native()
    rng = np.random.default_rng(seed)
    before = rng.integers(-(2**61), 2**61, count)
    whole, real = rng.integers(-127, 128, count).astype(np.int8), rng.normal(0, 0.1, count).astype(np.float32)
    scale = unit_of(samples, None).scale
    ours, theirs = before.copy(), before.copy()
    sums.add_int8(ours, [whole], [samples])
    kernels.add_int8(theirs, [whole], [samples])
    assert np.array_equal(ours, theirs)
    assert np.array_equal(ours, before + whole.astype(np.int64) * samples)
    sums.add_fp32(ours, [real, real[::-1].copy()], scale, [samples, 3])
    assert kernels.add_fp32(theirs, [real, real[::-1].copy()], scale, [samples, 3])
    assert np.array_equal(ours, theirs)


def test_no_sum_builds_the_library() -> None:
    """Without a native engine the numbers are added in numpy: nothing is compiled for that."""
    program = (
        "import sys, numpy as np\n"
        "from fl_sim.sums import add, unit_of\n"
        "from fl_sim.weights import IntWeights\n"
        "add(np.zeros(3, dtype=np.int64), [IntWeights(np.ones(3, dtype=np.int8), (0,))], [1], unit_of(1, (0,)))\n"
        "assert 'profiler.native.library' not in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
