"""The thermal state in what several versions of Android print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.device.thermal import STATUSES, Thermal, thermal_of
from profiler.names import has_control_characters

ANDROID_10 = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 2
\tkilled: false
\tbroadcasts count: -1
ThermalStatusListeners:
\tcallbacks: 3
Thermal Status: 1
Cached temperatures:
\tTemperature{mValue=31.1, mType=2, mName=battery, mStatus=0}
\tTemperature{mValue=40.0, mType=3, mName=skin, mStatus=1}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=52.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=48.25, mType=1, mName=GPU0, mStatus=0}
\tTemperature{mValue=33.4, mType=2, mName=battery, mStatus=0}
\tTemperature{mValue=41.5, mType=3, mName=skin, mStatus=1}
\tTemperature{mValue=29.0, mType=9, mName=npu, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=2, mName=cpu0}
"""
ANDROID_14 = ANDROID_10.replace("HAL 2.0", "HAL AIDL 1").replace("Thermal Status: 1", "Thermal Status: 0") + (
    "Temperature static thresholds from HAL:\n"
    "\tTemperatureThreshold{mType=3, mName=skin, mHotThrottlingThresholds=[NaN, 41.0, 43.0], "
    "mColdThrottlingThresholds=[NaN, NaN, NaN]}\n"
    "\tTemperature{mValue=99.0, mType=0, mName=CPU0, mStatus=6}\n"
)
NOT_READY = "IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\nHAL Ready: false\n"
CACHED = NOT_READY.replace("HAL", "\tTemperature{mValue=31.1, mType=2, mName=battery, mStatus=0}\nHAL")


def test_current_values_count_and_not_the_cached_ones() -> None:
    thermal = thermal_of(ANDROID_10)
    assert (thermal.status, thermal.words) == (1, "light")
    assert thermal.temperatures_c == (
        ("CPU0", "cpu", 52.5), ("GPU0", "gpu", 48.25), ("battery", "battery", 33.4), ("skin", "skin", 41.5),
        ("npu", "npu", 29.0),
    )  # fmt: skip


def test_thresholds_are_no_temperatures() -> None:
    thermal = thermal_of(ANDROID_14)
    assert thermal.words == "none"
    assert dict((name, value) for name, _, value in thermal.temperatures_c)["CPU0"] == 52.5
    assert len(thermal.temperatures_c) == 5


def test_cached_values_are_all_there_is_without_a_hal() -> None:
    assert thermal_of(CACHED) == Thermal(0, (("battery", "battery", 31.1),))
    silent = CACHED.replace("HAL Ready: false", "HAL Ready: true\nCurrent temperatures from HAL:\nCurrent cooling")
    assert thermal_of(silent).temperatures_c == (("battery", "battery", 31.1),)


@pytest.mark.parametrize("dump", ["", "Can't find service: thermalservice\n", "Permission Denial", "Thermal Status: x"])
def test_who_says_nothing_has_no_status(dump: str) -> None:
    thermal = thermal_of(dump)
    assert (thermal.status, thermal.temperatures_c, thermal.words) == (None, (), "not readable")


@pytest.mark.parametrize("status", range(9))
def test_each_status_has_its_word(status: int) -> None:
    found = thermal_of(f"Thermal Status: {status}\nThermal Status: 0\n")
    assert found.status == status  # the first one counts
    assert found.words == (STATUSES[status] if status < 7 else str(status))


@pytest.mark.parametrize("value", ["-61", "200.5", "1" * 400, "NaN", "3e1", "--1", ""])
def test_what_is_no_temperature_is_left_out(value: str) -> None:
    assert thermal_of(f"Temperature{{mValue={value}, mType=0, mName=x, mStatus=0}}").temperatures_c == ()


@given(st.text(alphabet="Temperature{mValue=-12.5, mType=0, mName=x\x1b, mStatus=0}\nThermal Status: 3", max_size=400))
def test_any_text_gives_something_printable(dump: str) -> None:
    thermal = thermal_of(dump)
    assert thermal.status is None or thermal.status in range(10)
    assert all(not has_control_characters(name) and -60 < c < 200 for name, _, c in thermal.temperatures_c)
