import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from profiler.power.gauge import Gauge, Override, calibrate, readable
from profiler.power.samples import Array, Samples
from profiler.power.simulated import GaugeModel, PowerTrace, simulate
from profiler.power.supply import Reading

TRACE = PowerTrace()
IDLE = ((0.0, 20.0), (54.0, 70.0))
BUSY = ((23.0, 50.0),)


def record(gauge: GaugeModel, trace: PowerTrace = TRACE, seed: int = 0) -> Samples:
    return simulate(trace, gauge, np.random.default_rng(seed))


def calibrated(samples: Samples, static: Reading | None = None, override: Override | None = None) -> Gauge:
    return calibrate(samples, IDLE, BUSY, static, override)


def changed(samples: Samples, **columns: Array) -> Samples:
    merged: Mapping[str, Array] = {**samples.columns, **columns}
    return dataclasses.replace(samples, columns=merged)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("current_unit", "amperes"), [("uA", 1e-6), ("mA", 1e-3)])
@pytest.mark.parametrize(("voltage_unit", "volts"), [("uV", 1e-6), ("mV", 1e-3)])
@pytest.mark.parametrize("busy_w", [2.0, 12.0])
def test_units_sign_and_period_are_found_without_knowing_anything(
    sign: int, current_unit: str, amperes: float, voltage_unit: str, volts: float, busy_w: float
) -> None:
    model = GaugeModel(period_s=0.5, sign=sign, current_unit=current_unit, voltage_unit=voltage_unit)
    gauge = calibrated(record(model, PowerTrace(busy_w=busy_w)))
    assert (gauge.current_a_per_unit, gauge.voltage_v_per_unit, gauge.discharge_sign) == (amperes, volts, sign)
    assert gauge.charge_ah_per_unit == 1e-6
    assert gauge.period_s == pytest.approx(0.5, rel=0.05)
    assert gauge.doubts == ()
    assert len(gauge.evidence) == 5


def test_the_sign_is_that_of_the_load_whatever_the_status_says() -> None:
    model = GaugeModel(sign=1, words={"status": "Charging"})
    assert calibrated(record(model)).discharge_sign == 1


def test_a_static_reading_that_says_otherwise_is_a_doubt_and_does_not_win() -> None:
    static = Reading("mA", "mV", 1, None, None, ("a look at the uevent",), ())
    gauge = calibrated(record(GaugeModel()), static)
    assert (gauge.current_a_per_unit, gauge.voltage_v_per_unit, gauge.discharge_sign) == (1e-6, 1e-6, -1)
    assert len(gauge.doubts) == 3


def test_where_the_load_does_not_tell_the_static_reading_decides_the_sign() -> None:
    flat = record(GaugeModel(words={"status": "Unknown"}), PowerTrace(idle_w=3, busy_w=3.01, ripple_w=0))
    static = Reading("uA", "uV", -1, None, None, ("STATUS is Discharging",), ())
    gauge = calibrated(flat, static)
    assert gauge.discharge_sign == -1
    assert any("load did not change" in doubt for doubt in gauge.doubts)
    with pytest.raises(ValueError, match="give discharge_sign"):
        calibrated(flat)
    assert calibrated(flat, override=Override(discharge_sign=-1)).discharge_sign == -1
    discharging = dataclasses.replace(flat, words={"status": ("Discharging",) * len(flat.time_s)})
    assert calibrated(discharging).discharge_sign == -1


def test_a_charging_phone_keeps_its_sign_and_raises_a_doubt() -> None:
    # Two amperes flow in, load takes them away again: raw current goes from +1.77 A (charging) to +0.65 A.
    samples = record(GaugeModel())
    gauge = calibrated(changed(samples, current=samples.columns["current"] + 2e6))
    assert gauge.discharge_sign == -1
    assert any("charging" in doubt for doubt in gauge.doubts)


@pytest.mark.parametrize(
    ("factor", "words"), [(0.5, "two cells"), (1000.0, None), (-1.0, "rises"), (0.01, "differ by 0.0")]
)
def test_the_charge_counter_must_agree_with_the_current(factor: float, words: str | None) -> None:
    samples = record(GaugeModel(charge_resolution=100))
    charge = samples.columns["charge"] / factor
    gauge = calibrated(changed(samples, charge=charge))
    if words is None:  # the counter is in mAh
        assert gauge.charge_ah_per_unit == 1e-3
        assert gauge.doubts == ()
    else:
        assert any(words in doubt for doubt in gauge.doubts)


