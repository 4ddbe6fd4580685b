"""Rounding in torch equals the oracle: golden vectors, one shift for all and one for each client."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from fl_sim.int8 import oracle  # noqa: E402
from fl_sim.int8.rounding import How, bits, divide_, how, keys, largest, random_words, requantise_  # noqa: E402
from profiler.native.rules import ROUNDINGS, Rounding, Rules  # noqa: E402

WIDTHS = {
    0: 0, 1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 64: 6, 65: 7, 127: 7, 128: 7, 129: 8, 256: 8, 257: 9, 16384: 14, 16385: 15,
    2**24: 24, 2**24 + 1: 25, 2**31 - 1: 31,
}  # fmt: skip
X = [0, 1, -1, 7, 8, 9, -7, -8, -9, 15, 16, 17, 23, 24, 25, -23, -24, -25, 100, -100, 2047, -2047, 2048]
GOLDEN: dict[tuple[Rounding, int], list[int]] = {
    ("nearest", 4): [0, 0, 0, 0, 1, 1, 0, -1, -1, 1, 1, 1, 1, 2, 2, -1, -2, -2, 6, -6, 128, -128, 128],
    ("pseudo-stochastic", 4): [0, 0, 0, 0, 1, 1, 0, -1, -1, 0, 1, 1, 1, 2, 2, -1, -2, -2, 7, -7, 127, -127, 128],
    ("pseudo-stochastic", 5): [0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 1, 1, 0, 1, 1, 0, -1, -1, 4, -4, 64, -64, 64],
}
MOST = 133144 * 127 * 127  # the largest sum of a step
sums = st.lists(st.integers(-MOST, MOST), min_size=1, max_size=60).map(lambda values: np.array(values, np.int64))


def int32(values: object) -> torch.Tensor:
    return torch.tensor(np.asarray(values, dtype=np.int32))


def key_of(word: int) -> torch.Tensor:
    return keys([word], torch.device("cpu"))


def test_bit_widths_are_the_golden_ones() -> None:
    assert bits(int32(list(WIDTHS))).tolist() == list(WIDTHS.values())


@pytest.mark.parametrize(("rounding", "s"), GOLDEN)
def test_roundings_are_the_golden_ones(rounding: Rounding, s: int) -> None:
    assert divide_(int32(X), s, How(rounding)).tolist() == GOLDEN[rounding, s]
    each = divide_(int32([X, X]), int32([[s], [0]]), How(rounding))
    assert each.tolist() == [GOLDEN[rounding, s], X]


@settings(max_examples=150)
@given(sums, st.integers(-3, 31), st.sampled_from(ROUNDINGS), st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_one_shift_for_all(x: np.ndarray, s: int, rounding: Rounding, key: int, first: int) -> None:
    wide = np.concatenate([np.zeros(first, np.int64), x])
    expected = oracle.shifted(wide, s, rounding, key)[first:]
    assert divide_(int32(x), s, How(rounding, key), first).tolist() == expected.tolist()


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(-3, 31), st.integers(0, 2**32 - 1)), min_size=1, max_size=4),
    st.integers(1, 9), st.sampled_from(ROUNDINGS), st.integers(0, 2**32),
)  # fmt: skip
def test_a_shift_for_each_client(of: list[tuple[int, int]], size: int, rounding: Rounding, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-MOST, MOST, (len(of), 3, size)) >> rng.integers(0, 31, (len(of), 1, 1))
    expected = [oracle.shifted(part, s, rounding, key) for part, (s, key) in zip(x, of, strict=True)]
    by = How(rounding, keys([key for _, key in of], torch.device("cpu")))
    found = divide_(int32(x), int32([s for s, _ in of]).view(-1, 1, 1), by)
    assert (found.numpy() == np.array(expected)).all()


@settings(max_examples=100)
@given(sums, st.sampled_from(ROUNDINGS), st.booleans())
def test_requantised_sums(x: np.ndarray, rounding: Rounding, relu: bool) -> None:
    m, s = oracle.requantised(x, rounding, 77)
    assert largest(int32(x)) == np.abs(x).max()
    out = torch.empty(len(x), dtype=torch.int8)
    requantise_(int32(x), s, out, How(rounding, 77), relu=relu)
    assert out.tolist() == (np.maximum(m, 0) if relu else m).tolist()
    requantise_(int32([x]), int32([[s]]), out.view(1, -1), How(rounding, key_of(77)), relu=relu)
    assert out.tolist() == (np.maximum(m, 0) if relu else m).tolist()


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1, 2**64 - 1])
def test_random_words_are_those_of_every_path(seed: int) -> None:
    key = oracle.random_key(seed, 3, 2, oracle.OF_UPDATE)
    words = oracle.random_word(key, np.arange(100)).astype(np.uint32).astype(np.int32)
    assert (random_words(key, (4, 25), 0, torch.device("cpu")).numpy() == words.reshape(4, 25)).all()
    assert (random_words(key, (40,), 60, torch.device("cpu")).numpy() == words[60:]).all()
    both = torch.cat([key_of(key), key_of(5)])
    other = oracle.random_word(5, np.arange(100)).astype(np.uint32).astype(np.int32)
    found = random_words(both, (2, 100), 0, torch.device("cpu")).numpy()
    assert (found == np.array([words, other])).all()


def test_keys_are_made_only_where_numbers_are_drawn() -> None:
    rules = Rules(activation="stochastic", seed=9)
    assert how(rules, 4, 2, oracle.OF_ACTIVATION) == ("stochastic", oracle.random_key(9, 4, 2, oracle.OF_ACTIVATION))
    assert how(rules, 4, 2, oracle.OF_ERROR) == ("nearest", 0)
    assert how(rules, 4, 2, oracle.OF_UPDATE) == how(rules, 4, 2, oracle.OF_LOSS) == ("pseudo-stochastic", 0)
