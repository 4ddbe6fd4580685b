"""What became of the traces that were read, as notes below a table."""

from collections.abc import Iterator

from profiler.names import printable
from traces.report import Report


def reading_notes(report: Report) -> Iterator[str]:
    """Yield a note on what was dropped, one on what was put right, and one on what was left, but odd; none if none."""
    kinds = (
        ("Of its traces were dropped", report.dropped),
        ("Of its traces were put right", report.repaired),
        ("Left, but odd", report.flags),
    )
    for what, counts in kinds:
        if counts:
            reasons = ", ".join(f"{count:,} {printable(reason, 100)}" for reason, count in counts)
            yield f"{what}: {reasons}; see fedjoule fleet describe."
