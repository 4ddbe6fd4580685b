"""The names a generic reader knows: what a group of a regular expression, or a key, may say about a batch."""

import re
from collections.abc import Iterable

from profiler.names import did_you_mean, printable

TIMES_MS = {"time_ms": 1.0, "time_us": 1e-3, "time_s": 1e3}
PARTS = ("sample", "quantize", "transfer", "train")
GROUPS = (*TIMES_MS, "batches", *PARTS, "loss", "accuracy")
_LONGEST_PATTERN = 1_000


def group_problem(names: Iterable[str]) -> str | None:
    """Return what is wrong with the names a reader is to find, or None."""
    given = list(names)
    unknown = [name for name in given if name not in GROUPS]
    if unknown:
        return f"'{printable(unknown[0])}' is unknown; {did_you_mean(unknown[0], GROUPS)} (all: {', '.join(GROUPS)})"
    if sum(name in TIMES_MS for name in given) != 1:
        return f"must have exactly one of {', '.join(TIMES_MS)}"
    return None


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a regular expression for lines of output, or None."""
    if len(pattern) > _LONGEST_PATTERN:
        return f"must be at most {_LONGEST_PATTERN:,} characters (got {len(pattern):,})"
    try:
        groups = re.compile(pattern).groupindex
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression ({error})"
    return group_problem(groups)
