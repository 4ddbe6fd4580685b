import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.round import (
    BATCH_RULES,
    PhasePower,
    client_round,
    count_batches,
    mean_client_energy_j,
    run_time_s,
    synchronous,
)

amounts = st.floats(min_value=1e-3, max_value=1e6)
payloads = st.integers(0, 10**9)
PLAIN: dict[str, Any] = {
    "batch_time_ms": 397.0,
    "batch_energy_mj": 1100.0,
    "samples": 500,
    "batch_size": 64,
    "epochs": 4,
    "download_bytes": 15_000_000,
    "upload_bytes": 15_000_000,
    "bandwidth_bit_per_s": 10e6,
}


def test_a_round_by_hand() -> None:
    cost = client_round(**PLAIN)
    assert float(cost.download_s) == float(cost.upload_s) == 12.0
    assert float(cost.train_s) == pytest.approx(4 * 500 / 64 * 0.397)
    assert float(cost.time_s) == pytest.approx(36.40625)
    assert cost.energy_j is not None
    assert float(cost.energy_j) == pytest.approx(34.375)
    assert float(cost.wait_s) == 0.0


def test_what_is_not_measured_is_none_and_named() -> None:
    assert PhasePower().not_counted == ("radio (download)", "radio (upload)", "idle (waiting)")
    cost = client_round(**PLAIN | {"batch_energy_mj": None}, power=PhasePower(upload_w=1.0))
    assert cost.train_j is None
    assert cost.download_j is None
    assert cost.energy_j is None  # without training there is no total worth the name
    assert cost.upload_j is not None
    assert PhasePower(upload_w=1.0).not_counted == ("radio (download)", "idle (waiting)")


def test_radio_and_waiting_are_added_when_their_power_is_given() -> None:
    power = PhasePower(download_w=0.5, upload_w=1.0, wait_w=0.2)
    cost = client_round(**PLAIN | {"download_bytes": 30_000_000}, wait_s=30.0, power=power)
    assert (cost.download_j, cost.upload_j, cost.wait_j) == (12.0, 12.0, 6.0)
    assert float(cost.time_s) == pytest.approx(24 + 12.40625 + 12 + 30)
    assert cost.energy_j is not None
    assert float(cost.energy_j) == pytest.approx(34.375 + 12 + 12 + 6)
    assert power.not_counted == ()


def test_asymmetric_networks_use_the_uplink_rate_for_the_upload() -> None:
    cost = client_round(**PLAIN, upload_bit_per_s=5e6)
    assert (float(cost.download_s), float(cost.upload_s)) == (12.0, 24.0)


@given(samples=amounts, batch_size=st.integers(1, 4096))
def test_batch_rules_are_ordered(samples: float, batch_size: int) -> None:
    floor, fraction, ceil = (
        float(count_batches(samples, batch_size, rule)) for rule in ("floor", "fractional", "ceil")
    )
    assert floor <= fraction <= ceil <= floor + 1
    assert floor == math.floor(samples / batch_size)
    assert ceil == math.ceil(samples / batch_size)


@given(down=payloads, up=payloads, rate=amounts, faster=st.floats(1.001, 1e3))
def test_time_falls_with_bandwidth(down: int, up: int, rate: float, faster: float) -> None:
    def seconds(bandwidth: float) -> float:
        payload = {"download_bytes": down, "upload_bytes": up, "bandwidth_bit_per_s": bandwidth}
        return float(client_round(**PLAIN | payload).time_s)

    slow, fast = seconds(rate), seconds(rate * faster)
    assert fast <= slow
    if down + up > 1e3 * rate:  # where the transfer is no rounding error beside the training
        assert fast < slow


@given(energy=amounts, rounds=st.integers(1, 10**6), factor=st.integers(2, 100), clients=st.integers(1, 10**6))
def test_energy_is_linear_in_rounds_and_in_participation(energy: float, rounds: int, factor: int, clients: int) -> None:
    once = float(mean_client_energy_j(energy, rounds, 1, clients))
    assert float(mean_client_energy_j(energy, factor * rounds, 1, clients)) == pytest.approx(factor * once)
    assert float(mean_client_energy_j(energy, rounds, clients, clients)) == pytest.approx(clients * once)
    assert float(run_time_s(energy, factor * rounds)) == pytest.approx(factor * float(run_time_s(energy, rounds)))


