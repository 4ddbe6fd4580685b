import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.flash.speeds import read_speeds

FILE = Path(__file__).parents[4] / "shared/data/flash/speed_distri.json"
GOOD = {"down_u": 1000.0, "down_sigma": 500.0, "up_u": 200, "up_sigma": 0}


def test_units_are_as_asked_for() -> None:
    data = json.dumps({"a": GOOD}).encode()
    network, report = read_speeds(data, unit="kB/s")
    assert network.kind == "lognormal"
    assert (network.download_bit_per_s.tolist(), network.upload_bit_per_s.tolist()) == ([8e6], [1.6e6])
    assert (network.download_cv.tolist(), network.upload_cv.tolist()) == ([0.5], [0])
    assert report.flags == (("rates taken as kB/s: the file does not say", 1),)
    assert read_speeds(data, unit="kbit/s")[0].download_bit_per_s.tolist() == [1e6]
    with pytest.raises(ValueError, match=r"unit must be one of kB/s, kbit/s \(got 'kb/s'\)"):
        read_speeds(data, unit="kb/s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('"down_u": -1', "mean not above 0 or deviation below 0"),
        ('"up_u": 0', "mean not above 0 or deviation below 0"),
        ('"up_sigma": -0.5', "mean not above 0 or deviation below 0"),
        ('"down_u": 1e300', "mean or deviation that no network has"),
        ('"down_u": 1e-300', "mean or deviation that no network has"),
        ('"up_sigma": 1e300', "mean or deviation that no network has"),
        ('"down_u": NaN', "mean or deviation missing or no finite number"),
        ('"up_u": Infinity', "mean or deviation missing or no finite number"),
        ('"up_u": 1e999', "mean or deviation missing or no finite number"),
        (f'"up_u": 1{"0" * 400}', "mean or deviation missing or no finite number"),
        ('"up_u": "5"', "mean or deviation missing or no finite number"),
        ('"up_u": true', "mean or deviation missing or no finite number"),
        ('"up_u": null', "mean or deviation missing or no finite number"),
        ('"up_u": 5, "up_u": 6', "mean or deviation missing or no finite number"),
    ],
)
def test_users_without_usable_numbers_are_dropped_and_counted(change: str, reason: str) -> None:
    name = change.split('"')[1]
    rest = json.dumps({key: value for key, value in GOOD.items() if key != name})[:-1]
    bad = f'"b": {rest}, {change}}}'
    network, report = read_speeds(f'{{"a": {json.dumps(GOOD)}, {bad}}}'.encode(), unit="kB/s")
    assert network.profiles == report.kept == 1
    assert report.dropped == ((reason, 1),)
    with pytest.raises(ValueError, match=r"must have a user with means above 0 \(1 were dropped\)"):
        read_speeds(f"{{{bad}}}".encode(), unit="kB/s")


def test_a_user_that_is_there_twice_and_one_that_is_none() -> None:
    good = json.dumps(GOOD)
    network, report = read_speeds(f'{{"a": {good}, "a": {good}, "b": 7}}'.encode(), unit="kB/s")
    assert network.profiles == 1
    assert dict(report.dropped) == {"user there already": 1, "mean or deviation missing or no finite number": 1}


@given(
    st.dictionaries(st.text(max_size=3), st.dictionaries(st.sampled_from(sorted(GOOD)), st.floats() | st.integers()))
)
def test_any_numbers_are_read_or_refused(content: dict[str, dict[str, float]]) -> None:
    try:
        network, report = read_speeds(json.dumps(content).encode(), unit="kB/s")
    except ValueError:
        return
    assert network.profiles == report.kept == len(content) - sum(count for _, count in report.dropped)
    assert (network.download_bit_per_s > 0).all()
    assert np.isfinite(network.upload_cv).all()


@pytest.mark.skipif(not FILE.exists(), reason="the public file is not beside the checkout")
def test_the_public_file_has_the_figures_that_were_measured_on_it() -> None:
    network, report = read_speeds(FILE, unit="kB/s")
    assert network.profiles == report.kept == 19
    assert network.download_bit_per_s.mean() / 8000 == pytest.approx(5854, abs=0.5)
    assert network.upload_bit_per_s.mean() / 8000 == pytest.approx(3665, abs=0.5)
    assert np.median(network.download_bit_per_s) == pytest.approx(34.5e6, abs=5e4)
    assert np.median(network.download_cv) == pytest.approx(0.37, abs=0.005)
    assert np.median(read_speeds(FILE, unit="kbit/s")[0].download_bit_per_s) == pytest.approx(4.3e6, abs=5e4)
