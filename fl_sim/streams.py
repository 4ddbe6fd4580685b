"""Random streams: every draw of a run has its own, by seed, purpose, round and client, so that order never matters."""

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np

_NOTHING = np.zeros(4, dtype=np.uint64)
_NOTHING.flags.writeable = False


class Purpose(IntEnum):
    """What a stream is for."""

    WEIGHTS = 1
    PARTITION = 2
    COHORT = 3
    ORDER = 4
    DISPATCH = 5
    UPLOAD = 6
    ROUNDING = 7
    SELECTION = 8
    FLEET = 9


def stream(seed: int, purpose: Purpose, round_number: int = 0, client: int = 0) -> np.random.Generator:
    """Return the generator of a purpose, round (below 2^24) and client (below 2^32) of a run.

    Raises ValueError for numbers beyond, and for a seed that is not from 0 to 2^64 - 1: two streams would be one.
    """
    key = np.array(
        _key(seed, purpose, round_number, client), dtype=np.uint64
    )  # a list would become floats from 2^63 on
    return np.random.Generator(np.random.Philox(key=key))


def client_streams(
    seed: int, purpose: Purpose, round_number: int, clients: Iterable[int]
) -> Iterator[np.random.Generator]:
    """Give the ``stream`` of one client after the other: one generator that begins anew, which is quicker.

    Its slow twin is ``stream`` for each client; it raises what that raises.
    """
    rng = stream(seed, purpose, round_number)
    key = np.empty(2, dtype=np.uint64)
    begun = {
        "bit_generator": "Philox", "state": {"counter": _NOTHING, "key": key}, "buffer": _NOTHING, "buffer_pos": 4,
        "has_uint32": 0, "uinteger": 0,
    }  # fmt: skip
    for client in clients:
        key[0], key[1] = _key(seed, purpose, round_number, client)
        rng.bit_generator.state = begun
        yield rng


def rounding_seed(seed: int, round_number: int, client: int) -> int:
    """Return the 64-bit seed of a client's stochastic rounding in a round; its steps and layers are keyed below it.

    Within a run no two clients and rounds share one: the factor of ``high`` is odd, so they differ as ``high`` does.
    """
    low, high = _key(seed, Purpose.ROUNDING, round_number, client)
    return int((high * 0x9E3779B97F4A7C15 + low * 0xD1B54A32D192ED03 + 0x8CB92BA72F3D8DD7) % 2**64)


def _key(seed: int, purpose: Purpose, round_number: int, client: int) -> tuple[int, int]:
    """Return the two words of a key: the seed, and the rest without overlap."""
    if not (0 <= seed < 1 << 64 and 0 <= round_number < 1 << 24 and 0 <= client < 1 << 32):
        for name, value, bits in (("seed", seed, 64), ("round_number", round_number, 24), ("client", client, 32)):
            if not 0 <= value < 1 << bits:
                message = f"{name} must be from 0 to 2^{bits} - 1 (got {value})"
                raise ValueError(message)
    return int(seed), (int(purpose) << 56) | (int(round_number) << 32) | int(client)
