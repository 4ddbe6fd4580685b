"""FedScale's capacity: numbers above 0, a unit that is said, and the rest counted."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from traces.fedscale.capacity import Capacity, read_capacity

SHARED = Path(__file__).parents[3] / "../shared/data/fedscale"
GOOD = {"computation": 153.0, "communication": 2209.5}


def read(**clients: Any) -> Capacity:
    return read_capacity(json.dumps(clients).encode())


def test_the_unit_makes_bits() -> None:
    raw = json.dumps({"1": GOOD}).encode()
    assert read_capacity(raw).rate_bit_per_s.tolist() == [2_209_500]
    assert read_capacity(raw, unit="kB/s").rate_bit_per_s.tolist() == [2_209_500 * 8]
    assert read_capacity(raw).computation_ms.tolist() == [153]
    with pytest.raises(ValueError, match=r"unit must be kbit/s or kB/s \(got 'kb/s'\)"):
        read_capacity(raw, unit="kb/s")  # type: ignore[arg-type]


def test_each_client_has_a_constant_network_of_its_own() -> None:
    network = read(a=GOOD, b={"computation": 1, "communication": 10}).network()
    assert network.kind == "constant"
    assert network.download_bit_per_s.tolist() == network.upload_bit_per_s.tolist() == [2_209_500, 10_000]


def test_the_pickle_holds_numbers_of_numpy() -> None:
    whole = {client: {key: np.float64(value) for key, value in GOOD.items()} for client in range(3)}
    found = read_capacity(pickle.dumps(whole, 3))
    assert found.ids == ("0", "1", "2")
    assert found.rate_bit_per_s.tolist() == [2_209_500] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"communication": -1}, "communication is not above 0"),
        ({"communication": 0}, "communication is not above 0"),
        ({"communication": float("nan")}, "communication is not finite"),
        ({"communication": float("inf")}, "communication is not finite"),
        ({"communication": 1e10}, "beyond 1e"),
        ({"communication": 10**400}, "beyond 1e"),
        ({"communication": 5e-324}, "communication is below 0.001"),
        ({"computation": 5e-324}, "computation is below 1e-06"),
        ({"communication": "5"}, "communication is missing or no number"),
        ({"communication": True}, "communication is missing or no number"),
        ({"computation": None}, "computation is missing or no number"),
        ({"computation": -0.0}, "computation is not above 0"),
        ({"computation": float("-inf")}, "computation is not finite"),
    ],
)
def test_a_bad_client_is_dropped_and_counted(change: dict[str, Any], reason: str) -> None:
    found = read(good=GOOD, bad=GOOD | change)
    assert found.ids == ("good",)
    ((said, count),) = found.report.dropped
    assert (reason in said, count) == (True, 1)
    with pytest.raises(ValueError, match="no client of 1 has a capacity"):
        read(bad=GOOD | change)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the traces are not beside the checkout")
def test_the_first_hundred_clients() -> None:
    found = read_capacity(SHARED / "device_capacity_100.json")
    assert found.report.kept == 100
    assert not found.report.dropped
    assert (found.computation_ms.min(), found.computation_ms.max()) == (15, 199)
    assert np.median(found.computation_ms) == 46.5
    assert found.computation_ms.mean() == pytest.approx(86.0, abs=0.05)
    rate = found.rate_bit_per_s / 1e3
    assert np.median(rate) == pytest.approx(5388, abs=0.5)
    assert rate.mean() == pytest.approx(13_408, abs=0.5)
    assert (rate.min(), rate.max()) == (pytest.approx(1017, abs=1), pytest.approx(115_252, abs=1))
