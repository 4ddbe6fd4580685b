from dataclasses import replace

import numpy as np
import pytest

from traces.availability import duty
from traces.fleet import finish, ready
from traces.synthetic import Statistics, find_statistics, synthetic_fleet
from traces.synthetic.statistics import DAY_S, Zones

FLASH = find_statistics("flash")
READINESS = FLASH.readiness
assert READINESS is not None


def far(share: float, count: int) -> float:
    """Four standard deviations of a share that is drawn so often."""
    return 4 * float(np.sqrt(share * (1 - share) / count))


def test_the_same_arguments_give_the_same_fleet_and_another_seed_another() -> None:
    one, same, other = (synthetic_fleet(FLASH, 5_000, seed, traces=300) for seed in (3, 3, 4))
    assert one.availability is not None
    assert same.availability is not None
    assert other.availability is not None
    for name in ("start_s", "end_s", "origin_s"):
        assert np.array_equal(getattr(one.availability, name), getattr(same.availability, name))
    for name in ("trace_of", "shift_s", "network_of", "hardware_of"):
        assert np.array_equal(getattr(one, name), getattr(same, name))
        assert not np.array_equal(getattr(one, name), getattr(other, name))
    assert np.array_equal(one.network.download_bit_per_s, same.network.download_bit_per_s)
    assert len(one.availability.start_s) != len(other.availability.start_s)


def test_another_network_leaves_traces_and_hardware_as_they_are() -> None:
    one = synthetic_fleet(FLASH, 500, 1, traces=300)
    other = synthetic_fleet(replace(FLASH, network=replace(FLASH.network, download_spread=0.0)), 500, 1, traces=300)
    assert one.availability is not None
    assert other.availability is not None
    assert np.array_equal(one.availability.start_s, other.availability.start_s)
    assert np.array_equal(one.trace_of, other.trace_of)
    assert np.array_equal(one.hardware_of, other.hardware_of)
    assert np.ptp(one.network.download_bit_per_s) > 0 == np.ptp(other.network.download_bit_per_s)


def test_few_phones_have_a_trace_each_and_are_not_moved() -> None:
    fleet = synthetic_fleet(FLASH, 300, 1, traces=300)
    assert sorted(fleet.trace_of) == list(range(300))
    assert not fleet.shift_s.any()


def test_many_phones_share_traces_whole_days_and_a_jitter_apart() -> None:
    phones, traces = 200_000, 500
    fleet = synthetic_fleet(FLASH, phones, 1, traces=traces)
    each = np.bincount(fleet.trace_of, minlength=traces)
    assert np.max(np.abs(each / phones - 1 / traces)) < 5 / 4 * far(1 / traces, phones)
    assert READINESS is not None
    days = np.round(fleet.shift_s / DAY_S)
    jitter = fleet.shift_s - days * DAY_S
    assert set(days) == set(range(READINESS.days))
    assert jitter.std() == pytest.approx(READINESS.jitter_s, rel=4 / np.sqrt(2 * phones))
    assert fleet.availability is not None
    shares = duty(fleet.availability)[fleet.trace_of]
    # Drawn phones, and a number of traces that is rounded.
    assert np.mean(shares == 0) == pytest.approx(READINESS.never, abs=far(READINESS.never, phones) + 0.5 / traces)
    some = np.sort(shares[shares > 0])
    for probability, stated in zip(READINESS.probabilities, READINESS.duty, strict=True):
        near = far(probability, len(some)) + 1 / traces
        assert np.mean(some < stated * 0.9999) <= probability + near
        assert np.mean(some <= stated * 1.0001) >= probability - near


def test_phones_are_ready_in_each_hour_of_the_day_as_stated() -> None:
    # Asked at random moments of each hour: sampling error of phones about the mean of the traces, which is within 7 %
    # of what is stated, and the jitter of half an hour, which blurs the hours.
    phones = 200_000
    fleet = synthetic_fleet(FLASH, phones, 5)
    assert READINESS is not None
    random = np.random.default_rng(0)
    hours = np.array(
        [np.mean(ready(fleet, np.arange(phones), (hour + random.random(phones)) * 3600)) for hour in range(24)]
    )
    relative = hours / hours.mean()
    error = 4 * np.sqrt(hours * (1 - hours) / phones) / hours.mean()
    assert np.all(np.abs(relative / READINESS.hour_of_day - 1) < 0.10 + error)
    assert np.corrcoef(relative, READINESS.hour_of_day)[0, 1] > 0.98


