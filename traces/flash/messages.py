"""Events of a phone as FLASH writes them: a line each, ``YYYY-MM-DD HH:MM:SS<TAB>event``."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from traces.report import clean

# What an event is about. Levels that cannot be are about nothing: their time counts, their value does not.
NOTHING, LOCKED, SCREEN_OFF, CHARGING, NETWORK, LEVEL = range(6)
NETWORKS = ("unknown", "2g", "3g", "4g", "5g", "wifi")
WIFI = NETWORKS.index("wifi")
_MEANINGS: dict[str, tuple[int, float]] = {
    "battery_charged_on": (CHARGING, 1.0),
    "battery_charged_off": (CHARGING, 0.0),
    "screen_on": (SCREEN_OFF, 0.0),
    "screen_off": (SCREEN_OFF, 1.0),
    "screen_lock": (LOCKED, 1.0),
    "screen_unlock": (LOCKED, 0.0),
    **{name: (NETWORK, float(place)) for place, name in enumerate(NETWORKS)},
}
# FLASH's traces are of 2020. A phone whose clock was never set says 1970; the year 9999 is nobody's.
FIRST_YEAR, LAST_YEAR = 2000, 2100

_EPOCH = datetime(1970, 1, 1)
_STAMP = len("YYYY-MM-DD HH:MM:SS")
_WORD = 20  # "battery_charged_off" has 19 characters
_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_MARKS = np.array([4, 7, 10, 13, 16, 19])
_MARK_BYTES = np.frombuffer(b"-- ::\t", np.uint8)


@dataclass(frozen=True, eq=False)
class Events:
    """Events in the order of their lines: ``stamp_s`` int64, seconds from 1970-01-01 on the trace's own clock.

    ``about`` is one of the constants above (int8). ``value`` is 1 or 0 for yes or no, the place in ``NETWORKS``, or the
    level in %. ``bad``: why lines are no events and how many; ``odd_levels`` counts levels outside 0 to 100.
    """

    stamp_s: npt.NDArray[np.int64]
    about: npt.NDArray[np.int8]
    value: npt.NDArray[np.float64]
    bad: tuple[tuple[str, int], ...]
    example: str
    odd_levels: int


def read_messages(text: str, most_bad: int) -> Events:
    """Return the events in ``text``; gives up after ``most_bad`` lines that are no events.

    Empty lines do not count. Lines in the usual form are read all at once; ``read_messages_by_line`` is the slow twin.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    data = text.encode("utf-8", "surrogatepass")
    # Room after the last line, so that a window of a line's longest usual form can begin anywhere.
    padded = np.frombuffer(data + bytes(_STAMP + 1 + _WORD), np.uint8)
    ends = np.append(np.flatnonzero(padded[: len(data)] == ord("\n")), len(data))
    starts = np.append(0, ends[:-1] + 1)
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]

    stamp_s = np.zeros(len(starts), np.int64)
    about = np.full(len(starts), -1, np.int8)
    value = np.zeros(len(starts))
    length = ends - starts
    usual = np.flatnonzero((length > _STAMP + 1) & (length <= _STAMP + 1 + _WORD))
    known, stamps = _usual_stamps(padded, starts[usual])
    usual = usual[known]
    stamp_s[usual] = stamps[known]
    about[usual], value[usual] = _usual_words(padded, starts[usual], ends[usual])

    bad: Counter[str] = Counter()
    example = ""
    for place in np.flatnonzero(about < 0).tolist():
        line = data[starts[place] : ends[place]].decode("utf-8", "surrogatepass")
        event = read_line(line)
        if isinstance(event, tuple):
            stamp_s[place], about[place], value[place] = event
        elif event is not None:
            example = example or line.strip()
            bad[event] += 1
            if bad.total() >= most_bad:
                about[place:] = -1
                break
    good = about >= 0
    odd_levels = int(np.sum(about == NOTHING))
    return Events(stamp_s[good], about[good], value[good], tuple(bad.items()), clean(example), odd_levels)


