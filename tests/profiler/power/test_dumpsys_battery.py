from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.power.charge import charge_energy
from profiler.power.dumpsys_battery import (
    MAX_CHARACTERS,
    parse_dumpsys,
    read_dumps,
    samples_of_dumps,
    split_dumps,
)
from profiler.power.simulated import PowerTrace

DUMP = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 0
  Charge counter: 2967000
  status: 3
  health: 2
  present: true
  level: 81
  scale: 100
  voltage: 4012
  temperature: 309
  technology: Li-ion
"""


def test_the_fields_of_a_dump() -> None:
    dump = parse_dumpsys(DUMP)
    assert (dump.powered, dump.status, dump.health, dump.present) == (("usb",), "Discharging", 2, True)
    assert (dump.level_percent, dump.voltage_v, dump.temperature_c) == (81, pytest.approx(4.012), pytest.approx(30.9))
    assert (dump.charge_uah, dump.current_ma, dump.overridden) == (2967000, None, False)


def test_samsung_says_more(uevents: dict[str, dict[str, Any]]) -> None:
    dump = parse_dumpsys(uevents["samsung_dumpsys_full"]["text"])
    assert (dump.status, dump.level_percent, dump.current_ma, dump.charge_uah) == ("Full", 100, 0, 2967000)
    assert dump.powered == ("usb",)
    assert parse_dumpsys(DUMP + "  current now: -321\n").current_ma == -321


@pytest.mark.parametrize(
    ("name", "status", "voltage_v", "charge_uah"),
    [
        ("oneplus8t_dumpsys_not_charging", "Not charging", 4.218, 3124799),
        ("oneplus7_lineage_partial", "Discharging", 3.985, 2849000),
    ],
)
def test_real_dumps(
    name: str, status: str, voltage_v: float, charge_uah: int, uevents: dict[str, dict[str, Any]]
) -> None:
    dump = parse_dumpsys(uevents[name]["text"])
    assert (dump.status, dump.voltage_v, dump.charge_uah) == (status, pytest.approx(voltage_v), charge_uah)
    assert dump.powered == ()


def test_a_value_that_stands_twice_counts_only_if_both_agree() -> None:
    assert parse_dumpsys(DUMP + "  charge counter: 2967000\n").charge_uah == 2967000
    assert parse_dumpsys(DUMP + "  charge counter: 1\n").charge_uah is None


@pytest.mark.parametrize(("raw", "volts"), [("4", 4.0), ("4012", 4.012), ("4012000", 4.012), ("0", None), ("17", None)])
def test_voltage_is_millivolts_but_not_on_every_phone(raw: str, volts: float | None) -> None:
    assert parse_dumpsys(DUMP.replace("4012", raw)).voltage_v == (None if volts is None else pytest.approx(volts))


def test_a_scale_that_is_not_100_and_a_level_beyond_it() -> None:
    assert parse_dumpsys(DUMP.replace("scale: 100", "scale: 200")).level_percent == 40.5
    assert parse_dumpsys(DUMP.replace("scale: 100", "scale: 50")).level_percent is None
    assert parse_dumpsys(DUMP.replace("scale: 100", "scale: 0")).level_percent is None


def test_an_override_is_seen_and_no_samples_are_made_of_it() -> None:
    frozen = DUMP.replace("state:\n", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n")
    assert parse_dumpsys(frozen).overridden
    with pytest.raises(ValueError, match="dumpsys battery reset"):
        samples_of_dumps([(1.0, DUMP), (2.0, frozen)])


@pytest.mark.parametrize("text", ["", "Can't find service: battery", "\x1b[2J", "Permission denial: x"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not what dumpsys battery prints") as caught:
        parse_dumpsys(text)
    assert "\x1b" not in str(caught.value)


def test_dumps_are_bounded() -> None:
    with pytest.raises(ValueError, match="characters"):
        parse_dumpsys(DUMP + " " * MAX_CHARACTERS)


def test_a_file_of_dumps_is_split_at_its_marks() -> None:
    content = f"@@fedjoule 12.50\n{DUMP}@@fedjoule 13.50\n@@fedjoule 14.50\r\n{DUMP}".encode()
    assert [time_s for time_s, _ in split_dumps(content)] == [12.5, 13.5, 14.5]
    samples = read_dumps(content)
    assert samples.time_s.tolist() == [12.5, 14.5]
    assert samples.torn == 1
    assert samples.columns["voltage"].tolist() == [4012000, 4012000]
    assert samples.words["status"] == ("Discharging", "Discharging")
    assert "current" not in samples.columns
    assert read_dumps(b"").time_s.tolist() == []


def test_energy_follows_from_the_charge_counter_of_dumps() -> None:
    trace = PowerTrace(start_s=60, end_s=180)
    dumps = []
    for time_s in np.arange(0.0, 240.0):
        charge = 2_967_000 - 1000 * int(trace.energy_j(time_s) / (4.012 * 3.6))
        dumps.append((float(time_s), DUMP.replace("2967000", str(charge))))
    found = charge_energy(samples_of_dumps(dumps), 1e-6, 1e-6, 60, 180)
    assert found is not None
    assert abs(found.gross_j - trace.gross_j) < 2 * found.gross_error_j
    assert abs(found.net_j - trace.net_j) < 2 * found.net_error_j
    assert found.gross_error_j < 0.02 * trace.gross_j


@given(st.text(max_size=300))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    try:
        dump = parse_dumpsys("level: 5\n" + text)
    except ValueError:
        return
    assert dump.voltage_v is None or 2.5 <= dump.voltage_v <= 9.3
