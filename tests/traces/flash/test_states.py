"""Raw traces written for this test, their intervals worked out by hand, and FLASH's walk as a slow twin."""

import itertools
import json
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.availability import Availability, is_ready
from traces.battery import Battery
from traces.flash.messages import NETWORKS
from traces.flash.states import MOST_BAD_LINES, States, read_states

# Ready under FLASH's rule from 22:01:05 (locked, the last of the three) to 06:30:00 (unlocked), in the trace's seconds
# from 22:00:00: 65 to 8.5 h = 30600. By the other rule from 22:01:00 (screen off) to 06:30:00 (screen on). The last
# event is at 06:40:00: the trace repeats after 31200 s.
NIGHT = """2020-01-28 22:00:00\twifi
2020-01-28 22:00:10\tbattery_charged_on
2020-01-28 22:00:10\t57.0%
2020-01-28 22:01:00\tscreen_off
2020-01-28 22:01:05\tscreen_lock
2020-01-29 04:00:00\t100.0%
2020-01-29 06:30:00\tscreen_on
2020-01-29 06:30:00\tscreen_unlock
2020-01-29 06:40:00\tbattery_charged_off"""

# Wi-Fi goes and comes back within one second: [2, 60) and [60, 100) touch and are one. The last event is at 120.
TOUCHING = """2020-01-28 08:00:00\tscreen_lock
2020-01-28 08:00:01\tbattery_charged_on
2020-01-28 08:00:02\twifi
2020-01-28 08:01:00\t4g
2020-01-28 08:01:00\twifi
2020-01-28 08:01:40\tscreen_unlock
2020-01-28 08:02:00\tscreen_on"""

# Ready [10, 30), and again from 40 on; nobody says until when. What is open at the last event (50) is left out.
OPEN = """2020-01-28 00:00:00\tbattery_charged_on
2020-01-28 00:00:05\twifi
2020-01-28 00:00:10\tscreen_lock
2020-01-28 00:00:30\tunknown
2020-01-28 00:00:40\twifi
2020-01-28 00:00:50\t80.0%"""

# Every kind of network but Wi-Fi ends it, and so do the charger and the lock; case does not count. The seconds of
# readiness: [0, 1), [2, 3), [4, 5), [6, 7), [8, 9), [10, 11), [12, 13). The screen changes nothing under FLASH's rule;
# under the other it is off from 0 to 14 but never said to be: never ready.
EVERY_KIND = """2020-01-28 00:00:00\tscreen_lock
2020-01-28 00:00:00\tBattery_Charged_ON
2020-01-28 00:00:00\tWIFI
2020-01-28 00:00:01\t2G
2020-01-28 00:00:02\twifi
2020-01-28 00:00:03\t3g
2020-01-28 00:00:04\twifi
2020-01-28 00:00:05\t4g
2020-01-28 00:00:06\twifi
2020-01-28 00:00:07\t5g
2020-01-28 00:00:08\twifi
2020-01-28 00:00:09\tunknown
2020-01-28 00:00:10\twifi
2020-01-28 00:00:11\tbattery_charged_off
2020-01-28 00:00:12\tbattery_charged_on
2020-01-28 00:00:13\tscreen_unlock
2020-01-28 00:00:14\tscreen_on"""

# A line that FLASH does not know rejects the device. Without it: ready [2, 9), the last event at 9.
UNKNOWN_EVENT = """2020-01-28 00:00:00\tscreen_lock
2020-01-28 00:00:01\tbattery_charged_on
2020-01-28 00:00:02\twifi
2020-01-28 00:00:05\tphone_off
2020-01-28 00:00:09\tscreen_unlock"""

# A line without a tab is no event; else as before.
NO_TAB = UNKNOWN_EVENT.replace("05\tphone_off", "05 screen_unlock")
NO_DATE = UNKNOWN_EVENT.replace("2020-01-28 00:00:05\tphone_off", "2020-02-30 00:00:05\tscreen_unlock")
NO_LEVEL = UNKNOWN_EVENT.replace("phone_off", "full%")

# Never locked: no interval. The lock of the last event opens one that nobody closes.
NEVER = """2020-01-28 00:00:00\tbattery_charged_on
2020-01-28 00:00:05\twifi
2020-01-28 00:00:09\tscreen_lock"""

