from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.flash.zones import elapsed_s, midnight_s

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Pyongyang", "Africa/Cairo"]
EPOCH = datetime(1970, 1, 1)


def one_by_one(stamps: list[int], zone: str) -> list[int]:
    info = ZoneInfo(zone)
    shown = [(EPOCH + timedelta(seconds=stamp)).replace(tzinfo=info) for stamp in stamps]
    return [round((at.astimezone(UTC).replace(tzinfo=None) - EPOCH).total_seconds()) for at in shown]


@given(st.lists(st.integers(946_684_800, 4_102_444_799), max_size=20), st.sampled_from(ZONES))
def test_all_at_once_equals_one_by_one(stamps: list[int], zone: str) -> None:
    assert elapsed_s(np.array(stamps, np.int64), zone)[0].tolist() == one_by_one(stamps, zone)


@pytest.mark.parametrize("zone", ZONES)
def test_around_changes_too(zone: str) -> None:
    # Every seven minutes of the weeks in which clocks change somewhere, in 2015 (Pyongyang), 2020 and 2023 (Cairo).
    for week in (
        "2020-03-08",
        "2020-03-25",
        "2020-04-01",
        "2020-10-01",
        "2020-10-22",
        "2020-10-30",
        "2015-08-12",
        "2023-04-26",
    ):
        stamps = np.arange(midnight_s(week), midnight_s(week) + 6 * 86_400, 420)
        assert elapsed_s(stamps, zone)[0].tolist() == one_by_one(stamps.tolist(), zone)


def test_hours_skipped_or_shown_twice_are_counted() -> None:
    spring, autumn = midnight_s("2020-03-29"), midnight_s("2020-10-25")
    hours = np.arange(0, 6 * 3600, 3600)
    assert elapsed_s(spring + hours, "Europe/Berlin")[1] == 1
    assert elapsed_s(autumn + hours, "Europe/Berlin")[1] == 1
    assert elapsed_s(spring + hours, "UTC")[1] == 0
    assert (np.diff(elapsed_s(autumn + hours, "Europe/Berlin")[0]) == [3600, 3600, 7200, 3600, 3600]).all()
