"""Rules of a round on a fleet: who is waited for, how long, and what an interruption does."""

import math
from dataclasses import dataclass
from typing import Literal

Interruption = Literal["suspend", "abort", "check_end"]
INTERRUPTIONS: tuple[Interruption, ...] = ("suspend", "abort", "check_end")
RoundEnd = Literal["all", "fraction", "kth"]
ROUND_ENDS: tuple[RoundEnd, ...] = ("all", "fraction", "kth")


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
