"""What somebody asks of a fleet: training, devices and rules, and the rules that follow from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from costmodel.round import PhasePower
from fl_sim.rules import Buffered, Interruption, RoundEnd, Rules
from traces.open import OpenedFleet

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{0,12})?)"


@dataclass(frozen=True)
class End:
    """When a round ends: a synchronous one at ``kind``, or an asynchronous server's versions of ``buffer`` updates."""

    kind: RoundEnd | Literal["buffer"]
    fraction: float = 1.0
    buffer: int = 0


def read_seconds(name: str, text: str) -> float:
    """Return the seconds that ``270s``, ``5min`` or ``1.5h`` names. Raises ValueError for another text."""
    match = re.fullmatch(rf"\s*{_NUMBER}\s*(s|min|h)\s*", text[:80], re.ASCII)
    if match is None or float(match[1]) == 0:
        message = f"{name} must be a time above 0, such as 270s, 5min or 1.5h (got {text[:40]!r})"
        raise ValueError(message)
    return float(match[1]) * _SECONDS[match[2]]


def read_round_end(text: str) -> End:
    """Return the round's end that ``all``, ``fraction:0.8``, ``kth`` or ``buffer:10`` names, or raise ValueError."""
    kind, colon, value = text.strip().partition(":")
    if kind == "all" and not colon:
        return End("all")
    if kind == "kth" and not colon:
        return End("kth")
    number = re.fullmatch(_NUMBER, value, re.ASCII)
    if kind == "fraction" and number is not None and 0 < float(value) <= 1:
        return End("fraction", fraction=float(value))
    if kind == "buffer" and number is not None and "." not in value and int(value) >= 1:
        return End("buffer", buffer=int(value))
    message = (
        f"round-end must be all, fraction:0.8 (above 0, at most 1), kth or buffer:10 (1 or more) (got {text[:40]!r})"
    )
    raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Request:
    """What is simulated. None is what the workload, reading or run says; ``own`` is file name -> measurement table."""

    opened: OpenedFleet
    workload: str = "cifar10"
    method: str = "qfedupdate"
    reading: str = "epochs4_int8_payload"
    run: Path | None = None
    device_map: str | None = None
    own: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    rounds: int | None = None
    clients: int | None = None
    cohort: int | None = None
    select: str = "available"
    over_commit: float = 1.0
    end: End = field(default_factory=lambda: End("all"))
    deadline_s: float | None = None
    interrupted: Interruption = "suspend"
    dropout: float = 0.0
    retries: int = 0
    least: int = 1
    begin_h: float = 0.0
    concurrency: int | None = None
    most_stale: int | None = None
    seed: int = 0
    clock: Literal["fast", "events"] = "fast"
    power: PhasePower = field(default_factory=PhasePower)

    def __post_init__(self) -> None:
        if not 0 <= self.begin_h < 24:
            message = f"begin must be an hour of the day from 0 to below 24 (got {self.begin_h:g}), such as 13.5"
            raise ValueError(message)

    @property
    def begin_s(self) -> float:
        """When the run begins on the fleet's clock, whose 0 is a midnight."""
        return 3600.0 * self.begin_h

    def rules(self, cohort: int) -> Rules:
        """Return the rules of synchronous rounds; also those by which a selector judges phones of a buffered server."""
        kind = self.end.kind
        return Rules(
            cohort=cohort,
            over_commit=self.over_commit,
            interrupted=self.interrupted,
            round_end="all" if kind == "buffer" else kind,
            fraction=self.end.fraction,
            deadline_s=self.deadline_s,
            dropout=self.dropout,
            retries=self.retries,
            least=self.least,
        )

    def buffered(self, cohort: int) -> Buffered:
        """Return the rules of an asynchronous server."""
        return Buffered(
            concurrency=cohort if self.concurrency is None else self.concurrency,
            buffer=self.end.buffer,
            most_stale=self.most_stale,
            timeout_s=self.deadline_s,
            interrupted=self.interrupted,
            dropout=self.dropout,
            retries=self.retries,
        )