# Ready and no more within the same second: an interval of no length, which is none.
NO_LENGTH = NEVER + "\n2020-01-28 00:00:09\tscreen_unlock\n2020-01-28 00:00:20\tscreen_on"

ONE_TIME = """2020-01-28 00:00:00\tbattery_charged_on
2020-01-28 00:00:00\twifi"""

# The line of 00:00:09 stands before that of 00:00:02; sorted: ready [2, 9).
BACK_IN_TIME = """2020-01-28 00:00:00\tscreen_lock
2020-01-28 00:00:01\tbattery_charged_on
2020-01-28 00:00:09\tscreen_unlock
2020-01-28 00:00:02\twifi"""


def file(*messages: str) -> bytes:
    devices = enumerate(messages)
    return json.dumps({str(i): {"guid": f"g{i}", "model": f"m{i}", "messages": text} for i, text in devices}).encode()


def ready(a: Availability, trace: int = 0) -> list[tuple[float, float]]:
    here = slice(a.offsets[trace], a.offsets[trace + 1])
    return list(zip(a.start_s[here].tolist(), a.end_s[here].tolist(), strict=True))


def dropped(states: States) -> dict[str, int]:
    return dict(states.report.dropped)


@pytest.mark.parametrize(
    ("text", "locked", "screen_off", "period_s"),
    [
        (NIGHT, [(65, 30600)], [(60, 30600)], 31200),
        (TOUCHING, [(2, 100)], [], 120),
        (OPEN, [(10, 30)], [], 50),
        (EVERY_KIND, [(s, s + 1) for s in range(0, 14, 2)], [], 14),
        (UNKNOWN_EVENT, [(2, 9)], [], 9),
        (NO_TAB, [(2, 9)], [], 9),
        (NO_DATE, [(2, 9)], [], 9),
        (NO_LEVEL, [(2, 9)], [], 9),
        (NEVER, [], [], 9),
        (NO_LENGTH, [], [], 20),
        (ONE_TIME, [], [], 86400),
        (BACK_IN_TIME, [(2, 9)], [], 9),
        ("", [], [], 86400),
    ],
)
def test_the_intervals_are_those_worked_out_by_hand(
    text: str, locked: list[tuple[float, float]], screen_off: list[tuple[float, float]], period_s: float
) -> None:
    for rule, intervals in (("locked", locked), ("screen_off", screen_off)):
        states = read_states(file(text), rule=rule, odd="keep")
        assert ready(states.availability) == intervals
        assert states.availability.period_s.tolist() == [period_s]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (UNKNOWN_EVENT, "unknown event"),
        (NO_TAB, "event that is not a time, a tab and a word"),
        (NO_DATE, "event whose time cannot be read"),
        (NO_LEVEL, "battery level that is no number"),
        (NEVER, "never ready"),
        (NO_LENGTH, "never ready"),
        (ONE_TIME, "all events at one time, or none"),
        ("", "all events at one time, or none"),
        ("\n \n", "all events at one time, or none"),
        ("1970-01-01 00:00:00\twifi", "event not of the years 2000 to 2099"),
        ("9999-01-01 00:00:00\twifi", "event not of the years 2000 to 2099"),
    ],
)
def test_devices_that_flash_throws_away_are_dropped_and_counted(text: str, reason: str) -> None:
    states = read_states(file(NIGHT, text, NIGHT, text))
    assert states.guids == ("g0", "g2")
    assert states.models == ("m0", "m2")
    assert dropped(states) == {reason: 2}
    assert states.report.kept == 2
    with pytest.raises(ValueError, match=f"must have a device that can be used .{reason}: 1.*odd='keep'"):
        read_states(file(text))


def test_what_is_kept_nonetheless_is_counted() -> None:
    states = read_states(file(UNKNOWN_EVENT, NO_TAB, NEVER, ONE_TIME, NIGHT), odd="keep")
    assert states.availability.traces == 5
    assert states.report.repaired == (
        ("lines skipped: unknown event", 1),
        ("lines skipped: event that is not a time, a tab and a word", 1),
    )
    assert states.report.flags == (("never ready", 1), ("all events at one time, or none", 1))
    assert states.report.examples[0] == "lines skipped: unknown event: guid g0: 2020-01-28 00:00:05?phone_off"
    many = read_states(file(NIGHT, "x\n" * MOST_BAD_LINES), odd="keep")
    assert dropped(many) == {f"{MOST_BAD_LINES} or more lines that are no events": 1}