def test_a_charge_counter_that_stands_still_has_no_unit() -> None:
    samples = record(GaugeModel())
    gauge = calibrated(changed(samples, charge=np.full(len(samples.time_s), 2.8e6)))
    assert np.isnan(gauge.charge_ah_per_unit)


@pytest.mark.parametrize("value", [-22.0, -2147483648.0, 0.0, 123456.0])
def test_a_current_that_stands_still_is_refused(value: float) -> None:
    samples = record(GaugeModel())
    with pytest.raises(ValueError, match=r"stands still|could be read in less"):
        calibrated(changed(samples, current=np.full(len(samples.time_s), value)))


@pytest.mark.parametrize("column", ["current", "voltage"])
def test_a_column_that_nobody_may_read_is_refused(column: str) -> None:
    samples = record(GaugeModel())
    nothing = {column: np.full(len(samples.time_s), np.nan)}
    with pytest.raises(ValueError, match=f"{column} could be read in less than 10"):
        calibrated(changed(samples, **nothing))


@pytest.mark.parametrize(("factor", "key"), [(30.0, "current_unit"), (3e-6, "current_unit")])
def test_a_power_that_no_phone_has_is_refused_naming_what_to_give(factor: float, key: str) -> None:
    samples = record(GaugeModel(resolution=0.001))
    scaled = changed(samples, current=samples.columns["current"] * factor)
    with pytest.raises(ValueError, match=f"give {key}"):
        calibrated(scaled)
    gauge = calibrated(scaled, override=Override(current_unit="uA"))
    assert gauge.current_a_per_unit == 1e-6
    assert any("as given" in doubt for doubt in gauge.doubts)


def test_a_voltage_that_no_battery_has_is_refused() -> None:
    samples = record(GaugeModel())
    with pytest.raises(ValueError, match="give voltage_unit"):
        calibrated(changed(samples, voltage=samples.columns["voltage"] * 30))


def test_what_a_person_gives_counts() -> None:
    override = Override(current_unit="uA", voltage_unit="uV", charge_unit="mAh", discharge_sign=1, period_s=0.7)
    gauge = calibrated(record(GaugeModel()), override=override)
    assert (gauge.charge_ah_per_unit, gauge.discharge_sign, gauge.period_s) == (1e-3, 1, 0.7)
    assert sum("given" in words for words in gauge.evidence) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"current_unit": "A"}, {"voltage_unit": "V"}, {"charge_unit": "C"}, {"discharge_sign": 0}, {"period_s": 0}],
)
def test_an_override_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Override(**wrong)  # type: ignore[arg-type]


def test_error_numbers_among_measurements_are_unreadable_but_22_ma_are_a_current() -> None:
    micro = readable(np.array([-431000.0, -22.0, -430000.0, -2147483648.0, 0.0]))
    assert np.isnan(micro).tolist() == [False, True, False, True, False]
    milli = readable(np.array([-431.0, -22.0, -430.0, 2147483647.0]))
    assert np.isnan(milli).tolist() == [False, False, False, True]
    assert np.isnan(readable(np.full(9, -22.0))).all()


def test_sentinels_in_a_record_do_not_change_the_verdict() -> None:
    samples = record(GaugeModel())
    current = samples.columns["current"].copy()
    current[::17] = -2147483648.0
    current[5::31] = -22.0
    gauge = calibrated(changed(samples, current=current))
    plain = calibrated(samples)
    assert dataclasses.replace(gauge, evidence=(), period_s=0) == dataclasses.replace(plain, evidence=(), period_s=0)
    assert gauge.period_s == pytest.approx(plain.period_s, rel=0.02)


def test_where_the_current_hardly_changes_the_period_is_the_voltage_s() -> None:
    samples = record(GaugeModel(noise=0, resolution=200_000, period_s=0.5))
    gauge = calibrated(samples)
    assert gauge.period_s == pytest.approx(0.5, rel=0.05)
    assert any("too seldom" in doubt for doubt in gauge.doubts)
