"""The fastest phones, against a sort of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fl_sim.fastest as fastest
from fl_sim.clock import play
from fl_sim.draws import draw
from fl_sim.fastest import Fastest, expected_s
from fl_sim.load import Load
from fl_sim.rules import Rules
from tests.fl_sim.fleets import loads, small_fleets
from tests.fl_sim.small_fleet import small_fleet, small_load
from traces.fleet import Fleet, ready
from traces.rates import constant_network


def seconds(fleet: Fleet, load: Load, phone: int) -> float:
    """Return a phone's client-round at its mean rates, in plain words."""
    client, kind, profile = phone % len(load.batches), fleet.hardware_of[phone], fleet.network_of[phone]
    train_s = load.batches[client] * load.batch_time_ms[kind] / 1000
    down_s = load.download_bytes[client] * 8 / fleet.network.download_bit_per_s[profile]
    return float(down_s + train_s + load.upload_bytes[client] * 8 / fleet.network.upload_bit_per_s[profile])


@given(small_fleets(), loads(), st.integers(0, 9), st.floats(0, 500), st.data())
def test_the_fastest_of_the_ready_are_asked(
    fleet: Fleet, load: Load, count: int, clock_s: float, data: st.DataObject
) -> None:
    busy = data.draw(st.lists(st.integers(0, fleet.phones - 1), max_size=4))
    able = [p for p in range(fleet.phones) if p not in busy and ready(fleet, np.array([p]), clock_s)[0]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fastest, "_BLOCK", 3)
        chosen = Fastest(fleet, load).select(count, clock_s, np.random.default_rng(0), np.array(busy, dtype=np.int64))
    times_s = expected_s(fleet, load)
    np.testing.assert_allclose(times_s, [seconds(fleet, load, phone) for phone in range(fleet.phones)], rtol=1e-12)
    assert chosen.tolist() == sorted(able, key=lambda phone: (times_s[phone], phone))[:count]


def test_what_is_expected_is_what_a_calm_fleet_takes() -> None:
    network = constant_network(np.array([8.0, 16.0, 4.0]), np.array([4.0, 8.0, 8.0]))
    fleet = small_fleet(None, phones=6, network=network, hardware_of=[0, 1, 1, 0, 0, 1])
    phones, rules = np.arange(6), Rules(6)
    played = play(fleet, small_load(), rules, phones, 0.0, draw(fleet, phones, rules, np.random.default_rng(0)))
    np.testing.assert_allclose(expected_s(fleet, small_load()), played.clients.end_s, rtol=1e-12)


def test_equals_are_asked_in_the_order_of_their_numbers() -> None:
    fleet = small_fleet(None, phones=5, hardware_of=[0, 1, 0, 1, 1])
    chosen = Fastest(fleet, small_load()).select(4, 0.0, np.random.default_rng(0), np.array([3]))
    assert chosen.tolist() == [1, 4, 0, 2]
