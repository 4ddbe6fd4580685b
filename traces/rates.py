"""How fast phones' networks are: constant, log-normal about a mean, or a series of rates that repeats."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
NetworkKind = Literal["constant", "lognormal", "trace"]


@dataclass(frozen=True, eq=False)
class RateSeries:
    """Rates over time: from ``begin_s`` on, in the series' own time (the first at 0), until the next; repeated.

    Profile i has the places ``offsets[i]:offsets[i + 1]`` and repeats every ``period_s[i]``. Rates may be 0 for a
    while, not for a whole period.
    """

    offsets: Places
    begin_s: Floats
    download_bit_per_s: Floats
    upload_bit_per_s: Floats
    period_s: Floats


@dataclass(frozen=True, eq=False)
class Network:
    """Network profiles, float64 [profiles]: mean rates in bit/s and their coefficients of variation.

    ``constant``: always the mean. ``lognormal``: each transfer has a rate of its own, drawn with that mean and that
    coefficient of variation (never a normal cut at zero: its mean time of a transfer is infinite). ``trace``: rates
    follow ``series``; the means are the series' own, over time.
    """

    kind: NetworkKind
    download_bit_per_s: Floats
    upload_bit_per_s: Floats
    download_cv: Floats
    upload_cv: Floats
    series: RateSeries | None = None

    @property
    def profiles(self) -> int:
        """How many profiles there are."""
        return len(self.download_bit_per_s)