def test_an_interval_left_out_and_events_sorted_are_counted() -> None:
    states = read_states(file(OPEN, NIGHT, BACK_IN_TIME))
    assert dropped(states) == {"ready intervals still open at the last event": 1}
    assert states.report.repaired == (("events that go back in time, sorted", 1),)


def test_events_out_of_order_count_as_sorted_and_those_of_one_second_in_their_order() -> None:
    random = np.random.default_rng(5)
    events = [(int(at), WORDS[word]) for at, word in random.integers(0, [[20, len(WORDS)]], (600, 2))]
    lines = [f"2020-01-28 00:00:{at:02}\t{word}" for at, word in events]
    ordered = [line for _, line in sorted(zip((at for at, _ in events), lines, strict=True), key=lambda pair: pair[0])]
    one, two = (read_states(file("\n".join(text))) for text in (lines, ordered))
    assert ready(one.availability) == ready(two.availability)
    assert one.connections.network.tolist() == two.connections.network.tolist()
    assert one.report.repaired == (("events that go back in time, sorted", 1),)
    assert two.report.repaired == ()


def test_years_between_events_and_days_without() -> None:
    gap = NIGHT + "\n2020-01-31 06:40:00\tscreen_on"
    years = NIGHT + "\n2029-01-31 06:40:00\tscreen_on"
    states = read_states(file(gap, years))
    assert dropped(states) == {"more than 366 days from the first event to the last": 1}
    assert states.report.flags == (("a day or more without any event", 1),)


def test_battery_wifi_and_networks() -> None:
    states = read_states(file(NIGHT, OPEN))
    battery = states.battery
    assert isinstance(battery, Battery)
    # On the charger from 10 s to the last event; in the other trace from its begin on, to its end.
    assert ready(battery.charging) == [(10, 31200)]
    assert ready(battery.charging, 1) == [(0, 50)]
    assert battery.offsets.tolist() == [0, 2, 3]
    assert battery.at_s.tolist()[:2] == [10, 6 * 3600]
    # The end is the begin anew: the level said then holds through the next period.
    assert 50 - 1e-9 < battery.at_s[2] < 50
    assert battery.level_pct.tolist() == [57, 100, 80]
    assert ready(states.wifi) == [(0, 31200)]
    assert ready(states.wifi, 1) == [(5, 30), (40, 50)]
    kinds = [NETWORKS[place] for place in states.connections.network.tolist()]
    assert kinds == ["wifi", "wifi", "unknown", "wifi"]
    assert states.connections.at_s.tolist() == [0, 5, 30, 40]
    assert states.connections.offsets.tolist() == [0, 1, 4]


def test_of_levels_in_one_second_the_last_counts_and_impossible_ones_are_left_out() -> None:
    text = NIGHT.replace(
        "57.0%", "57.0%\n2020-01-28 22:00:10\t58%\n2020-01-28 22:00:10\tNaN%\n2020-01-28 22:00:11\t101%"
    )
    states = read_states(file(text))
    assert states.battery.level_pct.tolist() == [58, 100]
    assert states.report.repaired == (("battery levels outside 0 to 100 % left out", 2),)