def read_messages_by_line(text: str, most_bad: int) -> Events:
    """The slow twin of ``read_messages``: one line after the other."""
    events: list[tuple[int, int, float]] = []
    bad: Counter[str] = Counter()
    example = ""
    for line in text.split("\n"):
        event = read_line(line)
        if isinstance(event, tuple):
            events.append(event)
        elif event is not None:
            example = example or line.strip()
            bad[event] += 1
            if bad.total() >= most_bad:
                break
    stamps, about, value = zip(*events, strict=True) if events else ((), (), ())
    return Events(
        np.array(stamps, np.int64),
        np.array(about, np.int8),
        np.array(value, np.float64),
        tuple(bad.items()),
        clean(example),
        about.count(NOTHING),
    )


def read_line(line: str) -> tuple[int, int, float] | str | None:
    """Return time, subject and value of the event that ``line`` says, None for an empty line, or why it is no event.

    Blanks around time and event do not count, nor does the event's case, as in FLASH.
    """
    line = line.strip()
    if not line:
        return None
    parts = line.split("\t")
    if len(parts) != 2:
        return "event that is not a time, a tab and a word"
    try:
        at = datetime.strptime(parts[0].strip(), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "event whose time cannot be read"
    if not FIRST_YEAR <= at.year < LAST_YEAR:
        return f"event not of the years {FIRST_YEAR} to {LAST_YEAR - 1}"
    word = parts[1].strip()
    meaning = _meaning(word) if len(word) <= _WORD else _meaning.__wrapped__(word)
    if isinstance(meaning, str):
        return meaning
    return round((at - _EPOCH).total_seconds()), *meaning


@lru_cache(maxsize=4096)
def _meaning(word: str) -> tuple[int, float] | str:
    word = word.lower()
    known = _MEANINGS.get(word)
    if known is not None:
        return known
    if not word.endswith("%"):
        return "unknown event"
    try:
        level = float(word[:-1])
    except ValueError:
        return "battery level that is no number"
    return (LEVEL, level) if math.isfinite(level) and 0 <= level <= 100 else (NOTHING, 0.0)


def _usual_stamps(
    padded: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return which lines begin with a time and a tab in the usual form, and those times."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, _STAMP + 1)[starts]
    digits = windows[:, _DIGITS] - np.uint8(ord("0"))  # what is no digit wraps to more than 9
    usual = (digits <= 9).all(1) & (windows[:, _MARKS] == _MARK_BYTES).all(1)
    pairs = (digits[:, 0::2] * np.uint8(10) + digits[:, 1::2]).astype(np.int64)
    year = pairs[:, 0] * 100 + pairs[:, 1]
    month, day, hour, minute, second = pairs[:, 2:].T
    first = ((year - 1970) * 12 + month - 1).view("datetime64[M]")
    first_day = first.astype("datetime64[D]").astype(np.int64)
    days = (first + 1).astype("datetime64[D]").astype(np.int64) - first_day
    usual &= (year >= FIRST_YEAR) & (year < LAST_YEAR) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= days)
    usual &= (hour < 24) & (minute < 60) & (second < 60)
    return usual, ((first_day + day - 1) * 24 + hour) * 3600 + minute * 60 + second


def _usual_words(
    padded: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Return subject and value of words of at most ``_WORD`` visible ASCII characters; subject -1: look closer."""
    begin = starts + _STAMP + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WORD)[begin]
    within = np.arange(_WORD) < (ends - begin)[:, None]
    visible = ((windows > ord(" ")) & (windows < 0x7F) | ~within).all(1)
    words, place = np.unique((windows * within).view(f"S{_WORD}")[:, 0], return_inverse=True)
    meanings = [_meaning(word.decode("latin-1")) for word in words.tolist()]
    known = [meaning if isinstance(meaning, tuple) else (-1, 0.0) for meaning in meanings]
    subjects, values = np.array(known, np.float64).reshape(-1, 2).T
    return np.where(visible, subjects[place], -1).astype(np.int8), values[place]
