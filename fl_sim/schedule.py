"""A number that changes with the rounds: ``3 2@100 1@167`` is 3, from round 100 on 2, from round 167 on 1."""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise

from profiler.names import printable

_MOST_STEPS = 1000
_LARGEST = 1e30


@dataclass(frozen=True)
class Schedule:
    """``values[i]`` holds from round ``begins[i]`` on; rounds count from 1, the first value begins at 1."""

    begins: tuple[int, ...]
    values: tuple[float, ...]

    def at(self, round_number: int) -> float:
        """Return the value in a round."""
        return self.values[max(bisect_right(self.begins, round_number) - 1, 0)]

    def __str__(self) -> str:
        """Return the text that ``read_schedule`` reads as this schedule, to the last digit."""
        first, *rest = map(_text, self.values)
        return " ".join([first, *(f"{value}@{begin}" for value, begin in zip(rest, self.begins[1:], strict=True))])


def read_schedule(text: str | float, field: str, *, whole: bool = False) -> Schedule:
    """Return the schedule of a text such as ``0.01 0.001@100``, or of one number.

    Raises ValueError naming ``field`` for a text that is none, rounds that do not rise, more than 1,000 values, one
    that is not finite or at 1e30 or more, and with ``whole`` for one that is no whole number.
    """
    kind = "a whole number, or whole numbers" if whole else "a number, or numbers"
    rule = f"{field} must be {kind} with the rounds they begin in, each later than the last, such as '3 2@100 1@167'"
    fault = f"{rule} (got {printable(text, 60)!r})"
    words = str(text).split()
    if not 1 <= len(words) <= _MOST_STEPS:
        raise ValueError(fault)
    begins, values = [1], list[float]()
    try:
        for i, word in enumerate(words):
            value, at, begin = word.partition("@")
            if bool(at) != (i > 0) or "_" in word or not word.isascii():
                raise ValueError(fault)
            values.append(float(int(value)) if whole else float(value))
            if at:
                begins.append(int(begin))
    except (ValueError, OverflowError) as error:
        raise ValueError(fault) from error
    if not all(a < b for a, b in pairwise(begins)) or not all(abs(value) < _LARGEST for value in values):
        raise ValueError(fault)
    return Schedule(tuple(begins), tuple(values))


def _text(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