def test_the_trace_repeats_as_flash_has_it() -> None:
    # now = (t - start) mod (end - start) + start, against FLASH's reference, 2020-01-02.
    states = read_states(file(NIGHT, OPEN), reference="2020-01-02")
    for trace, (text, (begin, end)) in enumerate(((NIGHT, (65, 30600)), (OPEN, (10, 30)))):
        first, last = (datetime.fromisoformat(text.splitlines()[i].split("\t")[0]) for i in (0, -1))
        start, stop = ((at - datetime(2020, 1, 2)) // timedelta(seconds=1) for at in (first, last))
        clock = np.arange(start - 200, start + 70_000, 7)
        now = (clock - start) % (stop - start)
        assert (is_ready(states.availability, trace, clock) == ((now >= begin) & (now < end))).all()


def test_without_a_reference_each_trace_begins_on_the_first_day_at_its_hour() -> None:
    states = read_states(file(NIGHT, TOUCHING))
    assert states.availability.origin_s.tolist() == [22 * 3600, 8 * 3600]
    assert states.begins == ("2020-01-28 22:00:00", "2020-01-28 08:00:00")
    assert is_ready(states.availability, 0, 22 * 3600 + 65.0)


def test_zones_take_the_jumps_of_summer_time_out() -> None:
    # Clocks in Berlin went from 01:59:59 to 03:00:00: between these two events one hour passes, not two.
    text = NIGHT.replace("2020-01-28", "2020-03-28").replace("2020-01-29", "2020-03-29")
    floating, utc, berlin = (read_states(file(text), zone=zone) for zone in ("floating", "UTC", "Europe/Berlin"))
    assert ready(floating.availability) == ready(utc.availability) == [(65, 30600)]
    assert ready(berlin.availability) == [(65, 27000)]
    assert berlin.availability.period_s.tolist() == [27600]
    assert berlin.availability.origin_s.tolist() == [22 * 3600]
    dated = read_states(file(text), zone="Europe/Berlin", reference="2020-03-30")
    assert dated.availability.origin_s.tolist() == [-25 * 3600]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "idle"}, "rule must be one of locked, screen_off .got 'idle'"),
        ({"odd": "drop"}, "odd must be one of flash, keep .got 'drop'"),
        ({"zone": "Mars/Olympus"}, "zone must be floating, UTC or an IANA name .*got 'Mars/Olympus'"),
        ({"zone": "../../../etc/passwd"}, "zone must be"),
        ({"zone": "\x1b[2J"}, r"got '\?\[2J'"),
        ({"zone": ""}, "zone must be"),
        ({"reference": "yesterday"}, "reference must be a date such as 2020-01-02 .got 'yesterday'"),
    ],
)
def test_options_that_cannot_be(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_states(file(NIGHT), **arguments)  # type: ignore[arg-type]


WORDS = ["wifi", "4g", "screen_lock", "screen_unlock", "screen_on", "screen_off", "battery_charged_on"]
WORDS += ["battery_charged_off", "50.0%", "wifi", "screen_lock", "screen_off", "battery_charged_on"]


def seconds_by_walk(events: list[tuple[int, str]], rule: str) -> list[bool]:
    """The seconds from the first event to the last in which FLASH counts a phone as ready, one after another."""
    first, last = events[0][0], events[-1][0]
    seconds = [False] * (last - first)
    state = {"idle": False, "wifi": False, "charging": False}
    opened: int | None = None
    for now in range(first, last + 1):
        for at, word in events:
            if at != now:
                continue
            if word in ("battery_charged_on", "battery_charged_off"):
                state["charging"] = word.endswith("on")
            elif word in ("wifi", "4g"):
                state["wifi"] = word == "wifi"
            elif word in ("screen_lock", "screen_unlock") and rule == "locked":
                state["idle"] = word == "screen_lock"
            elif word in ("screen_on", "screen_off") and rule == "screen_off":
                state["idle"] = word == "screen_off"
            if all(state.values()) and opened is None:
                opened = now
            if opened is not None and not all(state.values()):
                for second in range(opened, now):
                    seconds[second - first] = True
                opened = None
    return seconds


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(WORDS)), min_size=1, max_size=40),
    st.sampled_from(["locked", "screen_off"]),
)
def test_any_events_give_the_seconds_of_flashs_walk(events: list[tuple[int, str]], rule: str) -> None:
    events.sort(key=lambda event: event[0])
    text = "\n".join(f"{datetime(2020, 1, 28, 12) + timedelta(seconds=at)}\t{word}" for at, word in events)
    a = read_states(file(text), rule=rule, odd="keep").availability  # type: ignore[arg-type]
    seconds = seconds_by_walk(events, rule)
    found = [False] * len(seconds)
    for begin, end in ready(a):
        assert begin < end
        found[int(begin) : int(end)] = [True] * int(end - begin)
    assert found == seconds
    intervals = ready(a)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(intervals))
    if not any(seconds):
        with pytest.raises(ValueError, match=r"never ready|all events at one time"):
            read_states(file(text), rule=rule)  # type: ignore[arg-type]
