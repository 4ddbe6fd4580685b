from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.power.perfetto_trace import MAX_BYTES, READING, read_trace, trace_config

proto = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")


def trace(change: Callable[[int, Any], None] | None = None, packets: int = 30) -> bytes:
    """A trace with a battery sample every 100 ms, other packets between."""
    whole = proto.Trace()
    for i in range(packets):
        packet = whole.packet.add()
        packet.timestamp = 5_000_000_000 + i * 100_000_000
        packet.battery.current_ua = -400_000 - i
        packet.battery.voltage_uv = 3_900_000
        packet.battery.charge_counter_uah = 2_800_000 - i
        packet.battery.capacity_percent = 70.0
        if change is not None:
            change(i, packet)
        whole.packet.add().trusted_uid = 9999
    return bytes(whole.SerializeToString())


def test_counters_become_samples() -> None:
    samples = read_trace(trace())
    np.testing.assert_allclose(samples.time_s, 5 + np.arange(30) / 10)
    assert samples.columns["current"][3] == -400_003
    assert samples.columns["voltage"][0] == 3_900_000
    assert samples.columns["charge"][29] == 2_800_000 - 29
    assert samples.columns["level"][0] == 70
    assert samples.torn == 0
    assert (READING.current_unit, READING.voltage_unit, READING.discharge_sign) == ("uA", "uV", -1)


def test_a_counter_that_is_missing_is_unreadable_and_the_average_stands_in_for_the_current() -> None:
    def change(i: int, packet: Any) -> None:
        if i % 2:
            packet.battery.ClearField("current_ua")
            packet.battery.ClearField("voltage_uv")
            packet.battery.current_avg_ua = -7

    samples = read_trace(trace(change))
    assert samples.columns["current"][:2].tolist() == [-400_000, -7]
    assert np.isnan(samples.columns["voltage"]).tolist() == [False, True] * 15


def test_packets_may_come_in_any_order_and_twice() -> None:
    def change(i: int, packet: Any) -> None:
        packet.timestamp = 9_000_000_000 - (i // 2) * 1_000_000

    samples = read_trace(trace(change))
    assert len(samples.time_s) == 15
    assert (np.diff(samples.time_s) > 0).all()


def test_of_several_batteries_the_one_with_most_samples_is_taken() -> None:
    def change(i: int, packet: Any) -> None:
        packet.battery.name = "stylus" if i % 3 == 0 else "battery"

    assert len(read_trace(trace(change)).time_s) == 20


def test_a_cut_trace_is_read_up_to_there() -> None:
    whole = trace()
    samples = read_trace(whole[:-15])
    assert samples.torn == 1
    assert 28 <= len(samples.time_s) <= 29


def test_another_clock_is_refused() -> None:
    def change(i: int, packet: Any) -> None:
        packet.timestamp_clock_id = 3

    with pytest.raises(ValueError, match="clock 3"):
        read_trace(trace(change))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x0a\x02\xff\xff", trace(packets=0)])
def test_what_holds_no_battery_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"no battery counters|not a Perfetto trace"):
        read_trace(content)


def test_a_trace_is_bounded() -> None:
    with pytest.raises(ValueError, match="bytes, at most"):
        read_trace(b"\0" * (MAX_BYTES + 1))


@given(st.binary(max_size=200), st.integers(0, 400))
def test_damage_raises_nothing_but_a_refusal(junk: bytes, at: int) -> None:
    content = trace(packets=5)
    try:
        samples = read_trace(content[:at] + junk + content[at:])
    except ValueError:
        return
    assert (np.diff(samples.time_s) > 0).all()


def test_the_configuration_is_one_that_perfetto_reads() -> None:
    from google.protobuf import text_format
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2

    config = text_format.Parse(trace_config(0.25, 90), perfetto_trace_pb2.TraceConfig())
    power = config.data_sources[0].config
    assert config.duration_ms == 90_000
    assert power.name == "android.power"
    assert power.android_power_config.battery_poll_ms == 250
    assert len(power.android_power_config.battery_counters) == 4
    fastest = text_format.Parse(trace_config(0.01, 90), perfetto_trace_pb2.TraceConfig())
    assert fastest.data_sources[0].config.android_power_config.battery_poll_ms == 100


@pytest.mark.parametrize(
    ("poll_s", "duration_s", "name"), [(61, 90, "poll_s"), (0.1, 0, "duration_s"), (0.1, 1e6, "duration_s")]
)
def test_a_senseless_configuration_is_refused(poll_s: float, duration_s: float, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        trace_config(poll_s, duration_s)
