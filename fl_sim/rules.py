"""Rules of a round on a fleet: who is waited for, how long, and what an interruption does."""

import math
from dataclasses import dataclass
from typing import Literal

Interruption = Literal["suspend", "abort", "check_end"]
INTERRUPTIONS: tuple[Interruption, ...] = ("suspend", "abort", "check_end")
RoundEnd = Literal["all", "fraction", "kth"]
ROUND_ENDS: tuple[RoundEnd, ...] = ("all", "fraction", "kth")
MOST_PHONES = 10**9
MOST_OVER_COMMIT = 1000.0
MOST_RETRIES = 100
LONGEST_S = 1e9  # some thirty years


@dataclass(frozen=True)
class Rules:
    """A synchronous round. ``cohort`` updates are wanted, ``selected`` phones are asked.

    ``interrupted``: what happens when a phone stops being ready: ``suspend`` (it goes on when ready again, as FLASH
    has it), ``abort`` (the attempt is lost then), ``check_end`` (it works on; what it delivers counts if it is ready at
    that time, as FedScale has it).
    ``round_end``: ``all`` selected phones, a ``fraction`` of them, or the first ``cohort`` of them (``kth``) have
    delivered; in any case when nobody is left at work, and at ``deadline_s`` after the begin.
    ``dropout``: the chance that an attempt fails, at a time drawn evenly over its work; ``retries``: how often a phone
    begins anew after a lost attempt. ``least``: a round with fewer updates is void: it counts for nothing but its cost.
    """

    cohort: int
    over_commit: float = 1.0
    interrupted: Interruption = "suspend"
    round_end: RoundEnd = "all"
    fraction: float = 1.0
    deadline_s: float | None = None
    dropout: float = 0.0
    retries: int = 0
    least: int = 1

    def __post_init__(self) -> None:
        _check_count("cohort", self.cohort, 1, "updates are wanted")
        _check_range(
            "over_commit", self.over_commit, 1, MOST_OVER_COMMIT, "1 asks as many phones as updates are wanted"
        )
        _check_shared(self)
        if self.round_end not in ROUND_ENDS:
            message = f"round_end must be one of {', '.join(ROUND_ENDS)} (got {str(self.round_end)[:40]!r})"
            raise ValueError(message)
        _check_share("fraction", self.fraction, "1 waits for all")
        if self.fraction == 0:
            message = "fraction must be above 0 (got 0); to end rounds after a time, give deadline_s"
            raise ValueError(message)
        _check_duration("deadline_s", self.deadline_s, "None sets no deadline")
        _check_count("least", self.least, 0, "0 or 1 lets every round with an update count")
        if self.least > self.selected:
            message = (
                f"least must not be above the phones asked, {self.selected} (got {self.least}): no round would count"
            )
            raise ValueError(message)

    @property
    def selected(self) -> int:
        """How many phones are asked, where so many are to be had."""
        return max(self.cohort, math.ceil(self.cohort * self.over_commit - 1e-9))

    def awaited(self, selected: int) -> int:
        """Return how many updates end a round of ``selected`` phones."""
        if self.round_end == "kth":
            return min(self.cohort, selected)
        if self.round_end == "fraction":
            return max(1, math.ceil(self.fraction * selected - 1e-9))
        return selected


@dataclass(frozen=True)
class Buffered:
    """An asynchronous server: ``concurrency`` phones are at work at any time, every ``buffer`` updates make a version.

    ``buffer`` 1 is plain asynchronous training. Updates that are more than ``most_stale`` versions old are thrown
    away. A phone that takes longer than ``timeout_s`` is given up. The rest is as in ``Rules``.
    """

    concurrency: int
    buffer: int
    most_stale: int | None = None
    timeout_s: float | None = None
    interrupted: Interruption = "suspend"
    dropout: float = 0.0
    retries: int = 0

    def __post_init__(self) -> None:
        _check_count("concurrency", self.concurrency, 1, "it is how many phones work at a time")
        _check_count("buffer", self.buffer, 1, "1 is plain asynchronous training")
        if self.most_stale is not None:
            _check_count("most_stale", self.most_stale, 0, "None takes every update")
        _check_duration("timeout_s", self.timeout_s, "None gives no phone up")
        _check_shared(self)


def _check_shared(rules: "Rules | Buffered") -> None:
    if rules.interrupted not in INTERRUPTIONS:
        message = f"interrupted must be one of {', '.join(INTERRUPTIONS)} (got {str(rules.interrupted)[:40]!r})"
        raise ValueError(message)
    _check_share("dropout", rules.dropout, "0 lets no attempt fail")
    _check_count("retries", rules.retries, 0, "0 tries once", MOST_RETRIES)


def _check_count(name: str, value: object, least: int, step: str, most: int = MOST_PHONES) -> None:
    # A bool is an int to Python, and never a count.
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        message = f"{name} must be a whole number from {least} to {most} (got {str(value)[:40]}); {step}"
        raise ValueError(message)


def _check_range(name: str, value: float, least: float, most: float, step: str) -> None:
    if not least <= value <= most:
        message = f"{name} must be from {least:g} to {most:g} (got {str(value)[:40]}); {step}"
        raise ValueError(message)


def _check_share(name: str, value: float, step: str) -> None:
    _check_range(name, value, 0, 1, step)


def _check_duration(name: str, value: float | None, step: str) -> None:
    if value is not None and not 0 < value <= LONGEST_S:
        message = f"{name} must be above 0 and at most {LONGEST_S:g} s (got {str(value)[:40]}); {step}"
        raise ValueError(message)
