import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.flash.messages import (
    CHARGING,
    LEVEL,
    LOCKED,
    NETWORK,
    NETWORKS,
    NOTHING,
    SCREEN_OFF,
    Events,
    read_line,
    read_messages,
    read_messages_by_line,
)

# 2020-01-28 00:00:00, in days from 1970: 50 years, 12 leap days among them, and 27 days of January.
DAY = (50 * 365 + 12 + 27) * 86_400


@pytest.mark.parametrize(
    ("word", "about", "value"),
    [
        ("battery_charged_on", CHARGING, 1),
        ("battery_charged_off", CHARGING, 0),
        ("screen_on", SCREEN_OFF, 0),
        ("screen_off", SCREEN_OFF, 1),
        ("screen_lock", LOCKED, 1),
        ("screen_unlock", LOCKED, 0),
        *((name, NETWORK, place) for place, name in enumerate(NETWORKS)),
        ("85.0%", LEVEL, 85),
        ("7%", LEVEL, 7),
        ("0%", LEVEL, 0),
        ("0" * 17 + "50%", LEVEL, 50),
        ("100.00000000000000000000000%", LEVEL, 100),
        ("-1%", NOTHING, 0),
        ("100.1%", NOTHING, 0),
        ("inf%", NOTHING, 0),
        ("nan%", NOTHING, 0),
        (f"{'9' * 400}%", NOTHING, 0),
    ],
)
def test_every_kind_of_event(word: str, about: int, value: float) -> None:
    for text in (word, word.upper(), f"  {word} "):
        line = f"2020-01-28 01:02:03\t{text}"
        for read in (read_messages, read_messages_by_line):
            events = read(line, 1)
            assert events.stamp_s.tolist() == [DAY + 3723]
            assert (events.about.tolist(), events.value.tolist()) == ([about], [value])
            assert (events.bad, events.odd_levels) == ((), int(about == NOTHING))


@pytest.mark.parametrize(
    "line",
    [
        "2020-01-28 01:02:03\tphone_on",
        "2020-01-28 01:02:03\twifi\0",
        "2020-01-28 01:02:03\twi fi",
        "2020-01-28 01:02:03\twifi\twifi",
        "2020-01-28 01:02:03\t",
        "2020-01-28 01:02:03 wifi",
        "2020-01-28 01:02:03",
        "\twifi",
        "2020-01-28T01:02:03\twifi",
        "2020-01-28 24:00:00\twifi",
        "2020-01-28 23:60:00\twifi",
        "2020-01-28 23:59:60\twifi",
        "2020-02-30 00:00:00\twifi",
        "2021-02-29 00:00:00\twifi",
        "2020-00-01 00:00:00\twifi",
        "2020-13-01 00:00:00\twifi",
        "2020-01-00 00:00:00\twifi",
        "0000-01-01 00:00:00\twifi",
        "1999-12-31 23:59:59\twifi",
        "2100-01-01 00:00:00\twifi",
        "20-01-28 01:02:03\twifi",
        "2020-01-28 01:02:03\t%",
        "2020-01-28 01:02:03\t1e%",
        "2020-01-28 01:02:03\t" + "0" * 17 + "50%x",
        "2020-01-28 01:02:03\t\ud800",
    ],
)
def test_lines_that_are_no_events(line: str) -> None:
    assert isinstance(read_line(line), str)
    for read in (read_messages, read_messages_by_line):
        events = read(f"2020-01-28 00:00:00\twifi\n{line}\n2020-01-28 00:00:01\t4g", 2)
        assert (len(events.about), sum(count for _, count in events.bad)) == (2, 1)
        assert events.example.isprintable()
        # After so many such lines nobody reads on.
        assert len(read(f"2020-01-28 00:00:00\twifi\n{line}\n2020-01-28 00:00:01\t4g", 1).about) == 1


def test_leap_days_and_unusual_but_readable_times() -> None:
    text = "2020-02-29 00:00:00\twifi\r\n2020-1-2 3:4:5\twifi\r\n\r\n2099-12-31 23:59:59\twifi"
    for read in (read_messages, read_messages_by_line):
        events = read(text, 1)
        january = DAY - 27 * 86_400
        assert events.stamp_s.tolist()[:2] == [january + 59 * 86_400, january + 86_400 + 11045]
        assert len(events.about) == 3


def same(one: Events, two: Events) -> None:
    for name in ("stamp_s", "about", "value"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
        assert getattr(one, name).dtype == getattr(two, name).dtype
    assert (one.bad, one.example, one.odd_levels) == (two.bad, two.example, two.odd_levels)


PIECES = [
    "2020-01-28 01:02:03",
    "2020-02-29 23:59:59",
    "2021-02-29 00:00:00",
    "\t",
    " ",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "wifi",
]
PIECES += [
    "SCREEN_LOCK",
    "battery_charged_off",
    "unknown",
    "55.5%",
    "-3%",
    "nan%",
    "x%",
    "phone_on",
    "é",
    "\ud800",
    "２",
]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.integers(1, 5))
def test_all_at_once_equals_one_line_after_the_other(text: str, most_bad: int) -> None:
    same(read_messages(text, most_bad), read_messages_by_line(text, most_bad))


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"(19|20|21)[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9]", fullmatch=True),
            st.sampled_from(["wifi", "4g", "screen_off", "12.0%", "odd"]),
        ),
        max_size=30,
    ),
    st.integers(1, 30),
)
def test_any_times_are_read_alike(lines: list[tuple[str, str]], most_bad: int) -> None:
    text = "\n".join(map("\t".join, lines))
    same(read_messages(text, most_bad), read_messages_by_line(text, most_bad))


@given(st.text(st.characters(), max_size=200), st.integers(1, 5))
def test_any_text_is_read_alike(text: str, most_bad: int) -> None:
    same(read_messages(text, most_bad), read_messages_by_line(text, most_bad))