def test_zones_move_phones_by_whole_hours() -> None:
    # Six hours ahead: what happens at six in the evening there happens at noon of the clock.
    here = synthetic_fleet(FLASH, 2_000, 1, traces=300)
    ahead = synthetic_fleet(replace(FLASH, zones=Zones((6.0,), (1.0,), "by hand")), 2_000, 1, traces=300)
    mixed = synthetic_fleet(replace(FLASH, zones=Zones((0.0, 6.0), (0.25, 0.75), "by hand")), 2_000, 1, traces=300)
    phones = np.arange(2_000)
    for clock_s in (0.0, 12 * 3600.0, 2e5):
        assert np.array_equal(ready(ahead, phones, clock_s), ready(here, phones, clock_s + 6 * 3600))
    moved = np.isclose(mixed.shift_s - here.shift_s, 6 * 3600)
    assert np.mean(moved) == pytest.approx(0.75, abs=far(0.75, 2_000))
    assert np.array_equal(mixed.shift_s[~moved], here.shift_s[~moved])


def test_networks_and_tiers_are_as_stated() -> None:
    phones = 50_000
    fleet = synthetic_fleet(FLASH, phones, 2, traces=100)
    rates = FLASH.network
    down, up = np.log(fleet.network.download_bit_per_s), np.log(fleet.network.upload_bit_per_s)
    assert fleet.network.kind == "lognormal"
    assert np.median(down) == pytest.approx(np.log(rates.download_bit_per_s), abs=0.005)
    assert np.median(up) == pytest.approx(np.log(rates.upload_bit_per_s), abs=0.005)
    assert down.std() == pytest.approx(rates.download_spread, rel=0.01)
    assert up.std() == pytest.approx(rates.upload_spread, rel=0.01)
    assert np.corrcoef(down, up)[0, 1] == pytest.approx(rates.correlation, abs=4 * (1 - 0.45**2) / np.sqrt(1_000))
    assert set(fleet.network.download_cv) == {rates.download_cv}
    assert set(fleet.network.upload_cv) == {rates.upload_cv}
    assert fleet.hardware.models == ("low tier", "medium tier", "high tier")
    assert fleet.hardware.tiers == ("low", "medium", "high")
    tiers = FLASH.hardware
    for kind, share in enumerate((tiers.low, tiers.medium, tiers.high)):
        assert np.mean(fleet.hardware_of == kind) == pytest.approx(share, abs=far(share, phones))


def test_the_papers_phones_are_always_ready_at_one_rate() -> None:
    fleet = synthetic_fleet(find_statistics("paper"), 3_000, 1)
    assert fleet.availability is None
    assert fleet.network.kind == "constant"
    assert set(fleet.network.download_bit_per_s) == set(fleet.network.upload_bit_per_s) == {10e6}
    assert np.bincount(fleet.hardware_of) / 3_000 == pytest.approx(1 / 3, abs=far(1 / 3, 3_000))
    assert finish(fleet, np.arange(2), 5.0, 7.0).tolist() == [12.0, 12.0]


def test_a_fleet_that_is_never_ready() -> None:
    assert READINESS is not None
    never = replace(FLASH, readiness=replace(READINESS, never=1.0))
    fleet = synthetic_fleet(never, 10, 1, traces=5)
    assert not ready(fleet, np.arange(10), 1e5).any()


@pytest.mark.parametrize(
    ("phones", "seed", "traces", "said"),
    [
        (0, 1, 10, "phones must be within 1 and 10,000,000 .got 0"),
        (10_000_001, 1, 10, "phones must be within 1 and 10,000,000"),
        (10, -1, 10, "seed must be at least 0 .got -1"),
        (10, 1, 0, "traces must be within 1 and 100,000 .got 0"),
    ],
)
def test_what_is_refused(phones: int, seed: int, traces: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        synthetic_fleet(FLASH, phones, seed, traces)


def test_the_source_says_how_it_was_made() -> None:
    statistics: Statistics = find_statistics("paper")
    assert synthetic_fleet(statistics, 7, 9).source.endswith("7 phones, 2000 traces, seed 9")
