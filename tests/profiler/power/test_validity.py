import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from profiler.power.gauge import Gauge
from profiler.power.samples import Array, Samples
from profiler.power.validity import (
    MEANINGS,
    Code,
    Flag,
    charging_flags,
    is_valid,
    length_flags,
    power_flags,
    suspend_flags,
    throttle_flags,
    torn_flags,
)

GAUGE = Gauge(1e-6, 1e-6, 1e-6, -1, 0.5)
TIME = np.arange(0, 60, 0.1)


def samples(status: str = "Discharging", torn: int = 0, **columns: Array | float) -> Samples:
    cells: dict[str, Array | float] = {"current": -5e5, "level": 70.0, "charge": 2.8e6 - 100 * TIME, **columns}
    full = {name: np.broadcast_to(np.asarray(value, dtype=float), TIME.shape) for name, value in cells.items()}
    return Samples(TIME, full, {"status": (status,) * len(TIME)}, torn)


def codes(flags: tuple[Flag, ...]) -> list[tuple[str, str]]:
    return [(flag.code, flag.severity) for flag in flags]


def test_every_code_has_a_meaning_and_stands_in_the_documentation() -> None:
    assert set(MEANINGS) == set(get_args(Code))
    page = Path(__file__).parents[3] / "docs" / "background" / "measuring_energy.md"
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", page.read_text(), re.MULTILINE))
    assert documented == set(MEANINGS)


def test_a_doubt_leaves_a_measurement_valid() -> None:
    doubt = Flag("drift", "doubt", "idle rose")
    assert is_valid(())
    assert is_valid((doubt,))
    assert not is_valid((doubt, Flag("aborted", "invalid", "level 10 %")))
    assert str(doubt) == "drift (doubt): idle rose"


def test_a_phone_on_battery_is_not_charging() -> None:
    assert charging_flags(samples(), GAUGE, 10, 50) == ()


@pytest.mark.parametrize(
    ("options", "severity"),
    [
        ({"status": "Charging"}, "doubt"),
        ({"status": "Full"}, "doubt"),
        ({"current": np.where(TIME > 40, 5e5, -5e5)}, "invalid"),
        ({"level": np.where(TIME > 40, 71.0, 70.0)}, "invalid"),
        ({"charge": 2.8e6 + 1000 * TIME}, "invalid"),
    ],
)
def test_each_sign_of_charging_is_seen(options: dict[str, object], severity: str) -> None:
    assert codes(charging_flags(samples(**options), GAUGE, 10, 50)) == [("charging", severity)]  # type: ignore[arg-type]


def test_charging_before_the_load_does_not_count() -> None:
    current = np.where(TIME < 9, 5e5, -5e5)
    assert charging_flags(samples(current=current), GAUGE, 10, 50) == ()


def test_sleep_is_seen_by_the_clocks_or_else_by_missing_polls() -> None:
    assert suspend_flags(samples()) == ()
    assert suspend_flags(samples(), 0.02) == ()
    assert codes(suspend_flags(samples(), 3.0)) == [("suspended", "invalid")]
    awake = (TIME < 20) | (TIME > 25)
    holed = Samples(TIME[awake], {}, {})
    assert codes(suspend_flags(holed)) == [("suspended", "doubt")]
    assert suspend_flags(holed, 0.0) == ()


def test_throttling_is_seen_in_frequencies_and_in_batches() -> None:
    falling = np.where(TIME < 30, 2.4e6, 1.8e6)
    assert throttle_flags(samples(freq_cpu0=2.4e6), 10, 50, 0.02) == ()
    assert throttle_flags(samples(freq_cpu0=2.3e6 + falling * 0), 10, 50) == ()
    (flag,) = throttle_flags(samples(freq_cpu0=2.4e6, freq_cpu7=falling), 10, 50)
    assert (flag.code, flag.severity, flag.what) == ("throttled", "doubt", "cpu7 ran 25% slower at the end")
    (both,) = throttle_flags(samples(freq_cpu7=falling), 10, 50, 0.3)
    assert both.what.endswith("batches took 30% longer at the end")
    assert throttle_flags(samples(temperature=falling), 10, 50) == ()
    assert throttle_flags(samples(freq_cpu7=np.where(TIME < 9, 9e6, 1.8e6)), 10, 50) == ()


@pytest.mark.parametrize(("torn", "severity"), [(0, None), (1, None), (2, "doubt"), (60, "doubt"), (100, "invalid")])
def test_torn_rows_are_a_doubt_and_many_are_invalid(torn: int, severity: str | None) -> None:
    assert codes(torn_flags(samples(torn=torn))) == ([] if severity is None else [("torn", severity)])


@pytest.mark.parametrize(
    ("busy_s", "period_s", "updates", "expected"),
    [
        (30.0, 1.0, 30, []),
        (29.5, 1.0, 30, []),
        (29.0, 1.0, 30, [("gauge_too_slow", "doubt")]),
        (29.0, 0.1, 290, [("gauge_too_slow", "doubt")]),
        (30.0, 1.5, 20, [("gauge_too_slow", "doubt")]),
        (45.0, 1.5, 30, []),
        (11.9, 1.5, 12, [("gauge_too_slow", "invalid")]),
        (60.0, 1.0, 9, [("too_few_updates", "doubt")]),
        (60.0, 1.0, 10, []),
        (60.0, 1.0, 0, [("constant_gauge", "invalid")]),
    ],
)
def test_how_long_a_load_must_be(busy_s: float, period_s: float, updates: int, expected: list[tuple[str, str]]) -> None:
    assert codes(length_flags(busy_s, period_s, updates)) == expected


@pytest.mark.parametrize(
    ("gross_w", "net_w", "bad"), [(5, 4, False), (0.01, 0.005, True), (25, 20, True), (1, -0.1, True)]
)
def test_a_power_that_no_phone_has_is_invalid(gross_w: float, net_w: float, bad: bool) -> None:
    assert codes(power_flags(gross_w, net_w)) == ([("implausible_power", "invalid")] if bad else [])
