from dataclasses import replace

import numpy as np
import pytest

from fl_sim.load import Load, check_load, demand, part_of
from traces.fleet import Fleet, uniform_fleet
from traces.hardware import Hardware

LOAD = Load(
    batches=np.array([2.0, 0.5]),
    download_bytes=np.array([10.0, 20.0]),
    upload_bytes=np.array([1.0, 2.0]),
    batch_time_ms=np.array([1000.0, 250.0, np.nan]),
    batch_energy_mj=np.array([500.0, np.nan, np.nan]),
)


def fleet_of(kinds: list[int]) -> Fleet:
    hardware = Hardware(("a", "b", "c\x1b[31m"), ("", "", ""), ("low", "low", "low"), np.zeros(3))
    plain = uniform_fleet("f", len(kinds), model="m", soc="", tier="", bit_per_s=1.0)
    return replace(plain, hardware=hardware, hardware_of=np.array(kinds, dtype=np.int32))


def test_a_phone_holds_the_data_of_a_client_and_trains_at_its_hardwares_cost() -> None:
    asked = demand(LOAD, fleet_of([0, 1, 0, 0]), np.array([3, 1, 0, 2]))
    assert asked.train_s.tolist() == [0.5, 0.125, 2.0, 2.0]
    np.testing.assert_array_equal(asked.train_j, [0.25, np.nan, 1.0, 1.0])
    assert asked.download_bytes.tolist() == [20.0, 20.0, 10.0, 10.0]
    assert asked.upload_bytes.tolist() == [2.0, 2.0, 1.0, 1.0]
    assert part_of(asked, np.array([2, 0])).train_s.tolist() == [2.0, 0.5]


def test_only_hardware_that_phones_have_needs_a_time() -> None:
    check_load(LOAD, fleet_of([0, 1]))
    with pytest.raises(ValueError, match=r"not known for hardware 'c\?\[31m', which phones have; map it"):
        check_load(LOAD, fleet_of([0, 2]))
    with pytest.raises(ValueError, match="not known for hardware"):
        demand(LOAD, fleet_of([0, 2]), np.array([1]))
    assert demand(LOAD, fleet_of([0, 2]), np.array([0])).train_s.tolist() == [2.0]
    with pytest.raises(ValueError, match=r"each kind of the fleet's hardware \(got 2 for 3\)"):
        check_load(replace(LOAD, batch_time_ms=np.ones(2), batch_energy_mj=np.ones(2)), fleet_of([0]))


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("batches", [1.0, -1.0], r"batches must be from 0 .*got -1 in place 1"),
        ("batches", [np.nan, 1.0], "batches must be from 0 .*got nan in place 0"),
        ("download_bytes", [1.0, np.inf], "download_bytes must be from 0 .*got inf"),
        ("upload_bytes", [1.0], r"upload_bytes must have as many entries as batches \(got 1 for 2\)"),
        ("batch_time_ms", [1.0, 2.0, -3.0], "batch_time_ms must be from 0 .* NaN .*got -3 in place 2"),
        ("batch_energy_mj", [1.0], "batch_energy_mj must have as many entries as batch_time_ms"),
        ("batches", [], "batches must be an array of one dimension"),
        ("batches", [[1.0, 2.0]], "batches must be an array of one dimension"),
    ],
)
def test_loads_that_are_none(field: str, values: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(LOAD, **{field: np.array(values)})