@given(
    st.lists(st.tuples(amounts, amounts, st.integers(1, 1000), payloads, payloads), min_size=1, max_size=5),
    st.lists(st.tuples(amounts, amounts), min_size=1, max_size=5),
    st.sampled_from(BATCH_RULES),
)
def test_arrays_equal_one_call_for_each_element(
    rounds: list[tuple[float, float, int, int, int]], devices: list[tuple[float, float]], rule: Any
) -> None:
    samples, rate, size, down, up = (np.array(column)[:, None] for column in zip(*rounds, strict=True))
    time_ms, energy_mj = (np.array(column) for column in zip(*devices, strict=True))
    settings: dict[str, Any] = {"batches": rule, "epochs": 2, "power": PhasePower(1.0, 2.0, 3.0)}
    whole = client_round(
        batch_time_ms=time_ms,
        batch_energy_mj=energy_mj,
        samples=samples,
        batch_size=size,
        download_bytes=down,
        upload_bytes=up,
        bandwidth_bit_per_s=rate,
        **settings,
    )
    assert whole.energy_j is not None
    assert whole.time_s.shape == whole.energy_j.shape == (len(rounds), len(devices))
    for i, (n, bandwidth, batch, download, upload) in enumerate(rounds):
        for j, (t, e) in enumerate(devices):
            one = client_round(
                batch_time_ms=t,
                batch_energy_mj=e,
                samples=n,
                batch_size=batch,
                download_bytes=download,
                upload_bytes=upload,
                bandwidth_bit_per_s=bandwidth,
                **settings,
            )
            assert one.energy_j is not None
            assert float(one.time_s) == whole.time_s[i, j]
            assert float(one.energy_j) == whole.energy_j[i, j]


@given(st.lists(amounts, min_size=1, max_size=20))
def test_everyone_waits_for_the_slowest(times: list[float]) -> None:
    cost = client_round(**PLAIN | {"batch_time_ms": np.array(times)})
    together = synchronous(cost, power=PhasePower(wait_w=0.5))
    slowest = float(cost.busy_s.max())
    np.testing.assert_allclose(together.time_s, slowest, rtol=1e-12)
    assert (together.wait_s >= 0).all()
    assert together.wait_j is not None
    np.testing.assert_allclose(together.wait_j, 0.5 * (slowest - cost.busy_s), rtol=1e-9, atol=1e-6)


def test_a_phone_without_measured_energy_stays_without_in_an_array() -> None:
    cost = client_round(**PLAIN | {"batch_energy_mj": np.array([1100.0, np.nan])})
    assert cost.energy_j is not None
    energy = mean_client_energy_j(cost.energy_j, 10, 1, 2)
    assert energy[0] == pytest.approx(10 * 34.375 / 2)
    assert np.isnan(energy[1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_time_ms", 0),
        ("batch_time_ms", math.nan),
        ("batch_energy_mj", -1),
        ("batch_energy_mj", math.inf),
        ("samples", 0),
        ("batch_size", -5),
        ("epochs", 0),
        ("download_bytes", -1),
        ("upload_bytes", math.nan),
        ("bandwidth_bit_per_s", 0),
        ("bandwidth_bit_per_s", [1e6, -1]),
        ("wait_s", -1),
    ],
)
def test_a_bad_number_names_its_field_and_value(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{field} must be finite"):
        client_round(**PLAIN | {field: value})


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="batches must be one of fractional, ceil, floor"):
        count_batches(10, 5, "half")
    with pytest.raises(ValueError, match="must not be above clients"):
        mean_client_energy_j(1.0, 1, 11, 10)
    with pytest.raises(ValueError, match="upload_w must be a power"):
        PhasePower(upload_w=-1)
