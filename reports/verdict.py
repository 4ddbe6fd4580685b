"""How a computed number stands to a printed one."""

import math
import re
from enum import StrEnum

# Float noise on an exact tie (0.5650 printed as 0.56) must not decide a verdict.
_SLACK = 1 + 1e-9


class Verdict(StrEnum):
    """What a reader is told about one computed value beside a printed one."""

    WITHIN = "within rounding"
    TRUNCATED = "truncated"
    DIFFERS = "differs"
    AS_PRINTED = "as printed"
    NOT_PRINTED = "not printed"
    OTHER_INPUTS = "other inputs"


def judge(computed: float, printed: str) -> Verdict:
    """Return whether ``computed`` rounds to, is cut to, or differs from the decimal ``printed``.

    Within rounding: at most half a unit of the last printed digit away, a tie counting for either neighbour.
    Truncated: not so, but cutting ``computed`` after the printed digits gives ``printed``.
    """
    value, digits = parse_printed(printed)
    if not math.isfinite(computed):
        return Verdict.DIFFERS
    if abs(computed - value) <= 0.5 * 10**-digits * _SLACK:
        return Verdict.WITHIN
    scaled = computed * 10**digits
    if round(value * 10**digits) in (math.floor(scaled), math.floor(scaled + 1e-9)):  # 3 may come out as 2.9999...
        return Verdict.TRUNCATED
    return Verdict.DIFFERS


def parse_printed(printed: str) -> tuple[float, int]:
    """Return the value of a decimal as a paper prints it (``2,076``, ``0.57``) and its digits after the point."""
    plain = printed.replace(",", "")
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", plain, re.ASCII):
        message = f"a printed number must be a decimal such as 0.57 (got {printed[:40]!r})"
        raise ValueError(message)
    return float(plain), len(plain.partition(".")[2])
