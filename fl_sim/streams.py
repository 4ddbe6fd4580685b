"""Random streams: every draw of a run has its own, by seed, purpose, round and client, so that order never matters."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is for."""

    WEIGHTS = 1
    PARTITION = 2
    COHORT = 3
    ORDER = 4
    DISPATCH = 5
    UPLOAD = 6
    ROUNDING = 7


def stream(seed: int, purpose: Purpose, round_number: int = 0, client: int = 0) -> np.random.Generator:
    """Return the generator of a purpose, round (below 2^24) and client (below 2^32) of a run."""
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, round_number, client)))


def rounding_seed(seed: int, round_number: int, client: int) -> int:
    """Return the 64-bit seed of a client's stochastic rounding in a round; its steps and layers are keyed below it."""
    low, high = _key(seed, Purpose.ROUNDING, round_number, client)
    return int((high * 0x9E3779B97F4A7C15 + low * 0xD1B54A32D192ED03 + 0x8CB92BA72F3D8DD7) % 2**64)


def _key(seed: int, purpose: Purpose, round_number: int, client: int) -> list[int]:
    return [seed % 2**64, (purpose << 56) | ((round_number % 2**24) << 32) | (client % 2**32)]
